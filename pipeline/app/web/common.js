// What the widgets share: this text stands before the script of each.

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

// Whether a node belongs to the same app as a part of it; there may be two on a page.
const isWithin = (node, part) => part.closest(".po-app")?.contains(node) ?? false;

// anywidget waits two seconds for the script of a widget. In a browser too busy for that the widget still appears, but
// anywidget then drops whatever the kernel tells it, for good. So messages go around anywidget, to the class below it.
function hear(model) {
  model.on("change:heard", (whole) => {
    const { _handle_comm_msg } = Object.getPrototypeOf(whole.constructor.prototype);
    whole.comm?.on_msg(_handle_comm_msg.bind(whole));
  });
  model.set("heard", true);
}
