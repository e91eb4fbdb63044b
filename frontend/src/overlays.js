// What a chart draws over its bars: levels of the day, working orders, fills, alerts, gaps.
import { createSeriesMarkers, LineStyle } from "lightweight-charts";
import { formats } from "./format.js";

// The last bar that begins at or before a time, -1 if none does.
export function barAt(data, time) {
  let low = 0,
    high = data.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (data[middle].time <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export function overlays(chart, series, { shift, colour }) {
  let marks = { levels: [], fills: [], working: [], gaps: [], alerts: [], fired: [] };
  let data = [];
  let lines = [];
  let drawn = "";
  const markers = createSeriesMarkers(series, []);
  const bands = gapBands(() => ({ marks, data, shift, ink: colour("--kp-warn-wash") }));
  series.attachPrimitive(bands.primitive);

  function line(price, title, ink, style) {
    return series.createPriceLine({
      price,
      title,
      color: ink,
      axisLabelColor: ink,
      axisLabelTextColor: colour("--kp-panel"),
      lineWidth: 1,
      lineStyle: style,
      axisLabelVisible: true,
    });
  }
  function draw(force) {
    const key = JSON.stringify([marks, data.length, data[0]?.time]);
    if (key === drawn && !force) return;
    drawn = key;
    for (const each of lines) series.removePriceLine(each);
    const soft = colour("--kp-ink-soft");
    const tone = (side) => colour(side === "BUY" ? "--kp-up" : "--kp-down");
    lines = [
      ...marks.levels.map(([name, price]) => line(price, name, soft, LineStyle.Dotted)),
      ...marks.working.map(({ price, quantity, side }) =>
        line(price, `${side} ${formats.quantity(quantity)}`, tone(side), LineStyle.Dashed),
      ),
      ...marks.alerts.map(({ level }) => line(level, "Alert", colour("--kp-brand"), LineStyle.Solid)),
    ];
    const drawnAt = (time) => data[barAt(data, time + shift)]?.time;
    markers.setMarkers(
      [
        ...marks.fills.map(({ time, price, quantity, side }) => ({
          time: drawnAt(time),
          position: side === "BUY" ? "belowBar" : "aboveBar",
          shape: side === "BUY" ? "arrowUp" : "arrowDown",
          color: tone(side),
          text: `${side} ${formats.quantity(quantity)} @ ${formats.price(price)}`,
        })),
        ...marks.fired.map(({ time, price }) => ({
          time: drawnAt(time),
          position: "atPriceMiddle",
          price,
          shape: "circle",
          color: colour("--kp-brand"),
        })),
      ]
        .filter(({ time }) => time !== undefined)
        .sort((a, b) => a.time - b.time),
    );
    bands.update();
  }
  return {
    set(fresh) {
      marks = fresh;
    },
    bars(fresh) {
      data = fresh;
    },
    draw,
    get drawn() {
      const fired = markers.markers().filter(({ shape }) => shape === "circle").length;
      return {
        lines: lines.length,
        fills: markers.markers().length - fired,
        fired,
        gaps: marks.gaps.length,
        alerts: marks.alerts.map(({ level }) => [level, series.priceToCoordinate(level)]),
      };
    },
  };
}

// Gaps in the data as bands behind the bars, at least three pixels wide.
function gapBands(read) {
  let chart = null;
  let request = () => {};
  const draw = (target) =>
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      const { marks, data, shift, ink } = read();
      const scale = chart?.timeScale();
      if (!scale || !data.length) return;
      context.fillStyle = ink;
      for (const [from, to] of marks.gaps) {
        const first = barAt(data, from + shift);
        const last = to == null ? data.length - 1 : barAt(data, to + shift);
        if (last < 0) continue;
        const left = scale.logicalToCoordinate(Math.max(0, first));
        const right = scale.logicalToCoordinate(last);
        if (left == null || right == null) continue;
        context.fillRect(left - 1.5, 0, Math.max(3, right - left), mediaSize.height);
      }
    });
  const view = { zOrder: () => "bottom", renderer: () => ({ draw }) };
  return {
    primitive: {
      attached(parameters) {
        chart = parameters.chart;
        request = parameters.requestUpdate;
      },
      paneViews: () => [view],
    },
    update: () => request(),
  };
}
