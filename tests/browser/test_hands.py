"""What hands expect of table, chart and chain: one selection, choices that are remembered, keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from browser.notebook import Notebook

Opener = Callable[..., "Notebook"]

START: Final = """
import ipywidgets
import kitepolars as kp
ticker = kp.demo(rate=8)
ticker.subscribe(ticker.instruments.option_chain("NIFTY"), mode="full")
"""
SHOWN: Final = (
    "[...document.querySelectorAll('.kp-table .kp-head button')].map((b) => b.dataset.key)"
)
BARS: Final = "Number(document.querySelector('.kp-chart')?.dataset.bars ?? 0)"


def test_a_click_in_table_or_chain_leads_the_chart_and_the_tape(open_notebook: Opener) -> None:
    views = "ticker.chart('NSE:INFY', every='1s'), ticker.tape('NSE:INFY', height=80)"
    notebook = open_notebook(
        START, f"ipywidgets.VBox([ticker.watch(height=120), {views}])", "ticker.chain('NIFTY')"
    )
    for cell in range(3):
        notebook.run(cell)
    page = notebook.page
    page.locator(".kp-table .kp-row", has_text="SBIN").click()
    legend = "document.querySelector('.kp-legend')?.textContent"
    tape = "document.querySelector('.kp-tape .kp-title')?.textContent"
    notebook.wait_for(f"{legend}?.startsWith('SBIN') && {tape}?.startsWith('SBIN')")
    notebook.wait_for("document.querySelectorAll('.kp-chain-sheet tbody tr').length > 20")
    notebook.wait_for("document.querySelector('.kp-chain .kp-money td.kp-put')")
    page.locator(".kp-chain .kp-money td.kp-put").first.click()
    notebook.wait_for(f"/^NIFTY .* PE/.test({legend})")
    notebook.wait_for(f"/^NIFTY .* PE/.test({tape})")


def test_columns_and_indicators_are_remembered_by_the_notebook(open_notebook: Opener) -> None:
    notebook = open_notebook(START, "ticker.watch(height=120)", "ticker.chart('NSE:INFY', '1s')")
    for cell in range(3):
        notebook.run(cell)
    page = notebook.page
    notebook.wait_for(f"{SHOWN}.includes('imbalance')")
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("checkbox", name="Imbalance (all)").click()
    notebook.wait_for(f"!{SHOWN}.includes('imbalance')")
    page.get_by_role("button", name="Move up Change").click()
    notebook.wait_for(f"{SHOWN}.indexOf('change') < {SHOWN}.indexOf('spark')")
    notebook.wait_for(f"{BARS} > 2")
    page.get_by_role("button", name="Indicators").click()
    page.get_by_role("checkbox", name="Exponential average").click()
    notebook.wait_for("document.querySelector('.kp-study-legend')?.textContent.includes('ema(20)')")
    notebook.restart_kernel()
    for cell in range(3):
        notebook.run(cell)
    notebook.wait_for(
        f"{SHOWN}.indexOf('change') < {SHOWN}.indexOf('spark') && !{SHOWN}.includes('imbalance')"
    )
    notebook.wait_for("document.querySelector('.kp-study-legend')?.textContent.includes('ema(20)')")


def test_keys_reach_the_filter_the_rows_and_the_chart(open_notebook: Opener) -> None:
    notebook = open_notebook(START, "ticker.watch(height=120)", "ticker.chart('NSE:INFY', '1s')")
    for cell in range(3):
        notebook.run(cell)
    page = notebook.page
    notebook.wait_for("document.querySelectorAll('.kp-table .kp-row').length > 5")
    page.locator(".kp-table .kp-rows").press("/")
    notebook.wait_for("document.activeElement.ariaLabel === 'Filter instruments'")
    page.keyboard.type("sbin")
    notebook.wait_for("document.querySelector('.kp-count').textContent.startsWith('1 of')")
    page.keyboard.press("Enter")
    notebook.wait_for("document.querySelector('.kp-legend').textContent.startsWith('SBIN')")
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    notebook.wait_for("document.querySelector('.kp-count').textContent.endsWith('instruments')")
    page.locator(".kp-canvas").press("/")
    notebook.wait_for("document.activeElement.ariaLabel === 'Instrument'")


def test_two_charts_share_a_crosshair(open_notebook: Opener) -> None:
    charts = (
        "ticker.chart('NSE:INFY', '1s', height=180), ticker.chart('NSE:SBIN', '1s', height=180)"
    )
    notebook = open_notebook(START, f"ipywidgets.VBox([{charts}])")
    notebook.run(0)
    notebook.run(1)
    page = notebook.page
    both = "[...document.querySelectorAll('.kp-chart')]"
    notebook.wait_for(f"{both}.length === 2 && {both}.every((c) => Number(c.dataset.bars) > 8)")
    canvas = page.locator(".kp-canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    last = box["x"] + box["width"] - 130  # left of the prices and the empty bars
    page.mouse.move(last - 10, box["y"] + 60)
    page.mouse.move(last, box["y"] + 60)
    notebook.wait_for(f"Number({both}[1].dataset.crosshair) > 0")
    page.mouse.move(box["x"] + 100, box["y"] - 40)
    notebook.wait_for(f"{both}[1].dataset.crosshair === ''")


def test_arrows_in_the_table_lead_chart_and_ladder(open_notebook: Opener) -> None:
    views = "ticker.chart('NSE:INFY', every='1s', height=160), ticker.ladder('NSE:INFY')"
    notebook = open_notebook(
        START, f"ipywidgets.VBox([ticker.watch(['NSE:INFY', 'NSE:SBIN'], height=90), {views}])"
    )
    notebook.run(0)
    notebook.run(1)
    page = notebook.page
    legend = "document.querySelector('.kp-legend')?.textContent"
    ladder = "document.querySelector('.kp-ladder .kp-title')?.textContent"
    notebook.wait_for("document.querySelectorAll('.kp-table .kp-row .kp-symbol').length > 1")
    page.locator(".kp-table .kp-row", has_text="INFY").click()
    page.keyboard.press("ArrowDown")
    notebook.wait_for(f"{legend}?.startsWith('SBIN') && {ladder} === 'SBIN NSE'")
    page.keyboard.press("ArrowUp")
    notebook.wait_for(f"{legend}?.startsWith('INFY') && {ladder} === 'INFY NSE'")
    page.keyboard.press("End")
    notebook.wait_for(f"{legend}?.startsWith('SBIN') && {ladder} === 'SBIN NSE'")
    box = page.get_by_label("Instrument", exact=True)
    box.click()
    box.press_sequentially("reliance")
    notebook.wait_for("document.querySelector('.kp-menu .kp-hit')?.textContent.includes('RELI')")
    box.press("Escape")
    notebook.wait_for("document.querySelector('.kp-chart .kp-menu').hidden")
    notebook.wait_for(f"{legend}.startsWith('SBIN')")
