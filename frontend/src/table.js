// The live table. All values are held here, one array per column; only the rows on screen exist as
// elements. The kernel sends changed rows: those on screen at each refresh, the others less often.
import { chips, h, keepKeys, nameInto, setText } from "./dom.js";
import { direction, formats } from "./format.js";
import { arrays, connect } from "./link.js";
import { recall, remember } from "./memory.js";
import { step, virtualRows } from "./rows.js";
import { drawSparkline } from "./sparkline.js";

const RESORT_EVERY = 700;
const REPORT_EVERY = 200;
const SYMBOL_WIDTH = 200; // least, in pixels: a contract's readable name
const MAX_SAVED = 500; // rows in a saved notebook, as they are sorted and filtered
const MOVEMENTS = {
  all: ["All", () => true],
  gainers: ["Gainers", (row, state) => state.change(row) > 0],
  losers: ["Losers", (row, state) => state.change(row) < 0],
  quiet: ["Quiet", (row, state, now) => state.age(row, now) > state.staleAfter],
};

class State {
  constructor(message, buffers) {
    this.columns = message.columns;
    this.message = message;
    this.symbols = message.symbols;
    this.labels = message.labels;
    this.texts = message.symbols.map((symbol, row) => `${symbol} ${this.labels[row]}`.toUpperCase());
    this.exchanges = message.symbols.map((symbol) => symbol.split(":", 1)[0]);
    this.rows = message.symbols.length;
    this.staleAfter = message.stale_after;
    this.points = message.points;
    this.tokens = arrays.u32(buffers[0]);
    const values = arrays.f64(buffers[1]);
    this.values = this.columns.map((_, c) => values.subarray(c * this.rows, (c + 1) * this.rows));
    this.sparks = arrays.f32(buffers[2]);
    this.sampled = message.sampled;
    this.received = this.values[this.columns.findIndex((column) => column.key === "received_at")];
    this.changes = this.values[this.columns.findIndex((column) => column.key === "change")];
    this.modes = this.values[this.columns.findIndex((column) => column.key === "mode")];
    this.last = this.values[this.columns.findIndex((column) => column.key === "last_price")];
    const byName = Array.from(this.symbols.keys()).sort((a, b) =>
      this.symbols[a] < this.symbols[b] ? -1 : 1,
    );
    this.rank = new Int32Array(this.rows);
    byName.forEach((row, place) => {
      this.rank[row] = place;
    });
  }
  age(row, now) {
    return (now - this.received[row]) / 1000;
  }
  change(row) {
    return this.changes[row];
  }
  apply(message, buffers) {
    const rows = arrays.i32(buffers[0]);
    const values = arrays.f64(buffers[1]);
    this.values.forEach((column, c) => {
      for (let k = 0; k < rows.length; k += 1) column[rows[k]] = values[c * rows.length + k];
    });
    if (message.sample) this.sample();
  }
  // Why a row has no value in a column.
  reason(row, column) {
    const mode = this.modes[row];
    if (mode !== mode) return "no tick yet";
    if (mode < column.needs)
      return `mode ${formats.mode(mode)} does not carry it, ${formats.mode(column.needs)} does`;
    return "none for this instrument";
  }
  // The columns that some rows cannot have in their modes, in a sentence for each mode needed.
  missing(columns) {
    const sentences = [];
    for (const needed of [1, 2]) {
      const labels = columns.filter(({ needs }) => needs === needed).map(({ label }) => label);
      const rows = this.modes.filter((mode) => mode < needed).length;
      if (labels.length && rows)
        sentences.push(
          `${labels.join(", ")}: only in mode ${formats.mode(needed)}, ` +
            `${formats.quantity(rows)} of ${formats.quantity(this.rows)} instruments are not.`,
        );
    }
    return sentences.join(" ");
  }
  // The snapshot that would show these rows as they are now.
  picture(rows) {
    const kept = Array.from(rows);
    const column = (values) => kept.map((row) => values[row]);
    const line = (row) => this.sparks.subarray(row * this.points, (row + 1) * this.points);
    return [
      { ...this.message, symbols: column(this.symbols), labels: column(this.labels) },
      [
        Uint32Array.from(column(this.tokens)),
        Float64Array.from(this.values.flatMap(column)),
        Float32Array.from(kept.flatMap((row) => [...line(row)])),
      ],
    ];
  }
  sample() {
    for (let row = 0; row < this.rows; row += 1) {
      const start = row * this.points;
      this.sparks.copyWithin(start, start + 1, start + this.points);
      this.sparks[start + this.points - 1] = this.last[row];
    }
    this.sampled += 1;
  }
}

