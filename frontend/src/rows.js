// Virtual rows: only those on screen exist as elements; the owner fills them.
import { h, setText } from "./dom.js";

export const ROW_HEIGHT = 24;
const SPARE = 4;
const LEAST = 5;

export function virtualRows({ height, label, shrink = false, make, fill, moved = () => {} }) {
  const pad = h("div", { class: "kp-pad" });
  const box = h(
    "div",
    { class: "kp-rows kp-live", role: "grid", tabindex: "0", "aria-label": label },
    pad,
  );
  box.style.height = `${height}px`;
  const note = h("div", { class: "kp-empty", hidden: true });
  pad.append(note);
  const pool = [];
  let count = 0;
  let first = 0;
  let last = 0;

  // `empty` is shown instead of rows.
  function resize(rows, empty) {
    count = rows;
    note.hidden = rows > 0;
    setText(note, empty);
    pad.style.height = `${(rows || LEAST) * ROW_HEIGHT}px`;
    if (shrink) box.style.height = `${Math.min(height, Math.max(LEAST, rows) * ROW_HEIGHT)}px`;
    box.setAttribute("aria-rowcount", rows);
  }
  function slot(k) {
    while (pool.length <= k) {
      const made = make();
      made.element.classList.add("kp-row");
      pad.append(made.element);
      made.position = -1;
      made.shown = true;
      pool.push(made);
    }
    return pool[k];
  }
  // A row keeps its element while it is on screen: its position modulo the size of the pool.
  function paint() {
    const visible = Math.ceil(box.clientHeight / ROW_HEIGHT) + 2 * SPARE;
    first = Math.max(0, Math.floor(box.scrollTop / ROW_HEIGHT) - SPARE);
    last = Math.min(count, first + visible);
    for (let k = 0; k < Math.max(pool.length, visible); k += 1) {
      const entry = slot(k);
      const size = Math.max(pool.length, visible);
      const position = first + ((((k - first) % size) + size) % size);
      const shown = position < last;
      if (shown !== entry.shown) {
        entry.element.style.display = shown ? "" : "none";
        entry.shown = shown;
      }
      if (!shown) {
        entry.position = -1;
        continue;
      }
      if (position !== entry.position) {
        entry.element.style.transform = `translateY(${position * ROW_HEIGHT}px)`;
        entry.element.setAttribute("aria-rowindex", position + 1);
        entry.position = position;
      }
      fill(entry, position);
    }
    moved(first, last);
  }
  function reveal(position) {
    const top = position * ROW_HEIGHT;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + ROW_HEIGHT > box.scrollTop + box.clientHeight)
      box.scrollTop = top + ROW_HEIGHT - box.clientHeight;
  }
  function clear() {
    for (const entry of pool) entry.element.remove();
    pool.length = 0;
  }
  return {
    box,
    resize,
    clear,
    range: () => [first, last],
    paint,
    reveal,
    pageSize: () => Math.floor(box.clientHeight / ROW_HEIGHT),
  };
}

// Returns where a key moves the cursor in a list of `count` rows, null if it does not.
export function step(key, at, count, page) {
  const moves = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: page,
    PageUp: -page,
    Home: -count,
    End: count,
  };
  return key in moves && count ? Math.min(count - 1, Math.max(0, at + moves[key])) : null;
}
