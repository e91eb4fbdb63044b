// Live candles with volume, drawn by lightweight-charts (Apache-2.0; its logo links to its makers).
import {
  CandlestickSeries,
  ColorType,
  createChart,
  CrosshairMode,
  HistogramSeries,
} from "lightweight-charts";
import { alertHandles } from "./chart-alerts.js";
import { chips, followButton, h, keepKeys, nameInto, setText } from "./dom.js";
import { direction, show } from "./format.js";
import { hitList } from "./hits.js";
import { arrays, connect } from "./link.js";
import { barAt, overlays } from "./overlays.js";
import { chartStudies } from "./studies.js";
import { announcer } from "./toasts.js";

const FIELDS = 6; // time, open, high, low, close, volume
const IST = 5.5 * 3600; // the library shows times as UTC, so they are shifted to Indian Standard Time
const DAY = 86400;
const OLDER_AT = 10; // bars left of the screen at which older ones are asked for
const CROSSHAIR = "kitepolars-crosshair"; // an event of the page: charts show one time

function bars(values) {
  const rows = [];
  for (let k = 0; k < values.length; k += FIELDS) {
    const [time, open, high, low, close, volume] = values.subarray(k, k + FIELDS);
    rows.push({ time: time + IST, open, high, low, close, volume });
  }
  return rows;
}

const numbers = ({ time, open, high, low, close, volume }) => [
  time - IST,
  open,
  high,
  low,
  close,
  volume,
];

