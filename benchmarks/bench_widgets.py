"""Measures the live table in a real JupyterLab and Chromium: cost in the kernel, frame rate.

Needs Chromium and the extra dev, like the browser tests. A simulated market changes every row
about once per second; the table refreshes four times per second while the page scrolls.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
from typing import Any, Final

import harness

sys.path.insert(0, str(harness.ROOT / "tests"))

from browser.lab import Lab
from browser.notebook import Notebook

SETUP: Final = """
import json, time
import kitepolars as kp
ticker = kp.demo(instruments=[], rate=1)
ticker.subscribe(ticker.instruments.frame["instrument_token"].head({rows}).to_list(), mode="full")
ticker.wait(rows={rows}, timeout=30)
table = ticker.watch()
costs = []
publish = table.publish
def timed(reading):
    began = time.thread_time()
    publish(reading)
    costs.append((time.thread_time() - began) * 1e3)
table.publish = timed
table
"""
TARGETS: Final[dict[int, tuple[harness.Target | None, harness.Target | None]]] = {
    3_000: (harness.at_most(5), harness.at_least(30)),
    9_000: (None, None),
}
"""Rows → target for the cost of a refresh in the kernel (ms), and for frames per second."""

FRAMES: Final = """async ([seconds]) => {
    const box = document.querySelector('.kp-table .kp-rows');
    const times = [];
    const end = performance.now() + seconds * 1000;
    while (performance.now() < end) {
        times.push(await new Promise(requestAnimationFrame));
        box.scrollTop = (box.scrollTop + 12) % (box.scrollHeight - box.clientHeight);
    }
    return times;
}"""
SHOWN: Final = """() => [...document.querySelectorAll('.kp-table .kp-row')]
    .filter((row) => row.style.display !== 'none')
    .map((row) => [row.querySelector('.kp-symbol').title, row.children[1].textContent])"""
HELD: Final = """
rows = ticker.latest().select("symbol", "last_price").rows()
print(json.dumps([(name, price) for name, price in rows]))
"""


def main_work(results: harness.Results) -> None:
    """Measure tables of 3,000 and 9,000 rows, and check what they show."""
    with Lab() as lab:
        for rows in TARGETS:
            _measure(results, lab, rows)


def _measure(results: harness.Results, lab: Lab, rows: int) -> None:
    seconds = 5 if results.quick else 20
    cost, frames = TARGETS[rows]
    notebook = lab.new([SETUP.format(rows=rows)]).open()
    try:
        notebook.run(0)
        notebook.wait_sequence(".kp-table", 8)
        notebook.execute("costs.clear()")
        before = notebook.sequence(".kp-table")
        times: list[float] = notebook.page.evaluate(FRAMES, [seconds])
        refreshes = (notebook.sequence(".kp-table") - before) / seconds
        costs: list[float] = json.loads(notebook.execute("print(json.dumps(costs))"))
        _check(notebook)
    finally:
        notebook.close()
    rate = (len(times) - 1) / (times[-1] - times[0]) * 1000
    longest = max(later - earlier for earlier, later in itertools.pairwise(times))
    note = f"{refreshes:.1f} refreshes/s, worst {max(costs):.1f} ms"
    results.add(
        f"live table, {rows:,} rows: CPU of the kernel per refresh",
        statistics.median(costs),
        form="{:,.1f} ms",
        target=cost,
        note=note,
    )
    results.add(
        f"live table, {rows:,} rows: frames per second while scrolling",
        rate,
        form="{:,.0f}",
        target=frames,
        note=f"longest frame {longest:.0f} ms, software rendering",
    )


def _check(notebook: Notebook) -> None:
    """Pause the market, and compare the screen with the rows held."""
    notebook.execute("ticker.exchange.pause_market(); time.sleep(3)")
    held: dict[str, float] = dict(json.loads(notebook.execute(HELD)))
    shown: list[list[Any]] = notebook.page.evaluate(SHOWN)
    assert len(shown) > 10
    for symbol, text in shown:
        assert float(text.replace(",", "")) == held[symbol], symbol


if __name__ == "__main__":
    harness.main("widgets", main_work, __doc__)
