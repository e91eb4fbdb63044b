// The hits of a search, in the search box and in the chart's menu.
import { h, nameInto } from "./dom.js";
import { step } from "./rows.js";

export function hitList({ choose, label, select = () => {} }) {
  let hits = [];
  let active = -1;
  const chosen = new Set();
  const box = h("div", { role: "listbox", "aria-multiselectable": "true", "aria-label": label });

  // The same hits again, with other modes, keep what is active and chosen.
  function show(found) {
    const same =
      found.length === hits.length && found.every(({ token }, k) => token === hits[k].token);
    hits = found;
    if (!same) {
      active = found.length ? 0 : -1;
      chosen.clear();
    }
    box.replaceChildren(
      ...found.map((hit, k) => {
        const symbol = h("span", { class: "kp-symbol" });
        nameInto(symbol, hit.symbol, hit.label);
        return h(
          "div",
          {
            class: "kp-hit",
            role: "option",
            "data-token": hit.token,
            onclick: (event) => press(k, event),
            ondblclick: () => choose([hit]),
          },
          symbol,
          h("span", { class: "kp-soft" }, hit.detail),
          h("span", { class: "kp-up" }, hit.mode ? `✓ ${hit.mode}` : ""),
        );
      }),
    );
    mark();
  }
  function press(k, event) {
    if (event.shiftKey) range(active, k);
    else if (event.ctrlKey || event.metaKey) {
      if (!chosen.delete(k)) chosen.add(k);
    } else {
      chosen.clear();
      chosen.add(k);
    }
    active = k;
    mark();
  }
  function range(from, to) {
    for (let k = Math.min(from, to); k <= Math.max(from, to); k += 1) chosen.add(k);
  }
  function mark() {
    Array.from(box.children).forEach((element, k) => {
      element.classList.toggle("kp-active", k === active);
      element.setAttribute("aria-selected", chosen.has(k));
    });
    box.children[active]?.scrollIntoView({ block: "nearest" });
    select(picked());
  }
  function picked() {
    const places = chosen.size ? [...chosen].sort((a, b) => a - b) : active >= 0 ? [active] : [];
    return places.map((k) => hits[k]);
  }
  function key(event) {
    const to =
      event.key === "Home" || event.key === "End" ? null : step(event.key, active, hits.length, 8);
    if (to !== null) {
      if (event.shiftKey) range(active, to);
      else chosen.clear();
      active = to;
      mark();
    } else if (event.key === "Enter" && picked().length) choose(picked());
    else return false;
    event.preventDefault();
    return true;
  }
  return { box, show, key };
}
