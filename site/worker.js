// The work, beside the page: resampling, mixing, cleaning, the network and the pictures. Messages in: {song, rate} or {second}; messages
// out carry the id of the song: {progress}, {answer}, {picture} or {error}.

import * as ort from "./ort/ort.wasm.min.mjs";
import { AudioError, SAMPLE_RATE, cut, gainOf, peakOf, positionsOfSound } from "./cleaning.js";
import { mono } from "./mixing.js";
import { answer, level } from "./recognition.js";
import { resampled } from "./resampling.js";
import { draw, peaks, spectrogram } from "./spectrogram.js";

const BATCH = 16; // clips judged at once
const MIN_SECOND = SAMPLE_RATE / 10; // samples of sound, below which a second counts as silent
const LONGEST = 3600 * SAMPLE_RATE; // samples that are drawn

ort.env.wasm.numThreads = 1; // more need headers that a plain file server does not send
ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;

const at = (name) => new URL(name, import.meta.url);
const fetched = async (name, how) => {
  const response = await fetch(at(name));
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return response[how]();
};
const ready = Promise.all([
  fetched("model.json", "json"),
  fetched("model.onnx", "arrayBuffer").then((bytes) => ort.InferenceSession.create(bytes)),
]);
ready.catch(() => {}); // told with the first song

let current = null;

onmessage = async ({ data }) => {
  try {
    if (data.second) postMessage({ id: data.id, second: await judgeSecond(data) });
    else await judge(data);
  } catch (error) {
    const why = "The network cannot be loaded; check the connection, and reload the page.";
    postMessage({ id: data.id, error: error instanceof AudioError ? error.message : why });
  }
};

async function judge({ id, song, rate }) {
  current = id;
  const samples = mono(song.map((channel) => resampled(channel, rate, SAMPLE_RATE)));
  const { clips, n, stops, timeline } = cut(samples);
  const seconds = samples.length / SAMPLE_RATE, rows = [], weights = [];
  const [model] = await ready;
  for (let start = 0; start < n; start += BATCH) {
    const part = clips.subarray(start * SAMPLE_RATE, (start + BATCH) * SAMPLE_RATE);
    rows.push(...(await probabilities(part)));
    for (let i = 0; i < part.length; i += SAMPLE_RATE) weights.push(level(part.subarray(i, i + SAMPLE_RATE)));
    if (current !== id) return;
    postMessage({ id, progress: stops[rows.length - 1], seconds });
  }
  postMessage({ id, answer: answer(rows, weights, timeline, seconds, model) });
  const shown = samples.subarray(0, LONGEST);
  const filters = new Float32Array(await fetched("mel.bin", "arrayBuffer"));
  const picture = await draw(spectrogram(shown, model.features, filters), model.colours);
  postMessage({ id, picture, peaks: peaks(shown), seconds: shown.length / SAMPLE_RATE });
}

// One second from the microphone: its probabilities and its weight, or null where it is silent. `peak` is that so far.
async function judgeSecond({ second, peak }) {
  const gain = gainOf(Math.max(peak, peakOf(second)));
  if (positionsOfSound(second, gain).length < MIN_SECOND) return null;
  const clip = second.map((value) => value * gain);
  return { row: (await probabilities(clip))[0], weight: level(clip) };
}

// A row for each clip.
async function probabilities(clips) {
  const [{ names }, session] = await ready;
  const samples = new ort.Tensor("float32", clips, [clips.length / SAMPLE_RATE, SAMPLE_RATE]);
  const { data } = (await session.run({ samples })).probabilities;
  return Array.from({ length: data.length / names.length }, (_, i) =>
    Array.from(data.subarray(i * names.length, (i + 1) * names.length)),
  );
}
