// A page without a kernel: draws each widget of the document from its own script and recording.
import { h } from "./dom.js";

const DARK = matchMedia("(prefers-color-scheme: dark)");

function themed() {
  document.body.dataset.jpThemeLight = String(!DARK.matches);
}

function decoded(text) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return new DataView(bytes.buffer);
}

// Stands where a widget's model is in a notebook. Nothing leaves the page.
function modelOf(traits) {
  traits.recording.data = decoded(traits.recording.data);
  return {
    get: (name) => traits[name],
    set: (name, value) => {
      traits[name] = value;
    },
    save_changes() {},
    send() {},
    on() {},
    off() {},
  };
}

async function draw({ script, traits }) {
  const el = h("div", { class: "kp-page-part" });
  document.body.append(el);
  const source = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const widget = (await import(source)).default;
  URL.revokeObjectURL(source);
  widget.render({ model: modelOf(traits), el });
}

themed();
DARK.addEventListener("change", themed);
for (const widget of JSON.parse(document.getElementById("kitepolars-widgets").textContent))
  await draw(widget);
