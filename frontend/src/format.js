// Values as Indian traders write them: lakh grouping, Indian Standard Time.
const grouped = new Intl.NumberFormat("en-IN", { maximumFractionDigits: 0 });
const two = new Intl.NumberFormat("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const four = new Intl.NumberFormat("en-IN", { minimumFractionDigits: 4, maximumFractionDigits: 4 });
const clock = new Intl.DateTimeFormat("en-GB", {
  timeZone: "Asia/Kolkata",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const moment = new Intl.DateTimeFormat("en-GB", {
  timeZone: "Asia/Kolkata",
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});
const modes = ["ltp", "quote", "full"];

// Two decimals, or four where the price has them: currencies trade in quarters of a paisa.
const price = (x) => (Math.abs(x * 100 - Math.round(x * 100)) > 1e-6 ? four : two).format(x);
const plain = new Intl.NumberFormat("en-IN", { maximumFractionDigits: 2 });
const compact = new Intl.NumberFormat("en-IN", { notation: "compact", maximumFractionDigits: 2 });
const signed = (x, text) => (x > 0 ? `+${text}` : text);

export const formats = {
  price,
  quantity: (x) => grouped.format(x),
  change: (x) => signed(x, price(x)),
  percent: (x) => `${signed(x, two.format(x))}%`,
  compact: (x) => compact.format(x),
  signedCompact: (x) => signed(x, compact.format(x)),
  volatility: (x) => `${(100 * x).toFixed(1)}%`,
  greek: (x) => x.toFixed(2),
  small: (x) => x.toFixed(5),
  strike: (x) => plain.format(x),
  share: (x) => `${grouped.format(x)}%`,
  time: (x) => clock.format(x),
  moment: (x) => `${moment.format(x)} IST`,
  mode: (x) => modes[x] ?? "",
};

export function show(kind, value) {
  return value == null || Number.isNaN(value) ? "" : formats[kind](value);
}

export function duration(seconds) {
  if (seconds == null || Number.isNaN(seconds)) return "";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

export const direction = (x) => (x > 0 ? "kp-up" : x < 0 ? "kp-down" : "");
