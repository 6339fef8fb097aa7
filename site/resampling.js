// Sound of any rate -> 16 kHz, with the filter of FFmpeg's resampler, which the recogniser uses in Python. The browser's own
// resampler cuts off earlier below 8 kHz, and the network hears that.

const TAPS = 32, CUTOFF = 0.97, BETA = 9; // of the windowed sinc: zero crossings, share of the band, Kaiser's parameter

export function resampled(samples, from, to) {
  if (from === to) return samples;
  const divisor = gcd(from, to), steps = from / divisor, nPhases = to / divisor;
  const factor = Math.min((to * CUTOFF) / from, 1);
  const nTaps = 2 * Math.ceil(TAPS / factor / 2), centre = nTaps / 2 - 1;
  const filters = Array.from({ length: nPhases }, (_, phase) => filter(phase / nPhases, nTaps, centre, factor));
  const output = new Float32Array(Math.ceil((samples.length * to) / from));
  for (let i = 0, whole = 0, phase = 0; i < output.length; i++) {
    const weights = filters[phase], first = whole - centre;
    let sum = 0;
    const begin = Math.max(0, -first), end = Math.min(nTaps, samples.length - first);
    for (let k = begin; k < end; k++) sum += weights[k] * samples[first + k];
    output[i] = sum;
    phase += steps;
    whole += Math.floor(phase / nPhases);
    phase %= nPhases;
  }
  return output;
}

// The taps for an output that lies `fraction` of a sample behind the one at `centre`.
function filter(fraction, nTaps, centre, factor) {
  const taps = Float64Array.from({ length: nTaps }, (_, k) => {
    const x = Math.PI * (k - centre - fraction) * factor, w = (2 * x) / (factor * nTaps * Math.PI);
    return (x ? Math.sin(x) / x : 1) * bessel(BETA * Math.sqrt(Math.max(1 - w * w, 0)));
  });
  const sum = taps.reduce((a, b) => a + b, 0);
  return taps.map((tap) => tap / sum);
}

// The modified Bessel function of order zero, by its power series.
function bessel(x) {
  let sum = 1, term = 1;
  for (let k = 1; term > 1e-12 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

const gcd = (a, b) => (b ? gcd(b, a % b) : a);

// The rate of a file by its header, so that the browser decodes it as it is; 48 kHz, which loses nothing, where unknown.
export function rateOf(buffer) {
  const bytes = new Uint8Array(buffer), view = new DataView(buffer), n = bytes.length;
  const says = (text, at) => [...text].every((letter, i) => bytes[at + i] === letter.charCodeAt(0));
  let rate = 0;
  if (n < 64) rate = 0;
  else if (says("RIFF", 0)) {
    for (let at = 12; at + 16 <= n && !rate; at += 8 + view.getUint32(at + 4, true)) {
      if (says("fmt ", at)) rate = view.getUint32(at + 12, true);
    }
  } else if (says("fLaC", 0)) rate = view.getUint32(18) >>> 12;
  else if (says("OggS", 0) && says("vorbis", 29)) rate = view.getUint32(40, true);
  else if (says("ftyp", 4)) {
    for (let at = bytes.indexOf(0x6d); at >= 0 && at + 32 <= n && !rate; at = bytes.indexOf(0x6d, at + 1)) {
      if (says("mp4a", at)) rate = view.getUint16(at + 28);
    }
  } else rate = rateOfMp3(bytes, says);
  return rate >= 8000 && rate <= 96000 ? rate : 48000;
}

function rateOfMp3(bytes, says) {
  const tag = says("ID3", 0) ? 10 + [6, 7, 8, 9].reduce((size, at) => size * 128 + bytes[at], 0) : 0;
  if (bytes[tag] !== 0xff || (bytes[tag + 1] & 0xe6) !== 0xe2) return 0; // layer III only
  const version = (bytes[tag + 1] >> 3) & 3, divisor = { 3: 1, 2: 2, 0: 4 }[version];
  return [44100, 48000, 32000, 0][(bytes[tag + 2] >> 2) & 3] / divisor || 0;
}
