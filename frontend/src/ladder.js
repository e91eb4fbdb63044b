// The five-level book of one instrument. Each message is the whole book.
import { followButton, h, keepKeys, nameInto, setText } from "./dom.js";
import { direction, duration, show } from "./format.js";
import { arrays, connect } from "./link.js";

const LEVELS = 5;
// The columns of the book: index among the six numbers of a level, format, classes.
const PLACES = [
  { label: "Orders", at: 0, kind: "quantity", of: "" },
  { label: "Quantity", at: 1, kind: "quantity", of: "kp-bid kp-quantity" },
  { label: "Bid", at: 2, kind: "price", of: "kp-up" },
  { label: "Ask", at: 3, kind: "price", of: "kp-down" },
  { label: "Quantity", at: 4, kind: "quantity", of: "kp-ask kp-quantity" },
  { label: "Orders", at: 5, kind: "quantity", of: "" },
];
const FACTS = [
  ["spread", "Spread", "price"],
  ["mid", "Mid", "price"],
  [
    "imbalance",
    "Imbalance (5 levels)",
    "percent",
    "bids against asks of these five levels, in percent (the table: all orders)",
  ],
  ["last_traded_quantity", "Last quantity", "quantity"],
  ["last_trade_time", "Last trade", "time"],
  ["average_traded_price", "Average price", "price"],
  ["volume_traded", "Volume", "quantity"],
  ["total_buy_quantity", "All bids", "quantity"],
  ["total_sell_quantity", "All asks", "quantity"],
];

function render({ model, el }) {
  let now = null;
  let book = null;
  const symbol = h("span", { class: "kp-title" });
  const age = h("span", { class: "kp-soft" });
  const price = h("span", { class: "kp-price" });
  const change = h("span");
  const note = h("span");
  const switchMode = h(
    "button",
    { type: "button", class: "kp-asks", onclick: () => link.send({ kind: "full" }) },
  );
  const notice = h("div", { class: "kp-note", hidden: true }, note, " ", switchMode);
  const cells = [];
  const body = h("tbody");
  for (let level = 0; level < LEVELS; level += 1) {
    const row = PLACES.map((place) => {
      const text = h("span");
      const bar = place.of.includes("kp-quantity") ? h("i") : null;
      const cell = h("td", { class: place.of }, ...(bar ? [bar] : []), text);
      return { cell, text, bar };
    });
    cells.push(row);
    body.append(h("tr", {}, ...row.map(({ cell }) => cell)));
  }
  const table = h(
    "table",
    { class: "kp-book" },
    h("thead", {}, h("tr", {}, ...PLACES.map(({ label }) => h("th", { scope: "col" }, label)))),
    body,
  );
  const share = h("i");
  const balance = h(
    "div",
    { class: "kp-balance", role: "img", "aria-label": "share of bids in five levels" },
    share,
  );
  const facts = Object.fromEntries(FACTS.map(([key]) => [key, h("b")]));
  const list = h(
    "div",
    { class: "kp-facts" },
    ...FACTS.map(([key, label, , title]) =>
      h("div", { title }, h("span", { class: "kp-soft" }, label), facts[key]),
    ),
  );
  const follow = followButton(model);
  const bar = h(
    "div",
    { class: "kp-bar" },
    symbol,
    h("span", { class: "kp-grow" }),
    age,
    follow.button,
  );
  const root = h(
    "div",
    { class: "kp kp-card kp-ladder" },
    bar,
    notice,
    h(
      "div",
      { class: "kp-live" },
      h("div", { class: "kp-quote" }, price, change),
      table,
      balance,
      list,
    ),
  );
  const take = (message, buffers) => {
    now = message;
    book = buffers.length ? arrays.f64(buffers[0]) : null;
  };
  const link = connect(model, root, {
    snapshot: take,
    delta: (message, buffers) => {
      if (message.symbol !== undefined) take(message, buffers);
      else now = { ...now, clock: message.clock };
    },
    paint,
  });
  bar.append(link.badge);
  bar.after(link.note);
  el.append(root);
  keepKeys(root);

  function paint() {
    if (!now) return;
    nameInto(symbol, now.symbol, now.label);
    notice.hidden = !now.advice;
    setText(note, now.advice ?? "");
    switchMode.hidden = !now.offer;
    setText(switchMode, now.offer ?? "");
    setText(price, show("price", now.last_price));
    setText(
      change,
      [
        show("change", now.price_change),
        now.change == null ? "" : `(${show("percent", now.change)})`,
      ].join(" "),
    );
    change.className = direction(now.change);
    setText(
      age,
      now.received_at
        ? `${duration(Math.max(0, (now.clock - now.received_at) / 1000))} ago`
        : "no tick yet",
    );
    for (const [key, , kind] of FACTS) setText(facts[key], show(kind, now[key]) || "–");
    facts.imbalance.className = direction(now.imbalance);
    share.style.width = `${50 + (now.imbalance ?? 0) / 2}%`;
    balance.hidden = now.imbalance == null;
    const biggest = book ? Math.max(1, ...book.filter((_, i) => i % 6 === 1 || i % 6 === 4)) : 1;
    cells.forEach((row, level) =>
      row.forEach(({ text, bar: fill }, place) => {
        const value = book ? book[level * 6 + place] : NaN;
        const there =
          value === value &&
          !(place === 2 || place === 3 ? value === 0 : book[level * 6 + (place < 3 ? 1 : 4)] === 0);
        setText(text, there ? show(PLACES[place].kind, value) : "–");
        if (fill) fill.style.width = there ? `${(100 * value) / biggest}%` : "0";
      }),
    );
  }
  return () => {
    follow.close();
    link.close();
  };
}
export default { render };
