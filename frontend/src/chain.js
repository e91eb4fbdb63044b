// An option chain: calls at the left, puts at the right, strikes between. Each message is all of it.
import { chips, h, keepKeys, setText } from "./dom.js";
import { direction, show } from "./format.js";
import { arrays, connect } from "./link.js";
import { step } from "./rows.js";

// Numbers of a side, in the kernel's order; those with a label are columns, from the strike outwards.
const FIELDS = "token oi oi_change volume iv delta gamma theta vega bid ask last_price".split(" ");
const WIDTH = 1 + 2 * FIELDS.length;
const AT = Object.fromEntries(FIELDS.map((field, place) => [field, place]));
const COLUMNS = [
  { field: "last_price", label: "LTP", kind: "price", rank: 0, width: 68 },
  { field: "iv", label: "IV", kind: "volatility", rank: 1, width: 52 },
  { field: "bid", label: "Bid", kind: "price", rank: 5, width: 74 },
  { field: "ask", label: "Ask", kind: "price", rank: 5, width: 74 },
  { field: "delta", label: "Delta", kind: "greek", rank: 3, width: 56 },
  { field: "gamma", label: "Gamma", kind: "small", rank: 8, width: 66, title: "per point" },
  { field: "theta", label: "Theta", kind: "greek", rank: 7, width: 62, title: "rupees a day" },
  { field: "vega", label: "Vega", kind: "greek", rank: 8, width: 58, title: "rupees a percentage point" },
  { field: "volume", label: "Volume", kind: "compact", rank: 6, width: 70 },
  { field: "oi_change", label: "OI chg", kind: "signedCompact", rank: 4, width: 64, toned: true },
  { field: "oi", label: "OI", kind: "compact", rank: 2, width: 68, bar: true },
];
const STRIKE_WIDTH = 76;
const AROUND = [
  ["6", "±6"],
  ["12", "±12"],
  ["25", "±25"],
  ["all", "All"],
];
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "2-digit" });

