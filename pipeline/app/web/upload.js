// A button for a file of one's own; the file travels in pieces of a megabyte, each when it is asked for.

const PIECE = 1 << 20;

function render({ model, el }) {
  hear(model);
  const label = document.createElement("label");
  label.className = "po-file jupyter-button";
  label.title = "m4a, mp3, wav, ogg, flac, webm, or a video; or drop a file here";
  const input = document.createElement("input");
  Object.assign(input, { type: "file", accept: model.get("accept") });
  label.append(input, "Choose a file");
  el.append(label);

  let file = null, id = 0;
  const send = (chosen) => {
    if (!chosen) return;
    file = chosen;
    id = `${Date.now()}-${Math.random()}`;
    model.send({ what: "begin", name: file.name, size: file.size, id });
  };
  input.addEventListener("change", () => {
    send(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });

  const onMessage = async (content) => {
    if (!file || content.id !== id) return;
    const piece = await file.slice(content.from, content.from + PIECE).arrayBuffer().catch(() => null);
    if (content.id !== id) return;
    if (piece) model.send({ what: "piece", id }, undefined, [piece]);
    else model.send({ what: "lost", id }); // a folder, or a file that has gone or changed
  };
  model.on("msg:custom", onMessage);

  // A file may be dropped anywhere on the app.
  const over = (event) => {
    if (!event.dataTransfer?.types.includes("Files") || !isWithin(event.target, label)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.type === "drop") send(event.dataTransfer.files[0]);
    label.closest(".po-app").classList.toggle("po-over", event.type === "dragover");
  };
  const kinds = ["dragover", "dragleave", "drop"];
  kinds.forEach((kind) => document.addEventListener(kind, over, true));
  return () => {
    model.off("msg:custom", onMessage);
    kinds.forEach((kind) => document.removeEventListener(kind, over, true));
  };
}

export default { render };
