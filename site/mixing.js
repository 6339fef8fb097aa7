// The channels that the browser decoded -> mono samples in -1..1: what pipeline/song/audio.py does, block by block.

import { AudioError, SAMPLE_RATE } from "./cleaning.js";

const BLOCK = 10 * SAMPLE_RATE;
const MAX_SECONDS = 4 * 3600;
const FAINTEST = 2 ** -15;
const OVERSHOOT = 1.5; // lossy codecs exceed full scale by as much
const CANCELLED = 0.2; // of the level that unrelated channels would have when mixed
const OFFSET = 0.02; // of the peak; a smaller mean is no offset

const rms = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / Math.max(values.length, 1));

// `channels` are Float32Arrays of one length at 16 kHz. Throws an AudioError.
export function mono(channels) {
  const n = channels[0].length, mixed = new Float32Array(n);
  if (n > MAX_SECONDS * SAMPLE_RATE) {
    throw new AudioError(`This file lasts longer than ${MAX_SECONDS / 3600} hours, the limit; give a part of it.`);
  }
  let total = 0, peak = 0, fullScale = 1;
  for (let start = 0; start < n; start += BLOCK) {
    const end = Math.min(start + BLOCK, n);
    const block = mix(channels.map((each) => each.subarray(start, end).map((x) => (Math.abs(x) < 1e30 ? x : 0))));
    let loudest = peakOf(block);
    total += block.reduce((sum, value) => sum + value, 0);
    const offset = Math.fround(total / end);
    if (Math.abs(total / end) > OFFSET * loudest) {
      block.forEach((value, i) => (block[i] = value - offset));
      loudest = peakOf(block);
    }
    fullScale = Math.max(fullScale, loudest > OVERSHOOT ? loudest : 1);
    peak = Math.max(peak, loudest / fullScale);
    block.forEach((value, i) => (mixed[start + i] = Math.min(Math.max(value / fullScale, -1), 1)));
  }
  if (peak > 0 && peak < FAINTEST) {
    const why = "This file is too quiet: what is heard lies in the noise of 16 bits";
    throw new AudioError(`${why}; record it again, and louder.`);
  }
  return mixed;
}

// The mean of the channels, or the loudest where they cancel each other out.
function mix(channels) {
  if (channels.length === 1) return channels[0];
  const mean = channels[0].map((_, i) => channels.reduce((sum, each) => sum + each[i], 0) / channels.length);
  const levels = channels.map(rms);
  if (rms(mean) < (CANCELLED * Math.hypot(...levels)) / channels.length) {
    return channels[levels.indexOf(Math.max(...levels))];
  }
  return mean;
}

function peakOf(block) {
  return block.reduce((peak, value) => Math.max(peak, Math.abs(value)), 0);
}
