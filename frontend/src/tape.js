// Time and sales: what traded, newest first. The kernel sends the rows that are new.
import { followButton, h, keepKeys, nameInto, setText } from "./dom.js";
import { formats, show } from "./format.js";
import { arrays, connect } from "./link.js";
import { virtualRows } from "./rows.js";

const WIDTH = 4; // time, price, quantity, side
const COLUMNS = ["Time", "Price", "Quantity"];

function render({ model, el }) {
  let described = {};
  let trades = []; // oldest first
  let shown = []; // newest first, those that are large enough
  const symbol = h("span", { class: "kp-title" });
  const sums = h("span", { class: "kp-soft" });
  const least = h("input", {
    type: "number",
    min: "0",
    step: "any",
    placeholder: "Least quantity",
    "aria-label": "Least quantity",
    oninput: refilter,
  });
  const following = followButton(model);
  const advice = h("span");
  const offer = h("button", {
    type: "button",
    class: "kp-asks",
    onclick: () => link.send({ kind: "full" }),
  });
  const note = h("div", { class: "kp-note", hidden: true }, advice, " ", offer);
  const head = h(
    "div",
    { class: "kp-head kp-tape-grid", role: "row" },
    ...COLUMNS.map((label) => h("span", { role: "columnheader" }, label)),
  );
  const rows = virtualRows({ height: model.get("height"), label: "Time and sales", make, fill });
  const bar = h(
    "div",
    { class: "kp-bar" },
    symbol,
    sums,
    h("span", { class: "kp-grow" }),
    least,
    following.button,
  );
  const root = h("div", { class: "kp kp-card kp-tape" }, bar, note, head, rows.box);
  const link = connect(model, root, {
    snapshot(message, buffers) {
      described = message;
      trades = [];
      add(buffers[0]);
    },
    delta(message, buffers) {
      if (message.added) add(buffers[0]);
    },
    paint: () => rows.paint(),
    picture: () => [described, [Float64Array.from(trades.flat())]],
  });
  bar.append(link.badge);
  bar.after(link.note);
  el.append(root);
  keepKeys(root);

  function add(buffer) {
    const values = arrays.f64(buffer);
    for (let k = 0; k < values.length; k += WIDTH) trades.push(Array.from(values.subarray(k, k + WIDTH)));
    trades = trades.slice(-described.kept);
    nameInto(symbol, described.symbol, described.label);
    note.hidden = !described.advice;
    setText(advice, described.advice);
    offer.hidden = !described.offer;
    setText(offer, described.offer);
    refilter();
  }
  function refilter() {
    const large = Number(least.value) || 0;
    shown = trades.filter((trade) => trade[2] >= large).reverse();
    const sum = (side) =>
      shown.reduce((total, trade) => total + (trade[3] === side ? trade[2] : 0), 0);
    setText(sums, `bought ${formats.compact(sum(1))} · sold ${formats.compact(sum(-1))}`);
    rows.resize(shown.length, trades.length ? "No trade is that large." : "No trade yet.");
    root.dataset.trades = shown.length;
    link.dirty();
  }
  function make() {
    const cells = COLUMNS.map(() => h("span", { role: "gridcell" }));
    const element = h("div", { role: "row", class: "kp-tape-grid" }, ...cells);
    return { element, cells };
  }
  function fill({ cells, element }, position) {
    const [at, price, quantity, side] = shown[position];
    setText(cells[0], show("time", at));
    setText(cells[1], show("price", price));
    setText(cells[2], show("quantity", quantity));
    element.classList.toggle("kp-bought", side > 0);
    element.classList.toggle("kp-sold", side < 0);
  }
  rows.box.addEventListener("scroll", link.dirty, { passive: true });
  const size = new ResizeObserver(link.dirty);
  size.observe(rows.box);
  return () => {
    size.disconnect();
    following.close();
    link.close();
  };
}
export default { render };
