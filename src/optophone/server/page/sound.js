// Sound: WAV files that may have been sent before their length was known, and one voice at a time.

/** The samples of a mono 16-bit WAV file and its rate. The lengths in its header are not believed: the file ends where
 * its bytes end. */
export function readWav(buffer) {
  const view = new DataView(buffer);
  const tag = (at) => String.fromCharCode(...new Uint8Array(buffer, at, 4));
  if (buffer.byteLength < 44 || tag(0) !== "RIFF" || tag(8) !== "WAVE") {
    throw new Error("no WAV file");
  }
  let rate = 0;
  let at = 12;
  while (at + 8 <= buffer.byteLength) {
    const name = tag(at);
    const length = view.getUint32(at + 4, true);
    at += 8;
    if (name === "fmt ") {
      rate = view.getUint32(at + 4, true);
    } else if (name === "data") {
      const bytes = Math.min(length, buffer.byteLength - at);
      return { rate, samples: new Int16Array(buffer.slice(at, at + bytes - (bytes % 2))) };
    }
    at += length + (length % 2);
  }
  throw new Error("a WAV file without samples");
}

/** A WAV file whose header tells its length, so that players can seek in it. */
export function writeWav({ rate, samples }) {
  const view = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + samples.byteLength, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, samples.byteLength, true);
  return new Blob([view, samples], { type: "audio/wav" });
}

/** Plays one sound at a time, at the speed that was chosen last and at the same pitch. */
export class Player {
  constructor(element) {
    this.element = element;
    this.speed = 1;
    this.playing = 0; // counts sounds, so that the end of an old one is not taken for that of the new one
  }

  /** Play a sound to its end. Resolves to "ended", "stopped" (by another sound, or by `stop`) or "blocked" (the browser
   * wants to be asked by a key or a click first). */
  play(blob) {
    this.stop();
    const mine = ++this.playing;
    const before = this.element.src;
    this.element.src = URL.createObjectURL(blob);
    URL.revokeObjectURL(before);
    this.element.preservesPitch = true;
    this.element.defaultPlaybackRate = this.speed;
    this.element.playbackRate = this.speed;
    return new Promise((resolve) => {
      const finish = (how) => {
        if (mine === this.playing) {
          this.finish = null;
        }
        resolve(how); // the first time counts
      };
      this.finish = finish;
      this.element.onended = () => finish("ended");
      this.element.onerror = () => finish("blocked");
      this.element.play().catch(() => finish("blocked"));
    });
  }

  stop() {
    this.element.pause();
    this.finish?.("stopped");
  }

  setSpeed(speed) {
    this.speed = speed;
    this.element.playbackRate = speed;
  }
}
