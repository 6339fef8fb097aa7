// The mel spectrogram of a song as a picture, and the peaks of its waveform: what pipeline/app/recording.py draws.

const COLUMNS = 1200;
const AMIN = 1e-5;

// The largest |sample| in each of COLUMNS equal parts, relative to the largest of all.
export function peaks(samples) {
  const found = new Float64Array(COLUMNS);
  samples.forEach((value, i) => {
    const column = Math.floor((i * COLUMNS) / samples.length);
    found[column] = Math.max(found[column], Math.abs(value));
  });
  const largest = found.reduce((a, b) => Math.max(a, b)) || 1;
  return Uint8Array.from(found, (value) => Math.round((255 * value) / largest));
}

// Decibels (columns, n_mels) below the loudest of the song. `features` holds n_fft, win_length, hop_length, n_mels.
export function spectrogram(samples, features, filters) {
  const { n_fft, win_length, hop_length, n_mels } = features;
  const window = Float64Array.from({ length: win_length }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / win_length));
  const bands = bandsOf(filters, n_mels);
  const nFrames = Math.ceil(samples.length / hop_length), group = Math.max(1, Math.floor(nFrames / COLUMNS));
  const columns = [];
  const real = new Float64Array(n_fft), imaginary = new Float64Array(n_fft), size = new Float64Array(n_fft / 2 + 1);
  const transform = fourier(n_fft);
  for (let frame = 0; frame < nFrames; frame++) {
    real.fill(0);
    imaginary.fill(0);
    for (let i = 0; i < win_length; i++) real[i] = (samples[frame * hop_length + i] ?? 0) * window[i];
    transform(real, imaginary);
    for (let k = 0; k < size.length; k++) size[k] = Math.hypot(real[k], imaginary[k]);
    if (frame % group === 0) columns.push(new Float32Array(n_mels).fill(AMIN));
    const column = columns.at(-1);
    bands.forEach(([first, weights], band) => {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * size[first + k];
      column[band] = Math.max(column[band], sum);
    });
  }
  const loudest = Math.max(...columns.map((column) => Math.max(...column)));
  return columns.map((column) => column.map((value) => 20 * Math.log10(value / loudest)));
}

// A PNG of decibels, in colours [[red, green, blue], ...] from -80 dB to 0.
export function draw(columns, colours) {
  const height = columns[0].length, canvas = new OffscreenCanvas(columns.length, height);
  const context = canvas.getContext("2d"), image = context.createImageData(columns.length, height);
  columns.forEach((column, x) => {
    column.forEach((decibels, band) => {
      const at = Math.round(Math.max(decibels / 80 + 1, 0) * (colours.length - 1));
      image.data.set([...colours[at], 255], 4 * ((height - 1 - band) * columns.length + x));
    });
  });
  context.putImageData(image, 0, 0);
  return canvas.convertToBlob();
}

// For each filter where it begins and its weights; a filter is a triangle, and zero elsewhere.
function bandsOf(filters, n_mels) {
  const width = filters.length / n_mels;
  return Array.from({ length: n_mels }, (_, band) => {
    const row = filters.subarray(band * width, (band + 1) * width);
    const first = Math.max(row.findIndex((value) => value > 0), 0);
    const last = row.findLastIndex((value) => value > 0);
    return [first, row.subarray(first, last + 1)];
  });
}

// The fast Fourier transform of n values, n a power of two, in place (Cooley and Tukey, 1965).
function fourier(n) {
  const bits = Math.log2(n);
  const reversed = Array.from({ length: n }, (_, i) => parseInt(i.toString(2).padStart(bits, "0").split("").reverse().join(""), 2));
  const cos = Float64Array.from({ length: n / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / n));
  const sin = Float64Array.from({ length: n / 2 }, (_, i) => -Math.sin((2 * Math.PI * i) / n));
  return (real, imaginary) => {
    for (let i = 0; i < n; i++) {
      const j = reversed[i];
      if (j > i) [real[i], real[j], imaginary[i], imaginary[j]] = [real[j], real[i], imaginary[j], imaginary[i]];
    }
    for (let half = 1; half < n; half *= 2) {
      const step = n / (2 * half);
      for (let start = 0; start < n; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const a = start + k, b = a + half, c = cos[k * step], s = sin[k * step];
          const re = real[b] * c - imaginary[b] * s, im = real[b] * s + imaginary[b] * c;
          real[b] = real[a] - re;
          imaginary[b] = imaginary[a] - im;
          real[a] += re;
          imaginary[a] += im;
        }
      }
    }
  };
}
