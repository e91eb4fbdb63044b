// Alerts that fired, announced in a corner of the page with a sound: each once, whichever view of
// the page hears of it first. Views are bundled apart, so that what they share is in the document.
import { h, setText } from "./dom.js";
import { formats, show } from "./format.js";
import { recall, remember } from "./memory.js";

const LASTS = 10_000; // milliseconds
const MOST = 4; // toasts on screen; the others are counted
const REMEMBERED = 2_000;
const MUTED = "kitepolars-muted"; // an event of the page
const NOTES = [880, 1320]; // Hz
const NOTE_SECONDS = 0.14;
const QUIET = 1_500; // milliseconds between two sounds

let audio = null;
let sounded = -QUIET;

function sound() {
  if (performance.now() - sounded < QUIET) return;
  sounded = performance.now();
  audio ??= new AudioContext();
  // Browsers let a page sound only after a click or a key in it.
  Promise.resolve(audio.state === "suspended" ? audio.resume() : null)
    .then(() => NOTES.forEach(note))
    .catch(() => {});
}
function note(pitch, place) {
  const start = audio.currentTime + place * NOTE_SECONDS;
  const end = start + NOTE_SECONDS;
  const volume = audio.createGain();
  volume.gain.setValueAtTime(0.0001, start);
  volume.gain.exponentialRampToValueAtTime(0.2, start + 0.01);
  volume.gain.exponentialRampToValueAtTime(0.0001, end);
  const tone = audio.createOscillator();
  tone.frequency.value = pitch;
  tone.connect(volume).connect(audio.destination);
  tone.start(start);
  tone.stop(end);
}

export const isMuted = () => recall("muted") === true;

export function mute(muted) {
  remember("muted", muted);
  document.dispatchEvent(new CustomEvent(MUTED));
}

// Calls a function when the sound is switched; returns how to end that.
export function onMuted(changed) {
  document.addEventListener(MUTED, changed);
  return () => document.removeEventListener(MUTED, changed);
}

function corner() {
  let box = document.querySelector("body > .kp-toasts");
  if (!box) {
    box = h("div", { class: "kp kp-toasts", role: "status", "aria-live": "polite" });
    box.announced = new Set();
    document.body.append(box);
  }
  return box;
}

// Returns what takes each message of a view: rows that fired before it came are not announced.
export function announcer() {
  let from = null;
  return (rows, number) => {
    const fresh = from === null ? [] : rows.filter((row) => row.number >= from);
    from = Math.max(from ?? 0, number);
    if (fresh.length) announce(fresh);
  };
}

function announce(rows) {
  const box = corner();
  const key = ({ number, time, name, symbol }) => JSON.stringify([number, time, name, symbol]);
  const fresh = rows.filter((row) => !box.announced.has(key(row)));
  if (!fresh.length) return;
  fresh.forEach((row) => box.announced.add(key(row)));
  for (const old of [...box.announced].slice(0, -REMEMBERED)) box.announced.delete(old);
  const shown = fresh.length > MOST ? fresh.slice(1 - MOST) : fresh;
  if (shown.length < fresh.length)
    toast(box, `${formats.quantity(fresh.length - shown.length)} more alerts`, "");
  shown.forEach((row) => toast(box, row.name, where(row)));
  while (box.children.length > MOST) box.firstElementChild.remove();
  if (!isMuted()) sound();
}
const where = ({ label, symbol, price, time }) =>
  [label ?? symbol ?? "", show("price", price), `at ${formats.time(time * 1000)}`]
    .filter(Boolean)
    .join(" ");

function toast(box, title, detail) {
  const away = () => element.remove();
  const quiet = h("button", { type: "button", onclick: () => mute(!isMuted()) });
  const label = () => setText(quiet, isMuted() ? "Sound on" : "Mute");
  const element = h(
    "div",
    { class: "kp-toast" },
    h("div", { class: "kp-toast-text" }, h("b", {}, title), h("span", {}, detail)),
    quiet,
    h("button", { type: "button", "aria-label": "Close", onclick: away }, "×"),
  );
  label();
  quiet.addEventListener("click", label);
  box.append(element);
  setTimeout(away, LASTS);
}
