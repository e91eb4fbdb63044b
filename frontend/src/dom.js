// Elements and texts. What a server sent becomes a text node, never markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// A group of buttons of which one is pressed; `choose` is called with its key.
export function chips(entries, pressed, choose) {
  const group = h("div", { class: "kp-chips", role: "group" });
  const buttons = entries.map(([key, label]) =>
    h(
      "button",
      {
        type: "button",
        "data-key": key,
        onclick: () => {
          press(key);
          choose(key);
        },
      },
      label,
    ),
  );
  const press = (key) => {
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.key === key);
  };
  group.append(...buttons);
  press(pressed);
  return { group, press };
}

// A button that switches whether a view shows what is selected in tables and chains.
export function followButton(model) {
  const button = h(
    "button",
    {
      type: "button",
      class: "kp-follow kp-asks",
      title: "Show here what is clicked in the table or the option chain",
      onclick: () => {
        model.set("follows", !model.get("follows"));
        model.save_changes();
      },
    },
    "Follow",
  );
  const mark = () => button.setAttribute("aria-pressed", model.get("follows"));
  model.on("change:follows", mark);
  mark();
  return { button, close: () => model.off("change:follows", mark) };
}

// Keeps keys from the notebook, where single letters are commands.
export function keepKeys(root) {
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  for (const kind of ["keydown", "keypress", "keyup"]) {
    root.addEventListener(kind, (event) => event.stopPropagation());
  }
}

// Shows "INFY NSE", or "NIFTY 1 Dec 26000 CE NIFTY26D0126000CE NFO": what the symbol adds to the
// label is softer.
export function nameInto(element, symbol, label) {
  const [exchange, ...rest] = symbol.split(":");
  const own = rest.join(":");
  const name = rest.length ? (label ?? own) : symbol;
  const parts = [name === own ? "" : own, rest.length ? exchange : ""].filter(Boolean);
  element.replaceChildren(name, h("span", { class: "kp-exchange" }, ` ${parts.join(" ")}`));
  element.title = symbol;
}
