// Draws recent prices as a line on a small canvas, green if the last is not below the first.
export function drawSparkline(canvas, points, { up, down }) {
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const scale = devicePixelRatio || 1;
  if (canvas.width !== width * scale) {
    canvas.width = width * scale;
    canvas.height = height * scale;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  let low = Infinity,
    high = -Infinity,
    first = -1,
    last = -1;
  for (let i = 0; i < points.length; i += 1) {
    const x = points[i];
    if (x !== x) continue;
    if (first < 0) first = i;
    last = i;
    low = Math.min(low, x);
    high = Math.max(high, x);
  }
  if (last <= first) return;
  const x = (i) => 6 + ((i - first) / (last - first)) * (width - 12);
  const y = (v) => (high > low ? 3 + ((high - v) / (high - low)) * (height - 6) : height / 2);
  const colour = points[last] >= points[first] ? up : down;
  pen.beginPath();
  for (let i = first; i <= last; i += 1)
    if (points[i] === points[i]) pen.lineTo(x(i), y(points[i]));
  pen.strokeStyle = colour;
  pen.lineWidth = 1.25;
  pen.stroke();
  pen.beginPath();
  pen.arc(x(last), y(points[last]), 1.8, 0, 2 * Math.PI);
  pen.fillStyle = colour;
  pen.fill();
}
