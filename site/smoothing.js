// The seconds of the microphone -> a label that does not flicker. The last WINDOW seconds are pooled as a song is; the first
// label needs FIRST of them, and another one takes its place only when it is MARGIN more probable.

import { pooled } from "./recognition.js";

const WINDOW = 4; // seconds
const FIRST = 2; // seconds
const MARGIN = 0.2;

export class Smoother {
  constructor() {
    this.seconds = [];
    this.best = -1;
  }
  // Add a second, {row, weight} or null where it is silent. Returns the pooled probabilities and the index of the label;
  // null and -1 before there is one, and where all of the window is silent.
  add(second) {
    this.seconds = [...this.seconds, second].slice(-WINDOW);
    const heard = this.seconds.filter(Boolean);
    if (!heard.length) {
      this.best = -1;
      return { mean: null, best: -1 };
    }
    const mean = pooled(heard.map(({ row }) => row), heard.map(({ weight }) => weight));
    const likeliest = mean.indexOf(Math.max(...mean));
    if (this.best < 0) this.best = heard.length >= FIRST ? likeliest : -1;
    else if (mean[likeliest] - mean[this.best] > MARGIN) this.best = likeliest;
    return { mean, best: this.best };
  }
}
