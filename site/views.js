// What the stage shows, in the words of pipeline/app/stage.py.

import { clock, percent } from "./player.js";

export function working(step, done, total, detail = "") {
  const known = total > 0, fraction = known ? Math.min(done / total, 1) : null;
  const shown = step === "Listening" && known ? `${step}: ${done.toFixed(0)} of ${total.toFixed(0)} s` : step;
  return { phase: "working", live: step, step: shown, fraction, detail };
}

// `label` is null before there is one; `probability` is that of piano, or null in silence and without the class.
export function listening(label, probability, seconds) {
  const heard = probability !== null, headline = heard ? "Listening" : "Play something";
  return {
    phase: "live",
    label,
    animation: label && animationOf(label),
    headline,
    measure: "Probability of piano",
    step: heard ? `${percent(probability)} piano` : "Silence",
    fraction: heard ? probability : 0,
    detail: `${clock(seconds)} heard. The label is that of the last four seconds.`,
    live: label ? `This sounds like ${label}` : headline,
  };
}

export function failure(sentence, title = "") {
  return { phase: "error", headline: "No answer this time", sentence, title, live: sentence };
}

export const animationOf = (label) => (label === "Piano" ? label : "Other");

export function answered(answer, title) {
  const { label, probabilities, votes } = answer;
  const confidence = percent(answer.confidence);
  const n = Object.values(votes).reduce((a, b) => a + b, 0);
  const likeliest = Object.keys(probabilities).reduce((a, b) => (probabilities[b] > probabilities[a] ? b : a));
  const remarks = [];
  if (likeliest !== label) {
    remarks.push(`Borderline: the majority vote says ${label}, the mean probability says ${likeliest}.`);
  }
  return {
    phase: "answer",
    label,
    animation: animationOf(label),
    confidence,
    votes: `${votes[label].toLocaleString("en")} of ${n.toLocaleString("en")} second${n === 1 ? "" : "s"} voted ${label}`,
    remarks,
    title: title || "untitled",
    length: clock(answer.seconds),
    url: null,
    live: [`${label}, with a confidence of ${confidence}: ${title}`, ...remarks].join(" "),
  };
}
