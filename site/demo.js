// The demo page: a file, a sample song or the microphone -> the worker -> the stage and the player of the app.

import { Model, uploadModel } from "./kernel.js";
import { listen, refusalOf, wav } from "./microphone.js";
import playerWidget, { row, votes } from "./player.js";
import { Smoother } from "./smoothing.js";
import stageWidget from "./stage.js";
import uploadWidget from "./upload.js";
import { rateOf } from "./resampling.js";
import { answered, failure, listening, working } from "./views.js";

const place = (name) => document.querySelector(`[data-place="${name}"]`);
const app = await (await fetch("app.json")).json();
const worker = new Worker("worker.js", { type: "module" });

const stage = new Model({ view: app.idle }, async (content) => {
  stage.tell({});
  if (content.want) await bringAnimations(content.want);
});
const show = (view) => stage.set("view", view);

async function bringAnimations(format) {
  const names = ["Piano", "Other"];
  const clips = await Promise.all(
    names.map(async (name) => (await fetch(`${name.toLowerCase()}.${format}`)).arrayBuffer()),
  );
  stage.tell({ animations: names, format }, clips);
}

let song = { id: 0 }; // what is judged or listened to now, or was last
let closePlayer = () => {};

function begin(title) {
  song.microphone?.stop();
  song = { id: song.id + 1, title };
  setMicrophone(false);
  closePlayer();
  place("player").replaceChildren();
  place("player").classList.add("po-kept");
  show(working("Decoding", 0, 0, title));
  return song;
}

function fail(sentence, title) {
  place("player").classList.remove("po-kept");
  show(failure(sentence, title));
}

// Decode at the rate of the file. The browser takes the bytes away, so the blob remains for the player.
async function judge(blob, title, current = begin(title)) {
  if (!blob) return fail("The browser cannot read this: choose a sound file, and no folder.", title);
  if (!blob.size) return fail("This is an empty file; fetch or copy it again.", title);
  let decoded, rate;
  try {
    const bytes = await blob.arrayBuffer();
    rate = rateOf(bytes);
    decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
  } catch {
    if (current === song) fail("This browser finds no sound in this file that it can decode; choose another one.", title);
    return;
  }
  if (current !== song) return;
  current.audio = blob;
  const channels = Array.from({ length: decoded.numberOfChannels }, (_, i) => decoded.getChannelData(i).slice());
  worker.postMessage({ id: song.id, song: channels, rate }, channels.map((each) => each.buffer));
}

worker.addEventListener("message", ({ data }) => {
  if (data.id !== song.id) return;
  if ("second" in data) hear(data.second);
  else if (data.error) fail(data.error, song.title);
  else if (data.progress) show(working("Listening", data.progress, data.seconds, song.title));
  else if (data.answer) {
    song.answer = data.answer;
    show(answered(data.answer, song.title));
  } else if (data.picture) drawPlayer(data);
});

function drawPlayer({ picture, peaks, seconds }) {
  const timeline = song.answer.timeline ?? [], { threshold } = app;
  const values = { seconds, timeline, threshold, peaks, spectrogram: picture, audio: song.audio, moments: [], note: "" };
  if (song.answer.seconds > seconds) values.note = "Only the first hour can be seen and played here.";
  closePlayer = playerWidget.render({ model: new Model(values), el: place("player") });
  place("player").classList.remove("po-kept");
}

async function judgeSample({ file, title }) {
  const current = begin(title);
  const response = await fetch(`samples/${file}`).catch(() => null);
  if (current !== song) return;
  if (response?.ok) judge(await response.blob(), title, current);
  else fail("This sample song cannot be fetched; check the connection, and try again.", title);
}

// The microphone: second by second while it listens, then as a song.
const button = document.querySelector(".po-microphone");

function setMicrophone(on) {
  button.textContent = on ? "Stop" : "Listen live";
  button.dataset.on = on;
}

async function openMicrophone() {
  const current = begin("From the microphone");
  Object.assign(current, { smoother: new Smoother(), timeline: [] });
  const headline = "May this page listen?";
  show({ ...listening(null, null, 0), headline, step: "Waiting for the microphone", detail: "", live: headline });
  const onSecond = (samples, peak) => worker.postMessage({ id: current.id, second: samples, peak }, [samples.buffer]);
  try {
    const microphone = await listen(onSecond, () => current === song && closeMicrophone());
    if (current !== song) return microphone.stop();
    current.microphone = microphone;
    setMicrophone(true);
    show(listening(null, null, 0));
  } catch (error) {
    if (current === song) fail(refusalOf(error));
  }
}

// A second has been judged.
function hear(second) {
  if (!song.microphone) return;
  const { mean, best } = song.smoother.add(second), piano = app.names.indexOf("Piano");
  song.timeline.push(second && piano >= 0 ? second.row[piano] : null);
  show(listening(best < 0 ? null : app.names[best], mean && piano >= 0 ? mean[piano] : null, song.timeline.length));
  const minute = [...Array(60).fill(null), ...song.timeline].slice(-60); // now is at the right
  const rows = document.createElement("div");
  rows.className = "po-rows po-player";
  rows.append(row("Probability of piano, the last minute", votes(minute, app.threshold, 60)));
  place("player").replaceChildren(rows);
}

function closeMicrophone() {
  const samples = song.microphone.stop();
  song.microphone = null;
  const current = begin(song.title);
  current.audio = wav(samples);
  worker.postMessage({ id: current.id, song: [samples], rate: 16000 }, [samples.buffer]);
}

button.addEventListener("click", () => (song.microphone ? closeMicrophone() : openMicrophone()));

uploadWidget.render({ model: uploadModel(app.accept, judge), el: place("upload") });
for (const sample of app.samples) {
  const choice = document.createElement("button");
  Object.assign(choice, { type: "button", className: "jupyter-button", textContent: `♪ ${sample.title}` });
  choice.addEventListener("click", () => judgeSample(sample));
  place("samples").append(choice);
}
stageWidget.render({ model: stage, el: place("stage") });

// A page may not fetch a song from another host: what is pasted or dropped as a link gets the command that can.
function refuseLink(text) {
  const link = text.trim().match(/^https?:\/\/\S+$/)?.[0];
  if (!link) return;
  begin("");
  fail(`A web page may not fetch songs from other hosts. Install the recogniser, and run: python -m pipeline label "${link}"`);
}
document.addEventListener("paste", (event) => refuseLink(event.clipboardData?.getData("text") ?? ""));
