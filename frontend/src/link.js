// The view's end of the connection to the kernel.
//
// A view sends "ready" until it has a snapshot; numbered deltas follow. After a missing number it
// sends "ready" again. It sends "alive" now and then, so that the kernel stops working for views
// that are gone, and "gone" when it leaves. The kernel sends something every second; when it is
// silent, the view is marked as stale; when something failed there, the note says what.
//
// Where no kernel answers, the model's recording is played: in a saved notebook, in an exported
// page. What a live view shows is the recording that would be saved now. Painting happens in
// animation frames only.
import { h, setText } from "./dom.js";
import { formats } from "./format.js";

const BEAT = 1000;
const ALIVE_EVERY = 5;
const STALE_AFTER = 3500;
const PAUSE = 1000; // between the end of a recording and its repetition

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

// The messages of a recording, whose data has their buffers one after the other.
function recorded({ messages = [], data } = {}) {
  let start = data?.byteOffset;
  return messages.map(({ at, content, sizes }) => {
    const buffers = sizes.map((size) => {
      start += size;
      return new DataView(data.buffer, start - size, size);
    });
    return { at, content, buffers };
  });
}

function joined(buffers) {
  const parts = buffers.map((buffer) => new Uint8Array(bytes(buffer)));
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let start = 0;
  for (const part of parts) {
    whole.set(part, start);
    start += part.length;
  }
  return new DataView(whole.buffer);
}

// Plays messages in the rhythm in which they were sent, again and again; returns how to stop.
function play(messages, take) {
  let timers = [];
  const start = messages[0].at;
  const repeat = () => {
    timers = messages.map(({ at, content, buffers }) =>
      setTimeout(() => take(content, buffers), at - start),
    );
    if (messages.length > 1) timers.push(setTimeout(repeat, messages.at(-1).at - start + PAUSE));
  };
  repeat();
  return () => timers.forEach(clearTimeout);
}

// `picture` returns what is shown as the content and the buffers of one snapshot; without it, the
// last snapshot is what is shown.
export function connect(model, root, { snapshot, delta = () => {}, paint, picture }) {
  const view = `${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
  const badge = h("span", { class: "kp-badge", role: "status", hidden: true });
  const note = h("div", { class: "kp-note", role: "alert", hidden: true });
  let expected = null; // number of the next message
  let last = null; // content and buffers of the last snapshot
  let clock = 0; // the kernel's at the last message
  let heard = performance.now();
  let beats = 0;
  let frame = 0;
  let closed = false;
  let stopPlayer = null;

  // A model whose kernel has gone throws, now or in its promise: the view then becomes stale.
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
    if (stopPlayer) {
      stopPlayer();
      stopPlayer = null;
      expected = null; // the recording's numbers mean nothing to the kernel
    }
    const isFirst = last === null;
    take(message, buffers);
    if (isFirst && last !== null) offerPicture();
  }
  function take(message, buffers) {
    heard = performance.now();
    if (message.notice !== undefined) {
      note.hidden = !message.notice;
      setText(note, message.notice);
    }
    if (message.kind === "snapshot") {
      expected = message.seq + 1;
      last = [message, buffers];
      clock = message.clock;
      snapshot(message, buffers);
    } else if (expected !== null && message.kind === "delta") {
      if (message.seq < expected) return;
      if (message.seq > expected) {
        expected = null;
        send({ kind: "ready" });
        return;
      }
      expected += 1;
      clock = message.clock;
      delta(message, buffers);
    } else return;
    root.dataset.seq = message.seq;
    mark();
    dirty();
  }
  // The model is cloned when a notebook is saved: only then is the picture made. It is never
  // sent to the kernel.
  function offerPicture() {
    const shown = () => (picture ? picture() : last);
    model.set("recording", {
      saved: true,
      get messages() {
        const [content, buffers] = shown();
        const notice = note.hidden ? "" : note.textContent;
        const line = { kind: "snapshot", seq: 1, clock, notice };
        const sizes = buffers.map((buffer) => buffer.byteLength);
        return [{ at: 0, content: { ...content, ...line }, sizes }];
      },
      get data() {
        return joined(shown()[1]);
      },
    });
  }
  function mark() {
    const silence = performance.now() - heard;
    const stale = !stopPlayer && silence > STALE_AFTER;
    root.classList.toggle("kp-stale", stale);
    root.classList.toggle("kp-recorded", stopPlayer !== null);
    badge.hidden = !stale && !stopPlayer;
    if (stopPlayer) setText(badge, `Recorded ${formats.moment(clock)}`);
    else if (stale)
      setText(
        badge,
        `not connected for ${Math.round(silence / 1000)} s: the kernel is busy or gone`,
      );
    return stale;
  }
  function beat() {
    beats += 1;
    const stale = mark();
    if (expected === null || stopPlayer || (stale && beats % 3 === 0)) send({ kind: "ready" });
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
  const messages = recorded(model.get("recording"));
  if (messages.length) stopPlayer = play(messages, take);
  return {
    badge,
    note,
    send,
    dirty,
    isRecorded: () => stopPlayer !== null,
    clock: () => (stopPlayer ? clock : clock + performance.now() - heard),
    close() {
      closed = true;
      stopPlayer?.();
      clearInterval(timer);
      cancelAnimationFrame(frame);
      model.off("msg:custom", receive);
      removeEventListener("pagehide", leave);
      removeEventListener("pageshow", back);
      leave();
    },
  };
}