function render({ model, el }) {
  let now = null;
  let numbers = new Float64Array(0);
  let columns = []; // those that fit, from the strike outwards
  let all = false;
  let rows = [];
  let selected = model.get("selected");
  let centred = "";

  const title = h("span", { class: "kp-title" });
  const price = h("span");
  const facts = h("span", { class: "kp-soft" });
  const expiries = h("div", { class: "kp-asks-chips" });
  const around = chips(AROUND, "", (strikes) => link.send({ kind: "strikes", strikes }));
  around.group.classList.add("kp-asks-chips");
  const more = h("button", {
    type: "button",
    class: "kp-soft",
    hidden: true,
    onclick: () => {
      all = !all;
      fit();
      link.dirty();
    },
  });
  const bar = h(
    "div",
    { class: "kp-bar" },
    title,
    price,
    facts,
    h("span", { class: "kp-grow" }),
    more,
    around.group,
  );
  const offerText = h("span");
  const offer = h(
    "div",
    { class: "kp-note", hidden: true },
    offerText,
    " ",
    h(
      "button",
      { type: "button", class: "kp-asks", onclick: () => link.send({ kind: "subscribe" }) },
      "Subscribe in full",
    ),
  );
  const head = h("thead");
  const body = h("tbody");
  const table = h("table", { class: "kp-chain-sheet" }, head, body);
  const box = h(
    "div",
    { class: "kp-chain-rows kp-live", tabindex: "0", role: "grid", "aria-label": "Option chain" },
    table,
  );
  box.style.maxHeight = `${model.get("height")}px`;
  const foot = h("div", { class: "kp-foot kp-soft", hidden: true });
  const tabs = h("div", { class: "kp-bar kp-tabs" }, expiries);
  const root = h("div", { class: "kp kp-card kp-chain" }, bar, tabs, offer, box, foot);
  const take = (message, buffers) => {
    if (message.underlying === undefined) return;
    now = message;
    numbers = arrays.f64(buffers[0]);
  };
  const link = connect(model, root, { snapshot: take, delta: take, paint });
  bar.append(link.badge);
  bar.after(link.note);
  el.append(root);
  keepKeys(root);

  const day = (text) => DAY.format(new Date(`${text}T00:00:00Z`));
  const value = (row, side, field) => numbers[row * WIDTH + 1 + side * FIELDS.length + AT[field]];

  // The columns of lowest rank that the width has room for, or all of them in a box that scrolls.
  function fit() {
    const room = (box.clientWidth - STRIKE_WIDTH) / 2;
    let left = room;
    const fitting = new Set();
    for (let rank = 0; rank <= 8; rank += 1) {
      const together = COLUMNS.filter((column) => column.rank === rank); // bid and ask
      left -= together.reduce((sum, { width }) => sum + width, 0);
      if (left < 0) break;
      for (const column of together) fitting.add(column);
    }
    const hidden = COLUMNS.length - fitting.size;
    more.hidden = hidden === 0;
    setText(more, all ? "Fewer columns" : `${hidden} more ${hidden === 1 ? "column" : "columns"}`);
    const wanted = all ? COLUMNS : COLUMNS.filter((column) => fitting.has(column));
    if (wanted.length === columns.length && rows.length) return;
    columns = wanted;
    table.style.minWidth = all
      ? `${STRIKE_WIDTH + 2 * COLUMNS.reduce((sum, { width }) => sum + width, 0)}px`
      : "";
    const heading = ({ label, title: hint }) => h("th", { scope: "col", title: hint }, label);
    head.replaceChildren(
      h(
        "tr",
        {},
        h("th", { colspan: columns.length, class: "kp-side" }, "Calls"),
        h("th"),
        h("th", { colspan: columns.length, class: "kp-side" }, "Puts"),
      ),
      h(
        "tr",
        {},
        ...columns.toReversed().map(heading),
        h("th", { class: "kp-strike" }, "Strike"),
        ...columns.map(heading),
      ),
    );
    rows = [];
    body.replaceChildren();
  }
  function rowAt(k) {
    while (rows.length <= k) {
      const made = { cells: [[], []], strike: h("td", { class: "kp-strike" }) };
      const cell = (side) => (column) => {
        const text = h("span");
        const fill = column.bar ? h("i") : null;
        const element = h(
          "td",
          { class: `${side ? "kp-put" : "kp-call"} ${column.bar ? "kp-bars" : ""}` },
          ...(fill ? [fill] : []),
          text,
        );
        made.cells[side].push({ element, text, fill, column });
        return element;
      };
      const calls = columns.map(cell(0));
      const place = rows.length;
      made.element = h(
        "tr",
        { role: "row", onclick: (event) => press(place, event.target.closest(".kp-put") ? 1 : 0) },
        ...calls.reverse(),
        made.strike,
        ...columns.map(cell(1)),
      );
      body.append(made.element);
      rows.push(made);
    }
    return rows[k];
  }
  function paint() {
    if (!now || !root.isConnected) return;
    fit();
    setText(title, `${now.underlying} options`);
    price.replaceChildren(
      ...(now.price == null
        ? []
        : [
            `${now.reference} `,
            h("b", {}, show("price", now.price)),
            " ",
            h("b", { class: direction(now.change) }, show("percent", now.change)),
          ]),
    );
    setText(
      facts,
      [
        now.forward == null ? "" : `Forward ${show("price", now.forward)}`,
        now.days == null ? "" : `${now.days.toFixed(now.days < 10 ? 1 : 0)} days left`,
        now.put_call_ratio == null ? "" : `Put/call OI ${now.put_call_ratio.toFixed(2)}`,
      ]
        .filter(Boolean)
        .join(" · "),
    );
    if (expiries.dataset.days !== now.expiries.join()) {
      expiries.dataset.days = now.expiries.join();
      const group = chips(
        now.expiries.map((each) => [each, day(each)]),
        now.expiry,
        (expiry) => link.send({ kind: "expiry", expiry }),
      );
      expiries.replaceChildren(group.group);
      expiries.press = group.press;
    }
    expiries.press(now.expiry);
    around.press(now.strikes);
    offer.hidden = now.missing === 0;
    setText(
      offerText,
      `${show("quantity", now.missing)} of ${show("quantity", now.contracts)} contracts are not subscribed in full mode.`,
    );
    foot.hidden = now.since == null;
    setText(foot, `OI chg: since the first tick held, ${show("moment", now.since)}. Greeks: Black-76.`);
    const count = numbers.length / WIDTH;
    const biggest = [0, 1].map((side) => {
      let most = 1;
      for (let k = 0; k < count; k += 1) most = Math.max(most, value(k, side, "oi") || 0);
      return most;
    });
    const most = Math.max(...biggest);
    let money = -1;
    for (let k = 0; k < count; k += 1) {
      const row = rowAt(k);
      const strike = numbers[k * WIDTH];
      const at = now.forward ?? now.price;
      if (at != null && strike <= at) money = k;
      row.element.hidden = false;
      setText(row.strike, show("strike", strike));
      row.cells.forEach((cells, side) => {
        const token = value(k, side, "token");
        const within = at != null && (side ? strike > at : strike < at);
        for (const { element, text, fill, column } of cells) {
          const number = value(k, side, column.field);
          setText(text, number === number ? show(column.kind, number) : "–");
          text.className = column.toned ? direction(number) : "";
          if (fill) fill.style.width = number === number ? `${(100 * number) / most}%` : "0";
          element.classList.toggle("kp-within", within);
          element.setAttribute("aria-selected", token === selected && selected !== 0);
        }
      });
    }
    rows.forEach((row, k) => {
      row.element.hidden = k >= count;
      row.element.classList.toggle("kp-money", k === money);
    });
    const key = `${now.expiry} ${now.strikes} ${count}`;
    if (key !== centred && money >= 0) {
      centred = key;
      const { offsetTop } = rows[money].element;
      box.scrollTop = offsetTop - box.clientHeight / 2;
      box.scrollLeft = (box.scrollWidth - box.clientWidth) / 2;
    }
  }
  function press(k, side) {
    const token = value(k, side, "token");
    if (token !== token || token === 0) return;
    selected = token;
    link.send({ kind: "select", token });
    link.dirty();
  }
  function chosen() {
    for (let k = 0; k < numbers.length / WIDTH; k += 1)
      for (const side of [0, 1]) if (value(k, side, "token") === selected) return [k, side];
    return [-1, 0];
  }
  box.addEventListener("keydown", (event) => {
    const [k, side] = chosen();
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      if (k >= 0) press(k, event.key === "ArrowLeft" ? 0 : 1);
    } else {
      const to = step(event.key, k, numbers.length / WIDTH, 10);
      if (to === null) return;
      press(to, side);
      rows[to]?.element.scrollIntoView({ block: "nearest" });
    }
    event.preventDefault();
  });
  const follow = () => {
    selected = model.get("selected");
    link.dirty();
  };
  model.on("change:selected", follow);
  const size = new ResizeObserver(link.dirty);
  size.observe(box);
  return () => {
    size.disconnect();
    model.off("change:selected", follow);
    link.close();
  };
}
export default { render };
