// The view's end of the line to the kernel.
//
// A view says "ready", and says it again until it has a snapshot; deltas follow, numbered. After a
// missing number it asks again. It says "alive" now and then, so that the kernel stops working for
// views that are gone, and "gone" when it leaves. The kernel says something every second; when it
// is silent, what is on screen is marked as stale; when something failed there, the note says what.
// Painting happens in animation frames only.
import { h, setText } from "./dom.js";

const BEAT = 1000;
const ALIVE_EVERY = 5;
const STALE_AFTER = 3500;

export const arrays = {
  f64: (view) => new Float64Array(bytes(view)),
  f32: (view) => new Float32Array(bytes(view)),
  i32: (view) => new Int32Array(bytes(view)),
  u32: (view) => new Uint32Array(bytes(view)),
  u8: (view) => new Uint8Array(bytes(view)),
};

// A copy, because a buffer may start at any offset and arrays must be aligned.
function bytes(view) {
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
}

export function connect(model, root, { snapshot, delta = () => {}, paint }) {
  const view = `${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
  const badge = h("span", { class: "kp-badge", role: "status", hidden: true });
  const note = h("div", { class: "kp-note", role: "alert", hidden: true });
  let expected = null;
  let heard = performance.now();
  let beats = 0;
  let frame = 0;
  let closed = false;

  // A model whose kernel has gone throws, now or in its promise: the view then grows stale.
  function send(content) {
    try {
      Promise.resolve(model.send({ view, ...content })).catch(() => {});
    } catch {
      /* likewise */
    }
  }
  function dirty() {
    if (!frame && !closed)
      frame = requestAnimationFrame(() => {
        frame = 0;
        paint?.();
      });
  }
  function receive(message, buffers) {
    heard = performance.now();
    if (message.notice !== undefined) {
      note.hidden = !message.notice;
      setText(note, message.notice);
    }
    if (message.kind === "snapshot") {
      expected = message.seq + 1;
      snapshot(message, buffers);
    } else if (expected !== null && message.kind === "delta") {
      if (message.seq < expected) return;
      if (message.seq > expected) {
        expected = null;
        send({ kind: "ready" });
        return;
      }
      expected += 1;
      delta(message, buffers);
    } else return;
    root.dataset.seq = message.seq;
    mark();
    dirty();
  }
  function mark() {
    const silence = performance.now() - heard;
    const stale = silence > STALE_AFTER;
    root.classList.toggle("kp-stale", stale);
    badge.hidden = !stale;
    if (stale)
      badge.textContent = `not connected for ${Math.round(silence / 1000)} s: the kernel is busy or gone`;
    return stale;
  }
  function beat() {
    beats += 1;
    const stale = mark();
    if (expected === null || (stale && beats % 3 === 0)) send({ kind: "ready" });
    else if (beats % ALIVE_EVERY === 0) send({ kind: "alive" });
  }
  const leave = () => send({ kind: "gone" });
  const back = (event) => {
    if (event.persisted) send({ kind: "ready" });
  };

  model.on("msg:custom", receive);
  addEventListener("pagehide", leave);
  addEventListener("pageshow", back);
  const timer = setInterval(beat, BEAT);
  send({ kind: "ready" });
  return {
    badge,
    note,
    send,
    dirty,
    close() {
      closed = true;
      clearInterval(timer);
      cancelAnimationFrame(frame);
      model.off("msg:custom", receive);
      removeEventListener("pagehide", leave);
      removeEventListener("pageshow", back);
      leave();
    },
  };
}
