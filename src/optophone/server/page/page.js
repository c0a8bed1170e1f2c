// The page: a picture comes in, is described, and is spoken at once.

import { drawAttention, drawSpectrogram } from "/drawing.js";
import { Player, readWav, writeWav } from "/sound.js";

const WAIT = "Describing, please wait.";
const DONE = "Done.";
const PATIENCE_MS = 500; // how long nothing is said while a picture is being described
const MAX_VARIANTS = 4;

const part = (id) => document.getElementById(id);
const player = new Player(part("sound"));
const phrases = new Map(); // sounds of what the page itself says
let picture = null; // what is described now
let shown = null; // the answer for it
let heard = null; // the sound that Repeat repeats
let variants = []; // all that was asked for, best first
let spokenVariant = 0;
let work = new AbortController(); // what is under way; a new picture and Escape end it

// ---------------------------------------------------------------------------------------------------------------------
// Settings, kept in this browser where it lets us

const settings = { reader: "voice", sayStatus: true, shortcuts: true };

function loadSettings() {
  try {
    Object.assign(settings, JSON.parse(localStorage.getItem("optophone") ?? "{}"));
  } catch {
    // a browser that keeps nothing: the settings last as long as the page
  }
  document.querySelectorAll("[name=reader]").forEach((choice) => {
    choice.checked = choice.value === settings.reader;
  });
  part("say-status").checked = settings.sayStatus;
  part("shortcuts").checked = settings.shortcuts;
  applySettings();
}