function render({ model, el }) {
  let data = [];
  let described = {}; // instrument, interval, texts: the message that began these bars
  let hovered = null;
  let asked = false; // whether older bars are on their way
  const symbol = h("span");
  const remark = h("span", { class: "kp-soft" });
  const legend = h("div", { class: "kp-legend", "aria-live": "off" });
  const empty = h("div", { class: "kp-empty" });
  const studyLegend = h("div", { class: "kp-study-legend", "aria-live": "off" });
  const corner = h("div", { class: "kp-corner" }, legend, studyLegend);
  const canvas = h("div", { class: "kp-canvas kp-live" }, corner, empty);
  canvas.style.height = `${model.get("height")}px`;
  canvas.tabIndex = 0;
  canvas.setAttribute("aria-label", "Chart: arrows scroll, + and − zoom, / searches, a sets an alert");
  const studyMenu = h("div", { class: "kp-menu kp-studies", hidden: true });
  const studyButton = h(
    "button",
    {
      type: "button",
      class: "kp-asks",
      "aria-haspopup": "true",
      title: "Indicators",
      onclick: () => {
        studyMenu.hidden = !studyMenu.hidden;
        if (!studyMenu.hidden) studyMenu.replaceChildren(...studies.menu(described.menu ?? []));
      },
    },
    "Indicators",
  );
  const intervals = chips(
    model.get("intervals").map((every) => [every, every]),
    model.get("every"),
    (every) => link.send({ kind: "every", every }),
  );
  intervals.group.classList.add("kp-asks-chips");
  const input = h("input", {
    type: "search",
    "aria-label": "Instrument",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "Instrument",
  });
  const menu = h("div", { class: "kp-menu", hidden: true });
  const hits = hitList({ label: "Instruments found", choose: ([hit]) => choose(hit) });
  menu.append(hits.box);
  const following = followButton(model);
  const bar = h(
    "div",
    { class: "kp-bar" },
    h("span", { class: "kp-pick kp-asks" }, input),
    intervals.group,
    studyButton,
    h("span", { class: "kp-grow" }),
    following.button,
    h(
      "button",
      {
        type: "button",
        title: "Show the latest bars",
        onclick: () => {
          chart.timeScale().resetTimeScale();
          chart.timeScale().scrollToRealTime();
        },
      },
      "Latest",
    ),
    h(
      "button",
      { type: "button", title: "Show every bar", onclick: () => chart.timeScale().fitContent() },
      "All",
    ),
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
      "Subscribe",
    ),
  );
  const root = h("div", { class: "kp kp-card kp-chart" }, bar, menu, studyMenu, offer, canvas);
  const link = connect(model, root, {
    snapshot: take,
    delta: take,
    picture: () => [
      described,
      [Float64Array.from(data.flatMap(numbers)), ...studies.picture().map((v) => v.slice())],
    ],
    paint: () => {
      if (!root.dataset.paper) paintTheme(); // inside a box it is attached later
      marks.draw();
      root.dataset.marks = JSON.stringify(marks.drawn);
      drawLegend();
    },
  });
  corner.append(link.badge); // the bar has no room for it
  menu.after(link.note);
  el.append(root);
  keepKeys(root);

  const chart = createChart(canvas, {
    autoSize: true,
    timeScale: { barSpacing: 9, maxBarSpacing: 26, rightOffset: 4 },
    crosshair: { mode: CrosshairMode.Normal },
    rightPriceScale: { scaleMargins: { top: 0.12, bottom: 0.24 } },
  });
  const candles = chart.addSeries(CandlestickSeries, {});
  const volume = chart.addSeries(HistogramSeries, {
    priceScaleId: "volume",
    priceFormat: { type: "volume" },
    lastValueVisible: false,
    priceLineVisible: false,
  });
  chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  const marks = overlays(chart, candles, { shift: IST, colour: (name) => colour(name) });
  const announce = announcer();
  const handles = alertHandles(chart, candles, canvas, {
    send: (content) => link.send(content),
    tick: () => described.tick ?? 10 ** -(described.precision ?? 2),
  });
  const studies = chartStudies(chart, {
    send: (content) => link.send(content),
    resize: (below) => {
      canvas.style.height = `${model.get("height") + below}px`;
    },
  });
  chart.subscribeCrosshairMove((event) => {
    hovered = event.time === undefined ? null : event.logical;
    link.dirty();
    if (event.sourceEvent) shareCrosshair(hovered === null ? null : event.time);
  }); // without a source another chart moved it, or the pointer left
  canvas.addEventListener("pointerleave", () => shareCrosshair(null));
  function shareCrosshair(time) {
    document.dispatchEvent(new CustomEvent(CROSSHAIR, { detail: { root, time } }));
  }
  function followCrosshair({ detail }) {
    if (detail.root === root || !data.length) return;
    const bar = detail.time === null ? null : data[barAt(data, detail.time)];
    if (bar) chart.setCrosshairPosition(bar.close, bar.time, candles);
    else chart.clearCrosshairPosition();
    root.dataset.crosshair = bar ? bar.time - IST : "";
  }
  document.addEventListener(CROSSHAIR, followCrosshair);
  chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
    if (range && range.from < OLDER_AT && described.older && data.length && !asked) {
      asked = true;
      link.send({ kind: "older" });
    }
  });
  paintTheme();
  // JupyterLab's theme is an attribute of the body.
  const theme = new MutationObserver(() => requestAnimationFrame(paintTheme));
  theme.observe(document.body, { attributes: true });

  function colour(name) {
    const probe = h("span");
    probe.style.color = `var(${name})`;
    root.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }
  function paintTheme() {
    if (!root.isConnected) return;
    const [ink, line, faint, up, down, paper] = [
      "--kp-ink-soft",
      "--kp-line",
      "--kp-grid-line",
      "--kp-up",
      "--kp-down",
      "--kp-panel",
    ].map(colour);
    chart.applyOptions({
      layout: {
        background: { type: ColorType.Solid, color: paper },
        textColor: ink,
        fontFamily: getComputedStyle(root).fontFamily,
        attributionLogo: true,
      },
      grid: { vertLines: { color: faint }, horzLines: { color: faint } },
      rightPriceScale: { borderColor: line },
      timeScale: { borderColor: line },
    });
    candles.applyOptions({
      upColor: up,
      wickUpColor: up,
      downColor: down,
      wickDownColor: down,
      borderVisible: false,
    });
    if (data.length) volume.setData(data.map(column));
    marks.draw(true);
    root.dataset.paper = paper;
  }
  function column(bar) {
    return {
      time: bar.time,
      value: bar.volume === bar.volume ? bar.volume : 0,
      color: colours(bar.close >= bar.open),
    };
  }
  const washes = {};
  function colours(rose) {
    const dark = document.body.dataset.jpThemeLight === "false";
    const key = `${rose}${dark}`;
    washes[key] ||= colour(rose ? "--kp-up-wash" : "--kp-down-wash");
    return washes[key];
  }
  function take(message, buffers) {
    if (message.hits) {
      menu.hidden = !message.hits.length || document.activeElement !== input;
      hits.show(message.hits);
    }
    if (message.marks) {
      const { alerts, fired, number } = message.marks;
      marks.set(message.marks);
      handles.set(alerts);
      const label = message.label ?? described.label;
      if (!link.isRecorded()) announce(fired.map((row) => ({ ...row, label })), number);
    }
    const same = described.symbol === message.symbol && described.every === message.every;
    if (message.symbol !== undefined) {
      if (described.symbol === undefined) studies.restore(message.studies.map(({ text }) => text));
      described = message;
      asked = false;
      studies.describe(message.studies);
      nameInto(symbol, message.symbol, message.label);
      if (document.activeElement !== input) input.value = message.label;
      offer.hidden = !message.offers;
      setText(offerText, `${message.label} is not subscribed.`);
      intervals.press(message.every);
      setText(empty, message.empty);
      setText(remark, message.remark);
      const daily = message.seconds >= DAY;
      chart.applyOptions({
        timeScale: { timeVisible: !daily, secondsVisible: message.seconds < 60 },
      });
      candles.applyOptions({
        priceFormat: {
          type: "price",
          precision: message.precision,
          minMove: 10 ** -message.precision,
        },
      });
    }
    if (!buffers?.length) return;
    const fresh = bars(arrays.f64(buffers[0]));
    if (message.from === 0) {
      const range = same && data.length ? chart.timeScale().getVisibleLogicalRange() : null;
      const added = range ? Math.max(0, barAt(fresh, data[0].time)) : 0;
      data = fresh;
      candles.setData(data);
      volume.setData(data.map(column));
      if (range) {
        chart.timeScale().setVisibleLogicalRange({ from: range.from + added, to: range.to + added });
      } else if (message.symbol !== undefined && data.length) chart.timeScale().resetTimeScale();
    } else {
      // replaces the bars from `from` on, nearly always the last one only
      data.splice(message.from, data.length, ...fresh);
      for (const bar of fresh) {
        candles.update(bar);
        volume.update(column(bar));
      }
    }
    marks.bars(data);
    studies.take(message.from, data, buffers.slice(1).map(arrays.f64));
    root.dataset.bars = data.length;
    empty.hidden = data.length > 0;
  }
  function drawLegend() {
    const bar = hovered === null ? data.at(-1) : data[hovered];
    if (!bar) {
      legend.replaceChildren();
      return;
    }
    const change = (100 * (bar.close - bar.open)) / bar.open;
    const part = (name, text, tone = "") =>
      h("span", {}, h("span", { class: "kp-soft" }, `${name} `), h("b", { class: tone }, text));
    const tone = direction(bar.close - bar.open);
    legend.replaceChildren(
      symbol,
      part("O", show("price", bar.open), tone),
      part("H", show("price", bar.high), tone),
      part("L", show("price", bar.low), tone),
      part("C", show("price", bar.close), tone),
      h("b", { class: tone }, show("percent", change)),
      part("V", show("quantity", bar.volume)),
      remark,
    );
    legend.dataset.close = bar.close;
    const place = data.indexOf(bar);
    studyLegend.replaceChildren(
      ...studies.legend(place).map(([text, ink, values]) => {
        const shown = values.map((value) => show("price", value) || "–").join("  ");
        const name = h("span", {}, `${text} ${shown}`);
        name.style.color = ink;
        return name;
      }),
    );
  }
  function choose(hit) {
    menu.hidden = true;
    input.blur();
    input.value = hit.label;
    link.send({ kind: "instrument", token: hit.token });
  }
  input.addEventListener("focus", () => input.select());
  input.addEventListener("input", () => link.send({ kind: "query", text: input.value }));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      menu.hidden = true;
      input.blur();
    } else if (!menu.hidden) hits.key(event);
  });
  menu.addEventListener("mousedown", (event) => event.preventDefault()); // keeps the focus in the box
  menu.addEventListener("click", (event) => {
    if (event.target.closest(".kp-hit")) hits.key({ key: "Enter", preventDefault() {} });
  });
  input.addEventListener("blur", () => {
    menu.hidden = true;
  });
  const size = new ResizeObserver(() => {
    root.classList.remove("kp-narrow"); // the bar takes two lines where one has no room
    root.classList.toggle("kp-narrow", bar.scrollWidth > bar.clientWidth);
  });
  size.observe(root);
  const away = (event) => {
    if (!studyMenu.contains(event.target) && event.target !== studyButton) studyMenu.hidden = true;
  };
  document.addEventListener("mousedown", away);
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !studyMenu.hidden) {
      studyMenu.hidden = true;
      studyButton.focus();
    }
  });
  canvas.addEventListener("keydown", (event) => {
    const scale = chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    if (!range) return;
    const width = range.to - range.from;
    const move = (by) =>
      scale.setVisibleLogicalRange({ from: range.from + by, to: range.to + by });
    const zoom = (by) => scale.setVisibleLogicalRange({ from: range.to - width * by, to: range.to });
    const keys = {
      ArrowLeft: () => move(-Math.max(1, width / 20)),
      ArrowRight: () => move(Math.max(1, width / 20)),
      PageUp: () => move(-width),
      PageDown: () => move(width),
      Home: () => move(-range.from),
      End: () => scale.scrollToRealTime(),
      "+": () => zoom(0.8),
      "-": () => zoom(1.25),
      "/": () => input.focus(),
      a: () => handles.make((hovered === null ? data.at(-1) : data[hovered]).close),
      Escape: () => canvas.blur(),
    };
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  return () => {
    size.disconnect();
    document.removeEventListener(CROSSHAIR, followCrosshair);
    document.removeEventListener("mousedown", away);
    theme.disconnect();
    handles.close();
    following.close();
    chart.remove();
    link.close();
  };
}
export default { render };
