// Samples of a song -> the one-second clips that the network judges: what pipeline/song/cleaning.py does, in the browser.

export const SAMPLE_RATE = 16000;
const CLIP = SAMPLE_RATE;
const BEHIND = SAMPLE_RATE / 40, AHEAD = BEHIND - 1; // samples before and after that the 50 ms envelope looks at
const THRESHOLD = 20 / 32768;
const MIN_SOUND = 0.3 * SAMPLE_RATE, MIN_LAST = CLIP / 2, MIN_SECOND = SAMPLE_RATE / 10;
const SOFT = 1 / 16, LEVEL = 0.5, FAINTEST = 2 ** -15, LONGEST_SOFT = 1800 * SAMPLE_RATE;

// A song that cannot be judged; the message is for a person.
export class AudioError extends Error {}

const tooShort = (n) =>
  new AudioError(
    `There are only ${(n / SAMPLE_RATE).toFixed(2)} s of sound; a song of less than a second needs 0.3 s to be judged.`,
  );

export function peakOf(samples) {
  let peak = 0;
  for (const value of samples) peak = Math.max(peak, Math.abs(value));
  return peak;
}

// What a song with this peak is multiplied by, so that the answer does not depend on its volume.
export const gainOf = (peak) => Math.fround(peak > FAINTEST && peak < SOFT ? LEVEL / peak : 1);

// The positions of the samples where there is sound: any sample within 50 ms is above the threshold.
export function positionsOfSound(samples, gain = 1) {
  const positions = new Int32Array(samples.length);
  let n = 0, next = 0, lastLoud = -Infinity;
  for (let i = 0; i < samples.length; i++) {
    for (; next < samples.length && next <= i + AHEAD; next++) {
      if (Math.fround(Math.abs(samples[next]) * gain) > THRESHOLD) lastLoud = next;
    }
    if (lastLoud >= i - BEHIND) positions[n++] = i;
  }
  return positions.subarray(0, n);
}

// The clips of a song, one after the other in a Float32Array, where each ends in seconds, and for each second of the song
// the index of the clip that holds most of it, -1 where it is silent. Throws an AudioError.
export function cut(samples) {
  const gain = gainOf(peakOf(samples.subarray(0, LONGEST_SOFT)));
  const positions = positionsOfSound(samples, gain);
  const enough = samples.length < CLIP ? MIN_SOUND : 1;
  if (samples.length < MIN_SOUND) throw tooShort(samples.length);
  if (!positions.length) {
    throw new AudioError("There is only silence; choose a recording in which something can be heard.");
  }
  if (positions.length < enough) throw tooShort(positions.length);

  const whole = Math.floor(positions.length / CLIP), rest = positions.length - whole * CLIP;
  const n = whole + (rest >= (whole ? MIN_LAST : 1) ? 1 : 0);
  const clips = new Float32Array(n * CLIP), stops = [];
  const best = Array.from({ length: Math.ceil(samples.length / SAMPLE_RATE) }, () => [0, -1]);
  for (let index = 0; index < n; index++) {
    const part = positions.subarray(index * CLIP, (index + 1) * CLIP);
    const counts = new Map();
    part.forEach((position, i) => {
      clips[index * CLIP + i] = samples[position] * gain;
      const second = Math.floor(position / SAMPLE_RATE);
      counts.set(second, (counts.get(second) ?? 0) + 1);
    });
    for (const [second, count] of counts) if (count > best[second][0]) best[second] = [count, index];
    stops.push((part.at(-1) + 1) / SAMPLE_RATE);
  }
  const least = Math.min(MIN_SECOND, Math.max(...best.map(([count]) => count)));
  const timeline = best.map(([count, index]) => (count && count >= least ? index : -1));
  return { clips, n, stops, timeline };
}
