"""Draws the pictures of the widgets, in both themes: for README and docs, and for CI.

``python tests/browser/screenshots.py docs/images`` writes ``table-light.png``
and so on; the browser tests write the same into ``artifacts/``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser.lab import Lab
from browser.notebook import THEMES, Notebook

SETUP: Final = """
import kitepolars as kp
from kitepolars.widgets import *
ticker = kp.demo(instruments=[], rate=5)
names = ticker.instruments.frame.filter(exchange="NSE").head(60)["symbol"].to_list()
ticker.subscribe(["NSE:NIFTY 50", "NSE:NIFTY BANK", "NSE:INFY", "NSE:RELIANCE", "NSE:HDFCBANK",
                  "NSE:SBIN", "NSE:TATAMOTORS", "NSE:ACC", *names], mode="full")
ticker.subscribe(ticker.instruments.search("nifty 26000 ce", 40), mode="full")
ticker.alert(kp.change() > 1, name="Change above 1 %", cooldown="5m")
ticker.alert(kp.crosses("last_price", "average_traded_price", "up"), cooldown="5m",
             instruments=["NSE:INFY", "NSE:SBIN"], name="Above the average")
ticker.alert(kp.crosses("last_price", 1_450, "up"), instruments="NSE:RELIANCE")
"""
FAULT: Final = "ticker.exchange.abort(); ticker.wait(until=lambda t: t.gaps().height, timeout=10)"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One widget: how it is made, what is done to it first, and when it is ready."""

    name: str
    code: str
    selector: str
    ready: str
    act: str = ""


PICTURES: Final = (
    Picture(
        name="table",
        code="ticker.watch()",
        selector=".kp-table",
        ready="document.querySelectorAll('.kp-table .kp-row').length > 10",
    ),
    Picture(
        name="ladder",
        code="ticker.ladder('NSE:INFY')",
        selector=".kp-ladder",
        ready="document.querySelector('.kp-book .kp-quantity')?.textContent > '0'",
    ),
    Picture(
        name="chart",
        code="ticker.chart('NSE:INFY', every='1s')",
        selector=".kp-chart",
        ready="Number(document.querySelector('.kp-chart')?.dataset.bars ?? 0) > i",
    ),
    Picture(
        name="controls",
        code="ticker.controls()",
        selector=".kp-controls",
        ready="document.querySelectorAll('.kp-controls .kp-row').length > 5",
        act="nifty 26000",
    ),
    Picture(
        name="alerts",
        code="ticker.alerts_panel('NSE:INFY')",
        selector=".kp-alerts",
        ready="Number(document.querySelector('.kp-alerts')?.dataset.fired ?? 0) > 0",
    ),
    Picture(
        name="monitor",
        code="ticker.monitor()",
        selector=".kp-monitor",
        ready="document.querySelector('.kp-verdict')?.textContent === 'Healthy'",
    ),
    Picture(
        name="dashboard",
        code="ticker.dashboard('NSE:INFY', every='1s')",
        selector=".kp-dashboard",
        ready="Number(document.querySelector('.kp-dashboard .kp-chart')?.dataset.bars ?? 0) > i",
    ),
)
LINGER: Final = 2_500
"""Milliseconds after readiness: sparklines and rates need a few refreshes."""
REPAINT: Final = 600
"""Milliseconds after a change of theme."""


def draw(
    lab: Lab, folder: Path, *, scale: float = 1, bars: int = 3, is_live: bool = False
) -> list[Path]:
    """Show each widget in a notebook, and write a picture of it in each theme.

    Parameters
    ----------
    lab
        Where.
    folder
        For the pictures.
    scale
        Pixels of a picture to one of the page.
    bars
        Bars of a second each that charts have by then.
    is_live
        Whether the market goes on meanwhile: rates are above 0, and a picture takes ten times as
        long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cells = [SETUP, FAULT, *(picture.code for picture in PICTURES)]
    notebook = lab.new(cells, width=1360, height=1400, scale=scale).open()
    try:
        notebook.run(0)
        notebook.run(1)
        for cell, picture in enumerate(PICTURES, start=2):
            notebook.run(cell)
            notebook.wait_for(picture.ready, bars)
            if picture.act:
                notebook.page.get_by_label("Search instruments").press_sequentially(picture.act)
                notebook.wait_for("document.querySelectorAll('.kp-hit').length > 3")
        notebook.page.wait_for_timeout(LINGER)
        if not is_live:
            notebook.execute("ticker.exchange.pause_market()")
        drawn = []
        for theme in THEMES:
            notebook.use_theme(theme)
            notebook.page.wait_for_timeout(REPAINT)
            drawn += [_shot(notebook, folder, picture, theme) for picture in PICTURES]
        return drawn
    finally:
        notebook.close()


def _shot(notebook: Notebook, folder: Path, picture: Picture, theme: str) -> Path:
    element = notebook.page.locator(picture.selector).first
    element.scroll_into_view_if_needed()
    notebook.page.wait_for_timeout(150)  # a chart repaints in the next frames
    path = folder / f"{picture.name}-{theme}.png"
    element.screenshot(path=path)
    return path


def main(folder: str) -> None:
    """Draw every picture into a folder."""
    with Lab() as lab:
        for path in draw(lab, Path(folder), scale=1.5, bars=45, is_live=True):
            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