function render({ model, el }) {
  let state = null;
  let order = new Int32Array(0);
  let sort = { key: null, descending: false };
  let movement = "all";
  let exchange = "";
  let sorted = 0;
  let selected = model.get("selected");
  let reported = "";
  let reporting = 0;
  let colours = {};

  const filter = h("input", {
    type: "search",
    placeholder: "Filter",
    "aria-label": "Filter instruments",
    oninput: refilter,
  });
  const count = h("span", { class: "kp-soft kp-count" });
  const more = h("button", {
    type: "button",
    class: "kp-soft",
    hidden: true,
    onclick: () => rows.box.scrollTo({ left: rows.box.scrollWidth, behavior: "smooth" }),
  });
  const foot = h("div", { class: "kp-foot kp-soft", hidden: true });
  const moves = chips(
    Object.entries(MOVEMENTS).map(([key, [label]]) => [key, label]),
    movement,
    (key) => {
      movement = key;
      refilter();
    },
  );
  const exchanges = h("div", { class: "kp-chips" });
  const head = h("div", { class: "kp-head", role: "row" });
  const rows = virtualRows({
    height: model.get("height"),
    label: "Live prices",
    shrink: true,
    make,
    fill,
    moved: () => reportWindow(),
  });
  const chooser = h("div", { class: "kp-menu kp-chooser", hidden: true });
  const choose = h(
    "button",
    {
      type: "button",
      class: "kp-asks kp-soft",
      "aria-haspopup": "true",
      title: "Choose the columns; drag a heading to move it",
      onclick: () => {
        chooser.hidden = !chooser.hidden;
        fillChooser();
      },
    },
    "Columns",
  );
  const bar = h(
    "div",
    { class: "kp-bar" },
    h("span", { class: "kp-title" }, "Watch"),
    filter,
    moves.group,
    exchanges,
    h("span", { class: "kp-grow" }),
    more,
    choose,
    count,
  );
  const area = h("div", { class: "kp-sheet-area" }, head, rows.box);
  const root = h("div", { class: "kp kp-card kp-table" }, bar, chooser, area, foot);
  const link = connect(model, root, {
    snapshot(message, buffers) {
      if (!state) restoreColumns(message);
      state = new State(message, buffers);
      layOut();
      refilter();
    },
    delta(message, buffers) {
      if (message.rows === undefined) return;
      state.apply(message, buffers);
      if (message.sample) explain();
    },
    paint,
    picture: () => state.picture(order.subarray(0, MAX_SAVED)),
  });
  bar.append(link.badge);
  bar.after(link.note);
  el.append(root);
  keepKeys(root);

  function shown() {
    return state.columns.filter((column) => !column.hidden);
  }
  function layOut() {
    const widths = shown().map((column) => `minmax(${column.width}px, ${column.width}fr)`);
    root.style.setProperty("--kp-grid", `minmax(${SYMBOL_WIDTH}px, 240fr) ${widths.join(" ")}`);
    const least = shown().reduce((sum, { width }) => sum + width, SYMBOL_WIDTH);
    root.style.setProperty("--kp-least", `${least}px`);
    head.style.gridTemplateColumns = "var(--kp-grid)";
    const titles = [{ key: "symbol", label: "Symbol", text: true }, ...shown()];
    head.replaceChildren(
      ...titles.map((column) =>
        h(
          "button",
          {
            type: "button",
            role: "columnheader",
            class: column.text ? "kp-text" : "",
            "aria-sort": "none",
            "data-key": column.key,
            title: column.title,
            draggable: column.text ? false : "true",
            onclick: () => sortBy(column.key),
            ondragstart: (event) => event.dataTransfer.setData("text/plain", column.key),
            ondragover: (event) => event.preventDefault(),
            ondrop: (event) => {
              event.preventDefault();
              moveColumn(event.dataTransfer.getData("text/plain"), column.key);
            },
          },
          column.label,
        ),
      ),
    );
    if (!titles.some(({ key }) => key === sort.key)) sort = { key: null, descending: false };
    markSort();
    align();
    fillChooser();
    const names = [...new Set(state.exchanges)].filter(Boolean).sort();
    exchanges.replaceChildren(
      ...(names.length > 1
        ? [
            chips([["", "Everywhere"], ...names.map((name) => [name, name])], exchange, (key) => {
              exchange = key;
              refilter();
            }).group,
          ]
        : []),
    );
    rows.clear();
  }
  // -- the choice of columns: the kernel reads those that are shown, the browser remembers them
  function restoreColumns(message) {
    const known = new Set(message.choices.map(([key]) => key));
    const kept = model.get("remembers") ? recall("columns")?.filter((key) => known.has(key)) : null;
    if (kept?.length && kept.join() !== model.get("columns").join())
      link.send({ kind: "columns", columns: kept });
  }
  function showColumns(keys) {
    remember("columns", keys);
    link.send({ kind: "columns", columns: keys });
  }
  function moveColumn(key, target) {
    const keys = shown().map((column) => column.key);
    if (!keys.includes(key) || key === target) return;
    const forwards = keys.indexOf(key) < keys.indexOf(target);
    const rest = keys.filter((each) => each !== key);
    rest.splice(rest.indexOf(target) + (forwards ? 1 : 0), 0, key);
    showColumns(rest);
  }
  function fillChooser() {
    if (chooser.hidden || !state) return;
    const keys = shown().map((column) => column.key);
    const others = state.message.choices.map(([key]) => key).filter((key) => !keys.includes(key));
    const about = Object.fromEntries(state.message.choices.map(([key, ...rest]) => [key, rest]));
    const button = (key, by, label) =>
      h(
        "button",
        {
          type: "button",
          "aria-label": `${label} ${about[key][0]}`,
          onclick: () => moveColumn(key, keys[keys.indexOf(key) + by] ?? key),
        },
        by < 0 ? "▲" : "▼",
      );
    chooser.replaceChildren(
      ...[...keys, ...others].map((key) => {
        const on = keys.includes(key);
        const box = h("input", { type: "checkbox", checked: on });
        box.addEventListener("change", () =>
          showColumns(box.checked ? [...keys, key] : keys.filter((each) => each !== key)),
        );
        const [label, title] = about[key];
        return h(
          "div",
          { class: "kp-choice" },
          h("label", { title }, box, label),
          ...(on ? [button(key, -1, "Move up"), button(key, 1, "Move down")] : []),
        );
      }),
    );
  }
  const leaveChooser = (event) => {
    if (!chooser.contains(event.target) && event.target !== choose) chooser.hidden = true;
  };
  document.addEventListener("mousedown", leaveChooser);
  root.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== filter) {
      event.preventDefault();
      filter.focus();
    } else if (event.key === "Escape") {
      if (!chooser.hidden) chooser.hidden = true;
      else if (event.target === filter) {
        filter.value = "";
        refilter();
        rows.box.focus();
      }
    } else if (event.key === "Enter" && event.target === filter && order.length) {
      select(0);
      rows.reveal(0);
      rows.box.focus();
    }
  });
  function explain() {
    const text = state.missing(shown());
    foot.hidden = !text;
    setText(foot, text);
  }
  // Columns beyond the right edge are announced, and the heading scrolls with the rows.
  function align() {
    const { scrollLeft, clientWidth } = rows.box;
    head.scrollLeft = scrollLeft;
    const beyond = ({ offsetLeft, offsetWidth }) =>
      offsetLeft + offsetWidth > scrollLeft + clientWidth + 2;
    const hidden = Array.from(head.children).filter(beyond).length;
    more.hidden = hidden === 0;
    setText(more, `${hidden} more ${hidden === 1 ? "column" : "columns"} ▸`);
    root.classList.toggle("kp-more", hidden > 0);
  }
  function sortBy(key) {
    const natural = key !== "symbol";
    if (sort.key !== key) sort = { key, descending: natural };
    else if (sort.descending === natural) sort.descending = !natural;
    else sort = { key: null, descending: false };
    markSort();
    refilter();
  }
  function markSort() {
    for (const button of head.children) {
      const on = button.dataset.key === sort.key;
      button.setAttribute(
        "aria-sort",
        on ? (sort.descending ? "descending" : "ascending") : "none",
      );
    }
  }
  function refilter() {
    if (!state) return;
    const words = filter.value.toUpperCase().split(/\s+/).filter(Boolean);
    const passes = MOVEMENTS[movement][1];
    const now = link.clock();
    const kept = [];
    for (let row = 0; row < state.rows; row += 1) {
      if (exchange && state.exchanges[row] !== exchange) continue;
      if (words.length && !words.every((word) => state.texts[row].includes(word))) continue;
      if (passes(row, state, now)) kept.push(row);
    }
    order = Int32Array.from(kept);
    if (sort.key) order.sort(comparison());
    sorted = performance.now();
    rows.resize(order.length, state.rows ? "No instrument matches." : "Nothing is subscribed.");
    explain();
    const all = formats.quantity(state.rows);
    setText(
      count,
      order.length === state.rows
        ? `${all} instruments`
        : `${formats.quantity(order.length)} of ${all}`,
    );
    link.dirty();
  }
  function comparison() {
    const keys =
      sort.key === "symbol"
        ? state.rank
        : state.values[state.columns.findIndex((c) => c.key === sort.key)];
    const sign = sort.descending ? -1 : 1;
    return (a, b) => {
      // missing values stay at the end, ties keep their order
      const x = keys[a],
        y = keys[b];
      if (x !== x || y !== y) return x === y ? a - b : (x !== x) - (y !== y) || a - b;
      return sign * (x - y) || a - b;
    };
  }
  function make() {
    const symbol = h("span", { class: "kp-text kp-symbol", role: "gridcell" });
    const cells = (state ? shown() : []).map((column) =>
      column.kind === "spark"
        ? h("canvas", { role: "img", "aria-label": "recent prices" })
        : h("span", { role: "gridcell" }),
    );
    const element = h(
      "div",
      { role: "row", onclick: () => select(entry.position) },
      symbol,
      ...cells,
    );
    element.style.gridTemplateColumns = "var(--kp-grid)";
    const entry = {
      element,
      symbol,
      cells,
      row: -1,
      seen: new Float64Array(cells.length),
      flip: new Uint8Array(cells.length),
      sampled: -1,
    };
    return entry;
  }
  function fill(entry, position) {
    const row = order[position];
    const moved = entry.row !== row;
    if (moved) {
      nameInto(entry.symbol, state.symbols[row], state.labels[row]);
      entry.row = row;
    }
    let c = 0;
    for (let k = 0; k < state.columns.length; k += 1) {
      const column = state.columns[k];
      if (column.hidden) continue;
      if (column.kind === "spark") spark(entry, entry.cells[c], row, moved);
      else cell(entry, c, column, state.values[k][row], moved);
      c += 1;
    }
    entry.element.classList.toggle("kp-old", !(state.age(row, link.clock()) < state.staleAfter));
    entry.element.setAttribute("aria-selected", state.tokens[row] === selected);
  }
  function cell(entry, c, column, value, moved) {
    const before = entry.seen[c];
    if (!moved && (value === before || (value !== value && before !== before))) return;
    const element = entry.cells[c];
    element.textContent = value === value ? formats[column.kind](value) : "–";
    element.title = value === value ? "" : state.reason(entry.row, column);
    const tone = column.toned ? direction(value) : "";
    const flashes = !moved && column.flash && value !== before;
    entry.flip[c] ^= 1; // two names of one animation: a new name restarts it
    element.className = flashes
      ? `${tone} ${value > before ? "kp-rise" : "kp-fall"}${entry.flip[c]}`
      : tone;
    entry.seen[c] = value;
  }
  function spark(entry, canvas, row, moved) {
    if (!moved && entry.sampled === state.sampled) return;
    entry.sampled = state.sampled;
    const start = row * state.points;
    drawSparkline(canvas, state.sparks.subarray(start, start + state.points), colours);
  }
  function paint() {
    if (!state || !root.isConnected) return;
    const style = getComputedStyle(root);
    colours = { up: style.getPropertyValue("--kp-up"), down: style.getPropertyValue("--kp-down") };
    const live = (sort.key && sort.key !== "symbol") || movement !== "all";
    if (live && performance.now() - sorted > RESORT_EVERY) refilter();
    rows.paint();
  }
  // Reports the rows on screen: the kernel sends those first.
  function reportWindow() {
    if (reporting) return;
    reporting = setTimeout(() => {
      reporting = 0;
      const [first, last] = rows.range();
      const wanted = Array.from(order.subarray(first, last));
      const text = wanted.join();
      if (text !== reported) {
        reported = text;
        link.send({ kind: "window", rows: wanted });
      }
    }, REPORT_EVERY);
  }
  function select(position) {
    selected = state.tokens[order[position]];
    link.send({ kind: "select", token: selected });
    link.dirty();
  }
  rows.box.addEventListener("scroll", link.dirty, { passive: true });
  rows.box.addEventListener("scroll", align, { passive: true });
  rows.box.addEventListener("keydown", (event) => {
    if (!state) return;
    const at = order.findIndex((row) => state.tokens[row] === selected);
    const to =
      event.key === "Enter" && at >= 0 ? at : step(event.key, at, order.length, rows.pageSize());
    if (to === null) return;
    event.preventDefault();
    select(to);
    rows.reveal(to);
  });
  const follow = () => {
    selected = model.get("selected");
    const at = state ? order.findIndex((row) => state.tokens[row] === selected) : -1;
    if (at >= 0) rows.reveal(at);
    link.dirty();
  };
  model.on("change:selected", follow);
  const size = new ResizeObserver(() => {
    align();
    link.dirty();
  });
  size.observe(rows.box);
  const ageing = setInterval(link.dirty, 1000);
  return () => {
    document.removeEventListener("mousedown", leaveChooser);
    clearInterval(ageing);
    clearTimeout(reporting);
    size.disconnect();
    model.off("change:selected", follow);
    link.close();
  };
}
export default { render };
