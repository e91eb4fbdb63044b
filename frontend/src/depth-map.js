// The book through time: a column for each book, a cell for each level, darker for more quantity.
import { followButton, h, keepKeys, nameInto, setText } from "./dom.js";
import { formats, show } from "./format.js";
import { arrays, connect } from "./link.js";

const LEVELS = 5;
const WIDTH = 2 + 4 * LEVELS; // time, last price, then prices and quantities of bids and of asks
const AXIS = 64; // pixels of the prices at the right
const FOOT = 18; // and of the times below

function render({ model, el }) {
  let described = {};
  let books = new Float64Array(0);
  let pointer = null;
  const symbol = h("span", { class: "kp-title" });
  const reading = h("span", { class: "kp-soft" });
  const following = followButton(model);
  const advice = h("span");
  const offer = h("button", {
    type: "button",
    class: "kp-asks",
    onclick: () => link.send({ kind: "full" }),
  });
  const note = h("div", { class: "kp-note", hidden: true }, advice, " ", offer);
  const canvas = h("canvas", {
    class: "kp-depth-canvas kp-live",
    role: "img",
    "aria-label": "Quantity by price and time",
  });
  canvas.style.height = `${model.get("height")}px`;
  const bar = h(
    "div",
    { class: "kp-bar" },
    symbol,
    reading,
    h("span", { class: "kp-grow" }),
    following.button,
  );
  const root = h("div", { class: "kp kp-card kp-depth-map" }, bar, note, canvas);
  const link = connect(model, root, {
    snapshot(message, buffers) {
      described = message;
      books = arrays.f64(buffers[0]);
      tell();
    },
    delta(message, buffers) {
      if (!message.added) return;
      const both = Float64Array.from([...books, ...arrays.f64(buffers[0])]);
      books = both.slice(Math.max(0, both.length - described.kept * WIDTH));
      tell();
    },
    paint,
    picture: () => [described, [books.slice()]],
  });
  bar.append(link.badge);
  bar.after(link.note);
  el.append(root);
  keepKeys(root);

  function tell() {
    nameInto(symbol, described.symbol, described.label);
    note.hidden = !described.advice;
    setText(advice, described.advice);
    offer.hidden = !described.offer;
    setText(offer, described.offer);
    root.dataset.books = books.length / WIDTH;
  }
  const at = (book, place) => books[book * WIDTH + place];
  const price = (book, side, level) => at(book, 2 + 2 * LEVELS * side + level);
  const quantity = (book, side, level) => at(book, 2 + 2 * LEVELS * side + LEVELS + level);

  // Lowest and highest price of a level, and a large quantity, which has the full colour.
  function scaleOf(count) {
    let low = Infinity,
      high = -Infinity;
    const quantities = [];
    for (let book = 0; book < count; book += 1)
      for (const side of [0, 1])
        for (let level = 0; level < LEVELS; level += 1) {
          const value = price(book, side, level);
          if (!(value > 0)) continue;
          low = Math.min(low, value);
          high = Math.max(high, value);
          quantities.push(quantity(book, side, level));
        }
    quantities.sort((a, b) => a - b);
    return { low, high, most: quantities[Math.floor(quantities.length * 0.95)] || 1 };
  }
  // The least step between two levels of one book: the height of a cell.
  function stepOf(count) {
    let step = Infinity;
    for (let book = Math.max(0, count - 50); book < count; book += 1)
      for (const side of [0, 1])
        for (let level = 1; level < LEVELS; level += 1) {
          const gap = Math.abs(price(book, side, level) - price(book, side, level - 1));
          if (gap > 1e-6) step = Math.min(step, gap);
        }
    return step;
  }
  function paint() {
    const width = canvas.clientWidth,
      height = canvas.clientHeight,
      scale = devicePixelRatio || 1;
    if (!width || !root.isConnected) return;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(root);
    const ink = (name) => style.getPropertyValue(name);
    pen.font = `11px ${style.fontFamily}`;
    const count = books.length / WIDTH;
    if (!count) {
      pen.fillStyle = ink("--kp-ink-soft");
      pen.fillText("No book yet", width / 2 - 30, height / 2);
      return;
    }
    const { low, high, most } = scaleOf(count);
    const step = Math.min(stepOf(count), high - low || 1);
    const right = width - AXIS,
      floor = height - FOOT;
    const first = at(0, 0),
      span = Math.max(1000, at(count - 1, 0) - first);
    const x = (time) => ((time - first) / span) * right;
    const y = (value) => ((high + step - value) / (high - low + 2 * step)) * floor;
    const tall = Math.max(1, y(0) - y(step));
    for (let book = 0; book < count; book += 1) {
      const left = x(at(book, 0));
      const wide = Math.max(1, x(book + 1 < count ? at(book + 1, 0) : first + span) - left);
      for (const side of [0, 1]) {
        pen.fillStyle = ink(side ? "--kp-down" : "--kp-up");
        for (let level = 0; level < LEVELS; level += 1) {
          const value = price(book, side, level);
          if (!(value > 0)) continue;
          pen.globalAlpha = 0.06 + 0.94 * Math.min(1, quantity(book, side, level) / most);
          pen.fillRect(left, y(value) - tall / 2, wide, tall);
        }
      }
    }
    pen.globalAlpha = 1;
    pen.beginPath();
    for (let book = 0; book < count; book += 1) pen.lineTo(x(at(book, 0)), y(at(book, 1)));
    pen.strokeStyle = ink("--kp-ink");
    pen.lineWidth = 1.25;
    pen.stroke();
    pen.fillStyle = ink("--kp-ink-soft");
    for (let k = 0; k <= 4; k += 1) {
      const value = low + step * Math.round(((high - low) * k) / 4 / step); // a price there is
      pen.fillText(show("price", Math.round(value * 1e4) / 1e4), right + 6, y(value) + 4);
    }
    pen.fillText(show("time", first), 4, height - 5);
    pen.fillText(show("time", first + span), right - 48, height - 5);
    if (pointer) {
      let book = 0;
      while (book + 1 < count && x(at(book + 1, 0)) <= pointer.x) book += 1;
      let best = null;
      for (const side of [0, 1])
        for (let level = 0; level < LEVELS; level += 1) {
          const off = Math.abs(y(price(book, side, level)) - pointer.y);
          if (!best || off < best.off) best = { off, side, level };
        }
      const { side, level } = best;
      setText(
        reading,
        `${formats.time(at(book, 0))} · ${side ? "ask" : "bid"} ` +
          `${show("price", price(book, side, level))} × ${show("quantity", quantity(book, side, level))}`,
      );
    } else setText(reading, `${count} books · line: last price`);
  }
  canvas.addEventListener("mousemove", ({ offsetX, offsetY }) => {
    pointer = { x: offsetX, y: offsetY };
    link.dirty();
  });
  canvas.addEventListener("mouseleave", () => {
    pointer = null;
    link.dirty();
  });
  const size = new ResizeObserver(link.dirty);
  size.observe(canvas);
  return () => {
    size.disconnect();
    following.close();
    link.close();
  };
}
export default { render };
