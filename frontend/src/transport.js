// The transport of a replay: play, pause, speed, and a time line with the gaps marked.
import { h, keepKeys, setText } from "./dom.js";
import { formats } from "./format.js";
import { connect } from "./link.js";

const FASTEST = "fastest";

function render({ model, el }) {
  let now = null;
  let dragged = null; // the time under the thumb while it is dragged
  const toggle = h("button", {
    type: "button",
    class: "kp-play",
    onclick: () => link.send({ kind: now?.playing ? "pause" : "play" }),
  });
  const restart = h(
    "button",
    {
      type: "button",
      onclick: () => now && link.send({ kind: "seek", at: now.begin }),
    },
    "From the start",
  );
  const moment = h("span", { class: "kp-title kp-moment" });
  const word = h("span", { class: "kp-soft" });
  const speed = h("select", {
    "aria-label": "speed",
    onchange: () =>
      link.send({ kind: "speed", speed: speed.value === FASTEST ? null : Number(speed.value) }),
  });
  const line = h("input", {
    type: "range",
    min: "0",
    max: "1",
    step: "any",
    "aria-label": "position",
    oninput: () => {
      dragged = now.begin + Number(line.value) * (now.end - now.begin);
      link.dirty();
    },
    onchange: () => {
      if (dragged !== null) link.send({ kind: "seek", at: dragged });
      dragged = null;
    },
  });
  const marks = h("div", { class: "kp-marks" });
  const begin = h("span", { class: "kp-soft" });
  const end = h("span", { class: "kp-soft" });
  const bar = h(
    "div",
    { class: "kp-bar" },
    toggle,
    restart,
    moment,
    word,
    h("span", { class: "kp-grow" }),
    h("label", { class: "kp-soft" }, "Speed ", speed),
  );
  const track = h(
    "div",
    { class: "kp-live kp-track" },
    begin,
    h("div", { class: "kp-timeline" }, marks, line),
    end,
  );
  const root = h("div", { class: "kp kp-card kp-transport" }, bar, track);
  const take = (message) => {
    if (message.begin !== undefined) now = message;
  };
  const link = connect(model, root, { snapshot: take, delta: take, paint });
  bar.append(link.badge);
  bar.after(link.note);
  el.append(root);
  keepKeys(root);

  function paint() {
    if (!now) return;
    const length = Math.max(1, now.end - now.begin);
    const share = (at) => Math.min(1, Math.max(0, (at - now.begin) / length));
    const at = dragged ?? now.now;
    setText(toggle, now.playing ? "Pause" : now.over ? "Play again" : "Play");
    setText(moment, formats.time(at));
    setText(word, now.over ? "the end" : now.playing ? "" : "paused");
    setText(begin, formats.moment(now.begin));
    setText(end, formats.moment(now.end));
    if (dragged === null) line.value = share(at);
    line.setAttribute("aria-valuetext", formats.time(at));
    paintSpeeds();
    marks.replaceChildren(
      ...now.gaps.map(([from, to]) =>
        h("i", {
          style: `left:${100 * share(from)}%;width:${100 * (share(to) - share(from))}%`,
          title: `gap from ${formats.time(from)} to ${formats.time(to)}`,
        }),
      ),
    );
  }
  function paintSpeeds() {
    const offered = now.speeds.map((each) => each ?? FASTEST);
    const own = now.speed ?? FASTEST;
    const values = offered.includes(own) ? offered : [own, ...offered];
    const shown = [...speed.options].map((option) => option.value);
    if (values.join() !== shown.join()) {
      speed.replaceChildren(
        ...values.map((each) =>
          h("option", { value: each }, each === FASTEST ? "as fast as possible" : `${each}×`),
        ),
      );
    }
    if (document.activeElement !== speed) speed.value = own;
  }
  return () => link.close();
}
export default { render };
