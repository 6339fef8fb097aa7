// The audio worklet of the microphone: mono samples of tenths of a second, to whoever listens.

const CHUNK = 1600; // samples

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.chunk = new Float32Array(CHUNK);
    this.n = 0;
  }
  process([[samples]]) {
    for (const value of samples ?? []) {
      this.chunk[this.n++] = value;
      if (this.n < CHUNK) continue;
      this.port.postMessage(this.chunk);
      this.chunk = new Float32Array(CHUNK);
      this.n = 0;
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
