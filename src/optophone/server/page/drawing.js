// What those who see get beside the sound: where each word looked, and the spectrogram of the speech.

const FFT = 512;
const DARKEST_DB = -70;

/** Draw `image` (or a plain ground, where the browser cannot show it), bright where `weights` (rows × columns) are
 * high. */
export function drawAttention(canvas, image, { rows, columns }, weights) {
  const isShown = image.naturalWidth > 0;
  const ratio = isShown ? image.naturalHeight / image.naturalWidth : rows / columns;
  canvas.width = 160;
  canvas.height = Math.max(1, Math.round(160 * Math.min(3, ratio)));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#888";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (isShown) {
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  }
  const shade = document.createElement("canvas");
  shade.width = columns;
  shade.height = rows;
  const shadePen = shade.getContext("2d");
  const cells = shadePen.createImageData(columns, rows);
  const most = Math.max(...weights, 1e-9);
  weights.forEach((weight, i) => {
    cells.data[4 * i + 3] = 225 * (1 - Math.sqrt(weight / most));
  });
  shadePen.putImageData(cells, 0, 0);
  pen.imageSmoothingEnabled = true;
  pen.drawImage(shade, 0, 0, canvas.width, canvas.height);
}

/** Draw the loudness of every pitch over time: time to the right, pitch upwards. */
export function drawSpectrogram(canvas, { samples, rate }) {
  const columns = canvas.width;
  const bins = FFT / 2;
  const picture = new ImageData(columns, bins);
  const hann = Float32Array.from({ length: FFT }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / FFT));
  const real = new Float32Array(FFT);
  const imaginary = new Float32Array(FFT);
  const step = Math.max(1, (samples.length - FFT) / columns);
  for (let column = 0; column < columns; column++) {
    const start = Math.floor(column * step);
    for (let i = 0; i < FFT; i++) {
      real[i] = ((samples[start + i] ?? 0) / 32768) * hann[i];
      imaginary[i] = 0;
    }
    transform(real, imaginary);
    for (let bin = 0; bin < bins; bin++) {
      const power = real[bin] ** 2 + imaginary[bin] ** 2;
      const loudness = 1 - Math.max(0, Math.min(1, (10 * Math.log10(power + 1e-12) - 20) / DARKEST_DB));
      const at = 4 * ((bins - 1 - bin) * columns + column);
      const [red, green, blue] = heat(loudness);
      picture.data.set([red, green, blue, 255], at);
    }
  }
  const plain = document.createElement("canvas");
  plain.width = columns;
  plain.height = bins;
  plain.getContext("2d").putImageData(picture, 0, 0);
  const pen = canvas.getContext("2d");
  pen.drawImage(plain, 0, 0, canvas.width, canvas.height);
  const seconds = (samples.length / rate).toFixed(1);
  canvas.setAttribute("aria-label", `Spectrogram of the speech: ${seconds} seconds, 0 to ${Math.round(rate / 2000)} kilohertz`);
}

/** Black, violet, orange, white: brighter is louder, without colours too. */
function heat(value) {
  return [
    255 * Math.min(1, 1.6 * value),
    255 * Math.max(0, 1.8 * value - 0.8),
    255 * (value < 0.5 ? value : Math.max(0, 4 * value - 3) + (value < 0.75 ? 2 * (0.75 - value) : 0)),
  ];
}

/** The discrete Fourier transform, in place; the length is a power of two. Source: Cooley & Tukey 1965. */
function transform(real, imaginary) {
  const n = real.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) {
      j ^= bit;
    }
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    const angle = (-2 * Math.PI) / size;
    for (let start = 0; start < n; start += size) {
      for (let k = 0; k < size / 2; k++) {
        const cosine = Math.cos(angle * k);
        const sine = Math.sin(angle * k);
        const a = start + k;
        const b = a + size / 2;
        const re = real[b] * cosine - imaginary[b] * sine;
        const im = real[b] * sine + imaginary[b] * cosine;
        real[b] = real[a] - re;
        imaginary[b] = imaginary[a] - im;
        real[a] += re;
        imaginary[a] += im;
      }
    }
  }
}
