// In the notebook the widgets of pipeline/app/web speak with a Python kernel. Here this class stands in for it.

export class Model {
  // `onSend(content, buffers)` gets what the widget sends.
  constructor(values, onSend = () => {}) {
    this.values = values;
    this.onSend = onSend;
    this.listeners = new Map();
  }
  get(name) {
    return this.values[name];
  }
  set(name, value) {
    this.values[name] = value;
    this.trigger(`change:${name}`, this);
  }
  on(name, listener) {
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), listener]);
  }
  off(name, listener) {
    this.listeners.set(name, (this.listeners.get(name) ?? []).filter((each) => each !== listener));
  }
  trigger(name, ...values) {
    for (const listener of this.listeners.get(name) ?? []) listener(...values);
  }
  send(content, _, buffers = []) {
    queueMicrotask(() => this.onSend(content, buffers)); // a kernel never answers at once
  }
  tell(content, buffers = []) {
    this.trigger("msg:custom", content, buffers);
  }
}

// Take the pieces of a file that the upload widget offers; `onFile(blob, name)` gets it whole.
export function uploadModel(accept, onFile) {
  let pieces = [], size = 0, file = {};
  const model = new Model({ accept }, (content, buffers) => {
    if (content.what === "begin") [pieces, size, file] = [[], 0, content];
    else if (content.what === "piece") {
      pieces.push(buffers[0]);
      size += buffers[0].byteLength;
    } else if (content.what === "lost") return onFile(null, file.name);
    if (size < file.size) model.tell({ id: file.id, from: size });
    else onFile(new Blob(pieces), file.name);
  });
  return model;
}
