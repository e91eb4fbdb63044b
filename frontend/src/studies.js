// The indicators of a chart: their series, in the pane of the prices or below, and their menu.
import { HistogramSeries, LineSeries } from "lightweight-charts";
import { h } from "./dom.js";
import { recall, remember } from "./memory.js";

const COLOURS = ["#2962ff", "#e67e22", "#8e44ad", "#16a085", "#c2185b", "#7f8c00", "#00838f", "#6d4c41"];
const PANE_HEIGHT = 96;

export function chartStudies(chart, { send, resize }) {
  let described = [];
  let drawn = "";
  let series = []; // of each study, one for each line
  let values = []; // of each study, as the kernel sent them
  let colours = recall("colours") ?? {};
  const colourOf = (study, place) => colours[study.text] ?? COLOURS[place % COLOURS.length];

  function build() {
    const key = JSON.stringify(described);
    if (key === drawn) return;
    drawn = key;
    for (const each of series.flat()) chart.removeSeries(each);
    let pane = 0;
    series = described.map((study, place) => {
      if (study.own_pane) pane += 1;
      return study.lines.map((name, line) =>
        name.endsWith("_histogram")
          ? chart.addSeries(HistogramSeries, quiet(study, place, line), study.own_pane ? pane : 0)
          : chart.addSeries(LineSeries, quiet(study, place, line), study.own_pane ? pane : 0),
      );
    });
    chart.panes().forEach((each, k) => {
      if (k) each.setHeight(PANE_HEIGHT);
    });
    resize(pane * PANE_HEIGHT);
  }
  function quiet(study, place, line) {
    const colour = colourOf(study, place);
    return {
      color: line ? `color-mix(in srgb, ${colour} 55%, gray)` : colour,
      lineWidth: line ? 1 : 2,
      priceLineVisible: false,
      lastValueVisible: line === 0,
      crosshairMarkerVisible: false,
      title: "",
    };
  }
  const point = (time, value) => (value === value ? { time, value } : { time });

  // Takes the values from bar `from` on.
  function take(from, data, parts) {
    parts.forEach((part, k) => {
      const width = described[k].lines.length;
      const kept = from ? values[k].slice(0, from * width) : [];
      values[k] = Float64Array.from([...kept, ...part]);
      series[k].forEach((one, line) => {
        const at = (bar) => point(data[bar].time, values[k][bar * width + line]);
        if (from === 0) one.setData(data.map((_, bar) => at(bar)));
        else for (let bar = from; bar < data.length; bar += 1) one.update(at(bar));
      });
    });
    values.length = parts.length;
  }
  function choose(texts) {
    remember("studies", texts);
    send({ kind: "studies", studies: texts });
  }
  // The menu: tick to draw, parameters as text, a colour.
  function menu(offered) {
    const current = described.map((study) => study.text);
    const nameOf = (text) => text.split("(")[0];
    const rows = offered.map(([text, label]) => {
      const place = current.findIndex((each) => nameOf(each) === nameOf(text));
      const on = place >= 0;
      const box = h("input", { type: "checkbox", "aria-label": label, checked: on });
      const written = h("input", {
        type: "text",
        "aria-label": `${label}: parameters`,
        value: on ? current[place] : text,
        spellcheck: "false",
      });
      const colour = h("input", {
        type: "color",
        "aria-label": `${label}: colour`,
        value: on ? colourOf(described[place], place) : COLOURS[0],
        disabled: !on,
      });
      const others = () => described.map((s) => s.text).filter((each) => each !== current[place]);
      box.addEventListener("change", () => choose([...others(), ...(box.checked ? [written.value] : [])]));
      written.addEventListener("change", () => {
        if (box.checked) choose([...others(), written.value]);
      });
      colour.addEventListener("input", () => {
        colours = { ...colours, [current[place]]: colour.value };
        remember("colours", colours);
        series[place].forEach((one, line) =>
          one.applyOptions({ color: quiet(described[place], place, line).color }),
        );
      });
      return h("label", { class: "kp-study" }, box, h("span", {}, label), written, colour);
    });
    return rows;
  }
  return {
    describe(fresh) {
      described = fresh;
      build();
    },
    take,
    menu,
    picture: () => values.slice(0, described.length),
    // Text, colour and value of each at a bar.
    legend: (bar) =>
      described.map((study, place) => [
        study.text,
        colourOf(study, place),
        study.lines.map((_, line) => values[place]?.[bar * study.lines.length + line]),
      ]),
    // What this notebook remembers, where the code named none.
    restore(current) {
      const kept = recall("studies");
      if (!current.length && kept?.length) send({ kind: "studies", studies: kept });
    },
  };
}
