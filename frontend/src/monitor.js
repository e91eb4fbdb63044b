// Health: the verdict, counters, connections, rates and gaps on a timeline, events.
import { h, keepKeys, setText } from "./dom.js";
import { duration, formats } from "./format.js";
import { connect } from "./link.js";

const TONES = { good: "kp-up", warn: "kp-warn", bad: "kp-down", idle: "kp-soft" };
const COLUMNS = [
  ["Connection", true],
  ["Account", true],
  ["State", true],
  ["Instruments"],
  ["Messages/s"],
  ["kB/s"],
  ["Last byte"],
  ["Reconnects"],
];

function render({ model, el }) {
  let now = null;
  const dot = h("span", { class: "kp-dot" });
  const word = h("span", { class: "kp-verdict" });
  const why = h("span", { class: "kp-soft" });
  const bar = h(
    "div",
    { class: "kp-bar" },
    h("span", {}, dot, word),
    why,
    h("span", { class: "kp-grow" }),
  );
  const tiles = h("div", { class: "kp-tiles" });
  const body = h("tbody");
  const sheet = h(
    "table",
    { class: "kp-sheet" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ...COLUMNS.map(([label, text]) =>
          h("th", { scope: "col", class: text ? "kp-text" : "" }, label),
        ),
      ),
    ),
    body,
  );
  const lane = h("canvas", {
    class: "kp-lane",
    role: "img",
    "aria-label": "ticks per second, and gaps",
  });
  const events = h("div", { class: "kp-events", tabindex: "0", "aria-label": "events" });
  const title = h("div", { class: "kp-section" });
  const eventsTitle = h("div", { class: "kp-section" });
  const root = h(
    "div",
    { class: "kp kp-card kp-monitor" },
    bar,
    h("div", { class: "kp-live" }, tiles, sheet, title, lane, eventsTitle, events),
  );
  const take = (message) => {
    if (message.word !== undefined) now = message;
  };
  const link = connect(model, root, { snapshot: take, delta: take, paint });
  bar.append(link.badge);
  bar.after(link.note);
  el.append(root);
  keepKeys(root);

  function paint() {
    if (!now) return;
    setText(word, now.word);
    dot.className = `kp-dot ${TONES[now.tone]}`;
    word.className = `kp-verdict ${TONES[now.tone]}`;
    setText(why, now.why);
    tiles.replaceChildren(
      ...now.tiles.map(([label, value, tone]) =>
        h(
          "div",
          { class: "kp-tile" },
          h("b", { class: TONES[tone] ?? "" }, value),
          h("span", {}, label),
        ),
      ),
    );
    body.replaceChildren(...now.connections.map(connection));
    setText(
      title,
      now.gaps.length
        ? `Ticks per second; ${now.gaps.length} gap${now.gaps.length > 1 ? "s" : ""} in the last ${duration(now.span)}`
        : `Ticks per second over the last ${duration(now.span)}; no gap`,
    );
    setText(
      eventsTitle,
      now.events.length ? `Events (${formats.quantity(now.events_total)})` : "No events",
    );
    events.replaceChildren(
      ...now.events.map(([at, place, kind, detail]) =>
        h(
          "div",
          {},
          h("span", { class: "kp-soft" }, formats.time(at)),
          h("b", {}, place == null ? kind : `${kind} #${place}`),
          h("span", {}, detail),
        ),
      ),
    );
    drawLane();
  }
  function connection({
    index,
    account,
    state,
    tone,
    instruments,
    messages,
    kilobytes,
    silence,
    reconnects,
  }) {
    const cell = (text, attributes = {}) => h("td", attributes, text);
    return h(
      "tr",
      {},
      cell(`#${index}`, { class: "kp-text" }),
      cell(account, { class: "kp-text" }),
      cell(state, { class: `kp-text ${TONES[tone]}` }),
      cell(formats.quantity(instruments)),
      cell(messages.toFixed(1)),
      cell(kilobytes.toFixed(1)),
      cell(silence == null ? "–" : `${duration(silence)} ago`),
      cell(formats.quantity(reconnects)),
    );
  }
  function drawLane() {
    const width = lane.clientWidth,
      height = lane.clientHeight,
      scale = devicePixelRatio || 1;
    if (!width) return;
    lane.width = width * scale;
    lane.height = height * scale;
    const pen = lane.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(root);
    const ink = (name) => style.getPropertyValue(name);
    const left = 10,
      right = width - 52,
      floor = height - 18,
      start = now.clock - now.span * 1000;
    const x = (at) => left + ((Math.max(at, start) - start) / (now.span * 1000)) * (right - left);
    const top = Math.max(1, ...now.rates.map(([, rate]) => rate));
    pen.font = `11px ${style.fontFamily}`;
    for (const [from, to] of now.gaps) {
      pen.fillStyle = ink("--kp-down-wash");
      pen.fillRect(x(from), 4, Math.max(3, x(to ?? now.clock) - x(from)), floor - 4);
      pen.fillStyle = ink("--kp-down");
      pen.fillRect(x(from), floor - 3, Math.max(3, x(to ?? now.clock) - x(from)), 3);
    }
    pen.strokeStyle = ink("--kp-line");
    pen.strokeRect(left, floor + 0.5, right - left, 0);
    pen.beginPath();
    now.rates.forEach(([at, rate]) => pen.lineTo(x(at), floor - (rate / top) * (floor - 10)));
    pen.strokeStyle = ink("--kp-brand");
    pen.lineWidth = 1.5;
    pen.stroke();
    pen.fillStyle = ink("--kp-ink-soft");
    pen.fillText(formats.quantity(top), right + 5, 14);
    pen.fillText("0", right + 5, floor);
    pen.fillText(formats.time(start), left, height - 4);
    pen.fillText("now", right - 22, height - 4);
  }
  const size = new ResizeObserver(link.dirty);
  size.observe(lane);
  return () => {
    size.disconnect();
    link.close();
  };
}
export default { render };
