# %% [markdown]
# # How do other programs, such as Excel, read my live prices?
#
# *Advanced · 3 seconds · simulated*
#
# Uses: `demo`, `Ticker.latest`, `Ticker.wait`, `imbalance`, `spread`
#
# A web server of the standard library, on this machine only: CSV for Excel (*Data → From web*),
# Arrow for another Python. `latest()` may be called from any thread, so each request simply calls
# it. Market data is subject to your agreement with the exchanges: keep it on your own machines.

# %%
import io
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl

import kitepolars as kp

ticker = kp.demo(rate=5)
assert ticker.wait(until=lambda t: t.latest().height == 8, timeout=20)

COLUMNS = ["symbol", "last_price", "change", "open", "high", "low", "volume_traded", "received_at"]


def csv(latest: pl.DataFrame) -> bytes:
    """Return CSV text; it has no arrays, so the order book is left out."""
    return latest.select(COLUMNS).write_csv(datetime_format="%H:%M:%S").encode()


def arrow(latest: pl.DataFrame) -> bytes:
    """Return every column as an Arrow file."""
    buffer = io.BytesIO()
    latest.write_ipc(buffer)
    return buffer.getvalue()


FORMATS = {
    "/latest.csv": (csv, "text/csv; charset=utf-8"),
    "/latest.arrow": (arrow, "application/vnd.apache.arrow.file"),
}


# %%
class Prices(BaseHTTPRequestHandler):
    """Answers GET with the prices of this moment."""

    def do_GET(self) -> None:
        """Send the last tick of each instrument in the format asked for."""
        if self.path not in FORMATS:
            self.send_error(404)
            return
        encode, media_type = FORMATS[self.path]
        body = encode(ticker.latest())
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Prices)  # a fixed port in real life, such as 8321
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"

# %% [markdown]
# What Excel sees, and what Python sees:

# %%
with urllib.request.urlopen(f"{url}/latest.csv") as answer:
    text = answer.read().decode()
with urllib.request.urlopen(f"{url}/latest.arrow") as answer:
    frame = pl.read_ipc(answer.read())
server.shutdown()
server.server_close()
ticker.stop()

print(text)
print(frame.select("symbol", "last_price", kp.spread(), kp.imbalance()))
assert text.count("\n") == 9
assert frame.height == 8
assert frame.schema["bid_price"] == pl.Array(pl.Float64, 5)
