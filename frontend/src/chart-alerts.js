// Alerts on a chart: a handle at the right edge, under the pointer, makes one at that price; a line
// that is dragged moves one. The kernel draws nothing: the lines are among the chart's overlays.
import { h, setText } from "./dom.js";
import { formats } from "./format.js";

const NEAR = 7; // pixels from a line that count as on it

// `tick` returns the instrument's tick size.
export function alertHandles(chart, series, canvas, { send, tick }) {
  let alerts = []; // name, level
  let drag = null; // the alert that is dragged, {} for a new one, and its price
  let under = null; // what the handle is for
  const text = h("span");
  const remove = h("button", { type: "button", "aria-label": "Remove this alert" }, "×");
  const handle = h("div", { class: "kp-alert-handle kp-asks", hidden: true }, text, remove);
  const line = h("div", { class: "kp-alert-line", hidden: true });
  canvas.append(line, handle);

  const height = () => chart.panes()[0].getHeight();
  const heightOf = (event) => event.clientY - canvas.getBoundingClientRect().top;
  const rounded = (price) => Number((Math.round(price / tick()) * tick()).toFixed(6));
  function nearest(y) {
    const near = alerts
      .map((alert) => [Math.abs((series.priceToCoordinate(alert.level) ?? Infinity) - y), alert])
      .sort((a, b) => a[0] - b[0])[0];
    return near && near[0] <= NEAR ? near[1] : null;
  }
  function place(y, alert, price) {
    under = { alert, price };
    handle.hidden = false;
    remove.hidden = !alert || drag !== null;
    handle.style.right = `${chart.priceScale("right").width()}px`;
    handle.style.top = `${y}px`;
    handle.classList.toggle("kp-new", !alert);
    const name = alert ? `${alert.name}${drag ? ` → ${formats.price(price)}` : ""}` : "";
    setText(text, alert ? name : `+ Alert ${formats.price(price)}`);
  }
  function hover(event) {
    if (drag || event.buttons || handle.contains(event.target)) return;
    const y = heightOf(event);
    const price = series.coordinateToPrice(y);
    if (price === null || y < 0 || y > height()) {
      hide();
      return;
    }
    const alert = nearest(y);
    canvas.classList.toggle("kp-on-alert", Boolean(alert));
    place(alert ? series.priceToCoordinate(alert.level) : y, alert, rounded(price));
  }
  function hide() {
    if (drag) return;
    handle.hidden = true;
    under = null;
    canvas.classList.remove("kp-on-alert");
  }
  function begin(event) {
    if (event.button !== 0 || remove.contains(event.target)) return;
    const onHandle = handle.contains(event.target);
    const alert = onHandle ? under?.alert : nearest(heightOf(event));
    if (!onHandle && !alert) return;
    event.preventDefault(); // else the chart would be dragged
    event.stopPropagation();
    drag = { alert, price: alert ? alert.level : under.price, moved: false };
    canvas.setPointerCapture(event.pointerId);
    move(event);
  }
  function move(event) {
    if (!drag) return;
    const y = Math.min(height() - 1, Math.max(1, heightOf(event)));
    const price = rounded(series.coordinateToPrice(y) ?? drag.price);
    drag.price = price;
    line.hidden = false;
    line.style.top = `${y}px`;
    place(y, drag.alert, price);
  }
  function end() {
    if (!drag) return;
    const { alert, price } = drag;
    drag = null;
    if (!alert) send({ kind: "alert", price });
    else if (price !== alert.level) send({ kind: "move", name: alert.name, price });
    handle.hidden = true; // the line stays until the kernel has drawn the alert
  }
  function cancel(event) {
    if (event.key !== "Escape" || !drag) return;
    event.stopPropagation();
    drag = null;
    line.hidden = true;
    hide();
  }
  remove.addEventListener("click", () => {
    if (under?.alert) send({ kind: "remove", name: under.alert.name });
    hide();
  });
  canvas.addEventListener("pointerdown", begin, true);
  canvas.addEventListener("pointermove", (event) => (drag ? move(event) : hover(event)));
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", () => cancel({ key: "Escape", stopPropagation() {} }));
  canvas.addEventListener("pointerleave", hide);
  document.addEventListener("keydown", cancel, true);
  return {
    set(fresh) {
      alerts = fresh;
      if (!drag) line.hidden = true;
    },
    // Makes one at a price, as the keyboard does.
    make: (price) => send({ kind: "alert", price: rounded(price) }),
    close: () => document.removeEventListener("keydown", cancel, true),
  };
}
