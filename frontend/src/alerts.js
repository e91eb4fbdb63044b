// The alerts of a ticker by hand: a form, those that are set, and what fired.
import { followButton, h, keepKeys, nameInto, setText } from "./dom.js";
import { formats, show } from "./format.js";
import { connect } from "./link.js";
import { announcer, isMuted, mute, onMuted } from "./toasts.js";

const KEPT = 200;
const SNOOZES = [
  ["", "Snooze"],
  [300, "5 min"],
  [900, "15 min"],
  [3600, "1 hour"],
  [86400, "1 day"],
  [0, "Wake"],
];
const LASTING = [
  [0, "at once"],
  [5, "after 5 s"],
  [30, "after 30 s"],
  [60, "after 1 min"],
  [300, "after 5 min"],
];
const REPEATS = [
  ["0", "each time"],
  ["60", "once a minute at most"],
  ["300", "once in 5 minutes at most"],
  ["3600", "once an hour at most"],
  ["once", "once only"],
];
const UNITS = { percent: "%", share: "%" };

const options = (entries) => entries.map(([value, label]) => h("option", { value }, label));

function render({ model, el }) {
  let now = { alerts: [], values: {}, measures: [], checks: [] };
  let fired = []; // oldest first
  let painted = {};
  let entries = new Map(); // name of an alert → its row
  const announce = announcer();
  const choice = (label, entries = []) => h("select", { "aria-label": label }, ...options(entries));
  const scope = choice("Instruments");
  const measure = choice("Measure");
  const check = choice("Comparison");
  const lasting = choice("How long it has to hold", LASTING);
  const repeat = choice("How often it may fire", REPEATS);
  const level = h("input", {
    type: "number",
    step: "any",
    "aria-label": "Level",
    class: "kp-level",
    required: true,
  });
  const unit = h("span", { class: "kp-soft" });
  const make = h("button", { type: "submit", class: "kp-primary" }, "Set alert");
  const form = h(
    "form",
    {
      class: "kp-bar kp-alert-form kp-asks",
      onsubmit: (event) => {
        event.preventDefault();
        link.send({
          kind: "set",
          measure: measure.value,
          check: check.value,
          level: level.valueAsNumber,
          everywhere: scope.value === "all",
          lasting: Number(lasting.value),
          cooldown: repeat.value === "once" ? 0 : Number(repeat.value),
          once: repeat.value === "once",
        });
      },
    },
    scope,
    measure,
    check,
    h("span", { class: "kp-nowrap" }, level, unit),
    lasting,
    repeat,
    make,
  );
  const speaker = h("button", { type: "button", class: "kp-asks", onclick: () => mute(!isMuted()) });
  const loudness = () => {
    setText(speaker, isMuted() ? "Sound off" : "Sound on");
    speaker.setAttribute("aria-pressed", !isMuted());
  };
  const leaveMuted = onMuted(loudness);
  loudness();
  const following = followButton(model);
  const count = h("span", { class: "kp-soft" });
  const bar = h(
    "div",
    { class: "kp-bar" },
    h("span", { class: "kp-title" }, "Alerts"),
    count,
    h("span", { class: "kp-grow" }),
    speaker,
    following.button,
  );
  const list = h("div", { class: "kp-alert-list", role: "list", "aria-label": "Alerts that are set" });
  const title = h("div", { class: "kp-section" });
  const history = h("div", { class: "kp-alert-list kp-fired", tabindex: "0", "aria-label": "What fired" });
  for (const box of [list, history]) box.style.maxHeight = `${model.get("height")}px`;
  const root = h(
    "div",
    { class: "kp kp-card kp-alerts" },
    bar,
    form,
    h("div", { class: "kp-live" }, list, title, history),
  );
  const link = connect(model, root, {
    snapshot(message) {
      fired = [];
      take(message);
    },
    delta: take,
    paint,
    picture: () => [{ ...now, fired }, []],
  });
  bar.append(link.badge);
  bar.after(link.note);
  el.append(root);
  keepKeys(root);

  function take(message) {
    now = { ...now, ...message };
    if (message.fired) {
      const known = fired.at(-1)?.number ?? -1;
      const fresh = message.fired.filter(({ number }) => number > known);
      fired = [...fired, ...fresh].filter(({ number }) => number >= now.first).slice(-KEPT);
      if (!link.isRecorded()) announce(message.fired, message.number);
    }
  }
  function paint() {
    paintForm();
    setText(count, now.alerts?.length ? `${formats.quantity(now.alerts.length)} set` : "");
    if (painted.alerts !== now.alerts) paintAlerts();
    if (painted.fired !== fired) history.replaceChildren(...events());
    setText(title, fired.length ? "Fired" : "Nothing has fired.");
    painted = { ...painted, alerts: now.alerts, fired };
    root.dataset.fired = fired.length;
  }
  function paintForm() {
    if (!measure.children.length && now.measures) {
      measure.replaceChildren(...options(now.measures));
      check.replaceChildren(...options(now.checks));
    }
    if (painted.label !== now.label) {
      const one = now.label ? [["one", now.label]] : [];
      scope.replaceChildren(...options([...one, ["all", "All instruments"]]));
      painted.label = now.label;
      level.value = "";
    }
    const kind = now.measures?.find(([name]) => name === measure.value)?.[2];
    const value = now.values?.[measure.value];
    setText(unit, UNITS[kind] ?? "");
    const text = scope.value === "all" || value === undefined ? "level" : `now ${show(kind, value)}`;
    if (level.placeholder !== text) level.placeholder = text;
  }
  measure.addEventListener("change", () => {
    level.value = "";
    link.dirty();
  });
  scope.addEventListener("change", link.dirty);

  // The rows of the same alerts stay: a menu in one may be open.
  function paintAlerts() {
    const names = now.alerts.map(({ name }) => name);
    if (names.join("\n") !== [...entries.keys()].join("\n") || !list.children.length) {
      entries = new Map(now.alerts.map((alert) => [alert.name, row(alert)]));
      const none = "None is set. Choose above, or drag a level on a chart.";
      const shown = [...entries.values()].map(({ element }) => element);
      list.replaceChildren(...(shown.length ? shown : [h("div", { class: "kp-hint" }, none)]));
    }
    for (const alert of now.alerts) entries.get(alert.name).fill(alert);
  }
  function row({ name, condition }) {
    const about = h("span", { class: "kp-soft" });
    const standing = h("span");
    const snooze = h("select", {
      class: "kp-asks",
      "aria-label": `Snooze ${name}`,
      onchange: () => {
        link.send({ kind: "snooze", name, seconds: Number(snooze.value) });
        snooze.value = "";
      },
    });
    const remove = h(
      "button",
      {
        type: "button",
        class: "kp-asks",
        "aria-label": `Remove ${name}`,
        onclick: () => link.send({ kind: "remove", name }),
      },
      "×",
    );
    const label = h("b", { title: condition }, name);
    const element = h("div", { role: "listitem" }, label, about, standing, snooze, remove);
    let offered = null;
    function fill(alert) {
      const { error, snoozed } = alert;
      element.className = `kp-alert ${error ? "kp-failed" : snoozed ? "kp-snoozed" : ""}`;
      setText(about, alert.about);
      setText(standing, state(alert));
      standing.className = error ? "kp-down" : "kp-soft";
      if (offered !== Boolean(snoozed)) {
        offered = Boolean(snoozed);
        snooze.replaceChildren(...options(SNOOZES.filter(([value]) => value !== 0 || offered)));
      }
    }
    return { element, fill };
  }
  function state({ error, snoozed, fired: times, last }) {
    if (error) return error;
    if (snoozed) return `snoozed until ${formats.time(snoozed)}`;
    return times ? `fired ${formats.quantity(times)}×, last ${formats.time(last)}` : "waits";
  }
  function events() {
    return fired
      .slice()
      .reverse()
      .map(({ time, name, token, symbol, label, price }) => {
        const what = h("span", { class: "kp-symbol" });
        nameInto(what, symbol ?? "", label);
        const shown = token
          ? h(
              "button",
              { type: "button", class: "kp-asks", onclick: () => link.send({ kind: "select", token }) },
              what,
            )
          : what;
        return h(
          "div",
          { class: "kp-alert" },
          h("span", { class: "kp-soft" }, formats.time(time * 1000)),
          h("b", {}, name),
          shown,
          h("span", { class: "kp-number" }, show("price", price)),
        );
      });
  }
  return () => {
    leaveMuted();
    following.close();
    link.close();
  };
}
export default { render };
