// The subscribed instruments, thousands of rows: filter and select, with mouse or keyboard.
import { h, keepKeys, nameInto, setText } from "./dom.js";
import { formats } from "./format.js";
import { arrays, connect } from "./link.js";
import { step, virtualRows } from "./rows.js";

const STATES = [
  ["…", "kp-warn", "requested, not yet confirmed by a tick"],
  ["✓", "kp-up", "ticks arrive in this mode"],
  ["∅", "kp-soft", "no tick so far"],
];

function render({ model, el }) {
  let symbols = [],
    labels = [],
    tokens = new Uint32Array(0),
    modes = new Uint8Array(0),
    places = new Uint8Array(0),
    states = new Uint8Array(0);
  let order = [];
  let cursor = 0;
  let anchor = 0;
  const chosen = new Set(model.get("selected"));

  const filter = h("input", {
    type: "search",
    placeholder: "Filter: infy, full, #2 …",
    "aria-label": "Filter subscriptions",
    oninput: refilter,
  });
  const count = h("span", { class: "kp-soft kp-count" });
  const all = h("button", { type: "button", class: "kp-asks", onclick: selectAll }, "Select all");
  const rows = virtualRows({ height: 208, label: "Subscribed instruments", make, fill });
  rows.box.setAttribute("aria-multiselectable", "true");
  const bar = h(
    "div",
    { class: "kp-bar" },
    h("span", { class: "kp-title" }, "Subscribed"),
    filter,
    all,
    h("span", { class: "kp-grow" }),
    count,
  );
  const root = h("div", { class: "kp kp-card kp-subscriptions" }, bar, rows.box);
  const link = connect(model, root, {
    snapshot: take,
    delta: take,
    paint: () => rows.paint(),
    picture: () => [{ symbols, labels }, [modes, places, states, tokens]],
  });
  bar.append(link.badge);
  bar.after(link.note);
  el.append(root);
  keepKeys(root);

  function take(message, buffers) {
    if (message.symbols) {
      symbols = message.symbols;
      labels = message.labels;
      tokens = arrays.u32(buffers[3]);
      const there = new Set(tokens);
      for (const token of chosen) if (!there.has(token)) chosen.delete(token);
    }
    if (!buffers.length) return;
    [modes, places, states] = buffers.slice(0, 3).map(arrays.u8);
    refilter();
  }
  function refilter() {
    const words = filter.value.toUpperCase().split(/\s+/).filter(Boolean);
    const text = (k) =>
      `${symbols[k]} ${labels[k].toUpperCase()} ${formats.mode(modes[k]).toUpperCase()} #${places[k]}`;
    order = Array.from(symbols.keys());
    if (words.length) order = order.filter((k) => words.every((word) => text(k).includes(word)));
    cursor = Math.min(cursor, Math.max(0, order.length - 1));
    rows.resize(order.length, symbols.length ? "No instrument matches." : "Nothing is subscribed.");
    tally();
    link.dirty();
  }
  function tally() {
    const shown =
      order.length === symbols.length
        ? formats.quantity(symbols.length)
        : `${formats.quantity(order.length)} of ${formats.quantity(symbols.length)}`;
    setText(count, chosen.size ? `${formats.quantity(chosen.size)} selected, ${shown}` : shown);
  }
  function make() {
    const symbol = h("span", { class: "kp-text kp-symbol" });
    const mode = h("span", { class: "kp-text" });
    const place = h("span", { class: "kp-soft" });
    const state = h("span");
    const element = h(
      "div",
      { role: "row", onclick: (event) => press(entry.position, event) },
      symbol,
      mode,
      place,
      state,
    );
    element.style.gridTemplateColumns = "minmax(120px, 1fr) 64px 48px 40px";
    const entry = { element, symbol, mode, place, state };
    return entry;
  }
  function fill(entry, position) {
    const k = order[position];
    if (entry.symbol.dataset.name !== symbols[k]) {
      nameInto(entry.symbol, symbols[k], labels[k]);
      entry.symbol.dataset.name = symbols[k];
    }
    setText(entry.mode, formats.mode(modes[k]));
    setText(entry.place, `#${places[k]}`);
    const [mark, tone, title] = STATES[states[k]];
    setText(entry.state, mark);
    entry.state.className = tone;
    entry.state.title = title;
    entry.element.dataset.token = tokens[k];
    entry.element.setAttribute("aria-selected", chosen.has(tokens[k]));
    entry.element.classList.toggle("kp-cursor", position === cursor);
  }
  function press(position, { shiftKey, ctrlKey, metaKey }) {
    const token = tokens[order[position]];
    if (shiftKey) {
      range(anchor, position);
    } else if (ctrlKey || metaKey) {
      if (!chosen.delete(token)) chosen.add(token);
      anchor = position;
    } else {
      chosen.clear();
      chosen.add(token);
      anchor = position;
    }
    cursor = position;
    report();
  }
  function range(from, to) {
    chosen.clear();
    for (let k = Math.min(from, to); k <= Math.max(from, to); k += 1) chosen.add(tokens[order[k]]);
  }
  function selectAll() {
    const every = order.length && order.every((k) => chosen.has(tokens[k]));
    chosen.clear();
    if (!every) for (const k of order) chosen.add(tokens[k]);
    report();
  }
  function report() {
    tally();
    link.send({ kind: "selection", tokens: [...chosen] });
    link.dirty();
  }
  rows.box.addEventListener("scroll", link.dirty, { passive: true });
  rows.box.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "a") {
      event.preventDefault();
      selectAll();
      return;
    }
    if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      link.send({ kind: "remove", tokens: [...chosen] });
      return;
    }
    const to = step(event.key, cursor, order.length, rows.pageSize());
    if (to === null) return;
    event.preventDefault();
    if (event.shiftKey) range(anchor, to);
    else {
      chosen.clear();
      chosen.add(tokens[order[to]]);
      anchor = to;
    }
    cursor = to;
    rows.reveal(to);
    report();
  });
  const size = new ResizeObserver(link.dirty);
  size.observe(rows.box);
  return () => {
    size.disconnect();
    link.close();
  };
}
export default { render };