function applySettings() {
  settings.reader = document.querySelector("[name=reader]:checked")?.value ?? "voice";
  settings.sayStatus = part("say-status").checked;
  settings.shortcuts = part("shortcuts").checked;
  part("keys").hidden = !settings.shortcuts;
  for (const [key, { id }] of Object.entries(KEYS)) {
    if (settings.shortcuts) {
      part(id)?.setAttribute("aria-keyshortcuts", key);
    } else {
      part(id)?.removeAttribute("aria-keyshortcuts");
    }
  }
  try {
    localStorage.setItem("optophone", JSON.stringify(settings));
  } catch {
    // as above
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Talking to the server

class Refusal extends Error {}

async function ask(address, options, signal = work.signal) {
  let answer;
  try {
    answer = await fetch(address, { method: "POST", signal, ...options });
  } catch (error) {
    if (error.name === "AbortError") {
      throw error;
    }
    throw new Refusal("The server does not answer. Is it still running?");
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Refusal(problem.detail ?? `The server answered ${answer.status}.`);
  }
  return answer;
}

/** Describe a picture in words. */
async function describe(file, nVariants) {
  const options = { body: file, headers: { "Content-Type": "application/octet-stream", Accept: "application/json" } };
  return (await ask(`/v1/describe?attention=true&variants=${nVariants}`, options)).json();
}

/** The sound of a text, whole. */
async function speakText(text, signal = work.signal) {
  const body = JSON.stringify({ input: text, response_format: "wav" });
  const answer = await ask("/v1/audio/speech", { body, headers: { "Content-Type": "application/json" } }, signal);
  return readWav(await answer.arrayBuffer());
}

/** The sound of a picture, for systems that speak without words. */
async function speakPicture(file) {
  const options = { body: file, headers: { "Content-Type": "application/octet-stream", Accept: "audio/wav" } };
  return readWav(await (await ask("/v1/describe", options)).arrayBuffer());
}

// ---------------------------------------------------------------------------------------------------------------------
// Status, in the live region and by voice

/** Set the status. What is only to be seen is kept from screen readers: they would talk into the description. */
function setStatus(text, isBusy = false, onlySeen = "") {
  const seen = document.createElement("span");
  seen.setAttribute("aria-hidden", "true");
  seen.textContent = onlySeen;
  part("status").replaceChildren(text, seen);
  part("status").toggleAttribute("data-busy", isBusy);
}

/** Fetch the sounds of the page's own words, so that they are there when they are needed. */
async function loadPhrases() {
  for (const text of [WAIT, DONE]) {
    if (settings.sayStatus && !phrases.has(text)) {
      try {
        phrases.set(text, writeWav(await speakText(text, null)));
      } catch {
        return; // a server without a voice for texts: the live region says it
      }
    }
  }
}

function sayStatus(text) {
  const sound = phrases.get(text);
  if (sound && settings.sayStatus && settings.reader === "voice") {
    player.play(sound);
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Describing and speaking

async function take(file) {
  if (!file) {
    return;
  }
  begin();
  picture = file;
  shown = heard = null;
  setStatus(WAIT, true);
  const impatience = setTimeout(() => sayStatus(WAIT), PATIENCE_MS);
  const mine = work;
  try {
    const answer = await describe(file, 1);
    shown = answer;
    variants = answer.variants;
    spokenVariant = 0;
    await show(answer);
    clearTimeout(impatience);
    if (mine === work) {
      await tell(answer.variants[0]);
    }
  } catch (error) {
    report(error, mine);
  } finally {
    clearTimeout(impatience);
  }
}

/** End what is under way, so that something new can begin. */
function begin() {
  work.abort();
  work = new AbortController();
  player.stop();
}

function report(error, mine) {
  if (error.name === "AbortError" || mine !== work) {
    return; // somebody stopped it, and the status says so
  }
  player.stop();
  setStatus(error instanceof Refusal ? `Not described. ${error.message}` : "Not described. Something went wrong.");
  if (!(error instanceof Refusal)) {
    console.error(error);
  }
}

/** Give a description to whoever reads it: the voice, or the screen reader by way of the live region. */
async function tell(variant) {
  if (settings.reader === "screen-reader" && variant.said && shown.writes !== "units") {
    setStatus(`${variant.said}. ${sureness(variant)}.`);
    return;
  }
  const mine = work;
  heard = shown.has_voice ? await speakText(variant.said) : await speakPicture(picture);
  part("heard").hidden = false;
  drawSpectrogram(part("spectrogram"), heard);
  if (mine === work) {
    await play();
  }
}

async function play() {
  setStatus("", true, "Speaking.");
  const mine = work;
  const how = await player.play(writeWav(heard));
  if (mine !== work) {
    return;
  }
  if (how === "ended") {
    setStatus(DONE);
    sayStatus(DONE);
  } else if (how === "blocked") {
    setStatus("Described. Press Repeat to hear it.");
  }
}

function sureness(variant) {
  if (variant.certainty === null) {
    return "How sure it is, nobody knows";
  }
  if (variant.refused) {
    return "Not a photograph, as far as can be told";
  }
  const word = variant.certainty[0].toUpperCase() + variant.certainty.slice(1);
  return `${word}: ${Math.round(100 * variant.confidence)} percent`;
}

async function show(answer) {
  const best = answer.variants[0];
  const hasWords = best.said && answer.writes !== "units";
  part("said").textContent = hasWords ? best.said : "This system speaks without words. Listen.";
  part("sure").textContent = sureness(best);
  part("another").hidden = !answer.has_voice || best.refused;
  part("others").hidden = true;
  part("heard").hidden = true;
  part("result").hidden = false;
  part("seen").hidden = false;
  await showPicture(hasWords ? best.said : "The picture that is described");
  if (answer === shown) {
    showAttention(answer.attention);
  }
}

async function showPicture(text) {
  const preview = part("preview");
  const before = preview.src;
  preview.src = URL.createObjectURL(picture);
  URL.revokeObjectURL(before);
  preview.alt = text;
  try {
    await preview.decode();
    preview.hidden = false;
  } catch {
    preview.hidden = true; // a format that the server reads and the browser does not
  }
}

function showAttention(attention) {
  part("looked").hidden = !attention;
  part("words").replaceChildren(
    ...(attention?.words ?? []).map((word, i) => {
      const box = document.createElement("div");
      const canvas = document.createElement("canvas");
      drawAttention(canvas, part("preview"), attention, attention.weights[i]);
      box.append(canvas, word);
      return box;
    }),
  );
}

async function repeat() {
  if (!shown) {
    return;
  }
  begin();
  const mine = work;
  try {
    if (heard && settings.reader === "voice") {
      await play();
    } else {
      await tell(variants[spokenVariant]);
    }
  } catch (error) {
    report(error, mine);
  }
}

/** Speak the next of several descriptions; the first time they are asked for. */
async function another() {
  if (!shown || part("another").hidden) {
    return;
  }
  begin();
  const mine = work;
  try {
    if (variants.length < 2) {
      setStatus(WAIT, true);
      variants = (await describe(picture, MAX_VARIANTS)).variants;
      listVariants();
    }
    if (variants.length < 2) {
      setStatus("There is no other description.");
      return;
    }
    spokenVariant = (spokenVariant + 1) % variants.length;
    await tell(variants[spokenVariant]);
  } catch (error) {
    report(error, mine);
  }
}

function listVariants() {
  part("others").hidden = variants.length < 2;
  part("variants").replaceChildren(
    ...variants.map((variant, i) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Say";
      button.setAttribute("aria-label", `Say: ${variant.said}`);
      button.addEventListener("click", () => sayVariant(i));
      const words = document.createElement("span");
      words.textContent = `${variant.said} (${sureness(variant)})`;
      item.append(button, words);
      return item;
    }),
  );
}

async function sayVariant(number) {
  begin();
  const mine = work;
  spokenVariant = number;
  try {
    await tell(variants[number]);
  } catch (error) {
    report(error, mine);
  }
}

function stop() {
  const wasBusy = part("status").hasAttribute("data-busy");
  begin();
  if (wasBusy) {
    setStatus("Stopped.");
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Where pictures come from

function isPicture(file) {
  return file && (file.type.startsWith("image/") || file.type === "");
}

function takeFirst(files, nothing) {
  const file = [...(files ?? [])].find(isPicture);
  if (file) {
    take(file);
  } else {
    begin();
    setStatus(nothing);
  }
}

async function pasteByButton() {
  begin();
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find((one) => one.startsWith("image/"));
      if (type) {
        take(await item.getType(type));
        return;
      }
    }
    setStatus("There is no picture in the clipboard.");
  } catch {
    setStatus("The browser does not let this page read the clipboard. Paste with the keyboard instead.");
  }
}

async function photograph() {
  begin();
  if (matchMedia("(pointer: coarse)").matches || !navigator.mediaDevices?.getUserMedia) {
    part("capture").click(); // a telephone's own camera
    return;
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    part("view").srcObject = stream;
    await part("view").play();
    part("camera").showModal();
    part("shoot").focus();
    setStatus("The camera is on.");
  } catch {
    closeCamera();
    setStatus("There is no camera, or the browser does not let this page use it.");
  }
}

function shoot() {
  const view = part("view");
  const canvas = document.createElement("canvas");
  canvas.width = view.videoWidth;
  canvas.height = view.videoHeight;
  canvas.getContext("2d").drawImage(view, 0, 0);
  part("camera").close();
  canvas.toBlob((blob) => take(blob), "image/jpeg", 0.92);
}

function closeCamera() {
  part("view").srcObject?.getTracks().forEach((track) => track.stop());
  part("view").srcObject = null;
}

// ---------------------------------------------------------------------------------------------------------------------
// Keys. Letters alone belong to screen readers, so ours come with Alt; none of them is a browser's own.

const KEYS = {
  Escape: { id: "stop", act: stop },
  "Alt+O": { id: "choose", act: () => part("file").click() },
  "Alt+P": { id: "photograph", act: photograph },
  "Alt+R": { id: "repeat", act: repeat },
  "Alt+N": { id: "another", act: another },
  "Alt+,": { id: "", act: () => changeSpeed(-1) },
  "Alt+.": { id: "", act: () => changeSpeed(1) },
};
const CODES = { Comma: ",", Period: "." };

function onKey(event) {
  if (event.key === "Escape" && !part("camera").open) {
    stop();
    return;
  }
  if (!settings.shortcuts || !event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) {
    return;
  }
  const key = `Alt+${CODES[event.code] ?? event.code.replace("Key", "")}`;
  if (KEYS[key] && !part("camera").open) {
    event.preventDefault();
    KEYS[key].act();
  }
}

function changeSpeed(direction) {
  const slider = part("speed");
  if (direction > 0) {
    slider.stepUp();
  } else {
    slider.stepDown();
  }
  onSpeed();
  setStatus(`Speed: ${part("speed-shown").textContent}.`);
}

function onSpeed() {
  const speed = Number(part("speed").value);
  player.setSpeed(speed);
  part("speed-shown").textContent = speed === 1 ? "normal" : `${speed} times`;
  part("speed").setAttribute("aria-valuetext", part("speed-shown").textContent);
}

// ---------------------------------------------------------------------------------------------------------------------

function connect() {
  for (const [id, act] of [
    ["choose", () => part("file").click()],
    ["photograph", photograph],
    ["paste", pasteByButton],
    ["repeat", repeat],
    ["stop", stop],
    ["another", another],
    ["shoot", shoot],
    ["cancel", () => part("camera").close()],
  ]) {
    part(id).addEventListener("click", act);
  }
  for (const id of ["file", "capture"]) {
    part(id).addEventListener("change", () => {
      take(part(id).files[0]);
      part(id).value = ""; // the same file may be chosen again
    });
  }
  part("camera").addEventListener("close", closeCamera);
  part("speed").addEventListener("input", onSpeed);
  document.addEventListener("keydown", onKey);
  document.addEventListener("paste", (event) => takeFirst(event.clipboardData?.files, "There is no picture in the clipboard."));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.dataset.dropping = "";
  });
  document.addEventListener("dragleave", () => delete document.body.dataset.dropping);
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    delete document.body.dataset.dropping;
    takeFirst(event.dataTransfer?.files, "What was dropped is no picture.");
  });
  for (const input of document.querySelectorAll("[name=reader], #say-status, #shortcuts")) {
    input.addEventListener("change", () => {
      applySettings();
      loadPhrases();
    });
  }
  part("paste").hidden = !navigator.clipboard?.read;
}

connect();
loadSettings();
onSpeed();
loadPhrases();
