// The search box: the kernel ranks the hits; arrows, Enter and the mouse choose.
import { h, keepKeys, setText } from "./dom.js";
import { hitList } from "./hits.js";
import { connect } from "./link.js";

function render({ model, el }) {
  const input = h("input", {
    type: "search",
    placeholder: "Search: infy, nifty 24000 ce, crude …",
    "aria-label": "Search instruments",
    autocomplete: "off",
    spellcheck: "false",
    oninput: ask,
  });
  const hint = h("div", { class: "kp-hint" });
  const hits = hitList({
    label: "Instruments found",
    choose: (found) => link.send({ kind: "add", tokens: found.map(({ token }) => token) }),
    select: (found) => link.send({ kind: "picked", tokens: found.map(({ token }) => token) }),
  });
  hits.box.className = "kp-hits";
  hits.box.append(hint);
  const bar = h("div", { class: "kp-bar" }, input);
  const root = h("div", { class: "kp kp-card kp-search" }, bar, hits.box);
  const link = connect(model, root, { snapshot: take, delta: take });
  bar.append(link.badge);
  bar.after(link.note);
  el.append(root);
  keepKeys(root);
  input.addEventListener("keydown", (event) => {
    if (!hits.key(event) && event.key === "Escape") {
      input.value = "";
      ask();
    }
  });

  function ask() {
    link.send({ kind: "query", text: input.value });
  }
  function take(message) {
    if (message.hits === undefined) return;
    if (message.text !== input.value.trim() && document.activeElement === input) return; // the answer to an older query
    hits.show(message.hits);
    setText(hint, message.hint);
    if (!message.hits.length) hits.box.append(hint);
  }
  return () => link.close();
}
export default { render };
