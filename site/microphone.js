// The microphone at 16 kHz, as it is: without the filters of telephony. Its samples stay in the memory of the page.

import { SAMPLE_RATE } from "./cleaning.js";

const LONGEST = 1800; // seconds; then it stops by itself

// Why the microphone does not open: the name of the browser's error -> a sentence.
const REFUSALS = {
  NotAllowedError: "The microphone was not allowed; allow it beside the address of this page, and try again.",
  NotFoundError: "No microphone was found; connect one, and try again.",
  NotReadableError: "The microphone is in use by another program; close that, and try again.",
  NotSupportedError: "This browser cannot record at 16 kHz; take a newer one, or record a file and drop it here.",
};

export const refusalOf = (error) =>
  REFUSALS[error.name] ?? "The microphone cannot be opened; record a file, and drop it here.";

// Asks for permission, then calls `onSecond(samples, peak)` each second, with the largest |sample| so far, and `onEnd()`
// when the microphone is gone. Returns an object with `stop()`, which gives all that was heard. Rejects with an error.
export async function listen(onSecond, onEnd) {
  if (!navigator.mediaDevices) throw new Error("Only pages over https have a microphone.");
  const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: raw });
  const context = new AudioContext({ sampleRate: SAMPLE_RATE });
  const close = () => {
    stream.getTracks().forEach((track) => track.stop());
    context.close();
  };
  const chunks = [];
  try {
    await context.audioWorklet.addModule(new URL("recorder.js", import.meta.url));
    const recorder = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    context.createMediaStreamSource(stream).connect(recorder);
    let peak = 0;
    recorder.port.onmessage = ({ data }) => {
      chunks.push(data);
      peak = data.reduce((largest, value) => Math.max(largest, Math.abs(value)), peak);
      if (chunks.length % 10 === 0) onSecond(joined(chunks.slice(-10)), peak);
      if (chunks.length >= 10 * LONGEST) onEnd();
    };
    stream.getTracks()[0].addEventListener("ended", onEnd);
  } catch (error) {
    close();
    throw error;
  }
  return {
    stop() {
      close();
      return joined(chunks);
    },
  };
}

function joined(chunks) {
  const samples = new Float32Array(chunks.reduce((n, chunk) => n + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    samples.set(chunk, at);
    at += chunk.length;
  }
  return samples;
}

// Samples as a wav file of 16 bits, for the player.
export function wav(samples) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // integers
  view.setUint16(22, 1, true); // one channel
  view.setUint32(24, SAMPLE_RATE, true);
  view.setUint32(28, 2 * SAMPLE_RATE, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, i) => view.setInt16(44 + 2 * i, 32767 * Math.min(Math.max(value, -1), 1), true));
  return new Blob([view], { type: "audio/wav" });
}
