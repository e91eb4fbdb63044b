"""The live views in a real JupyterLab: what moves, what is drawn, what survives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from browser.notebook import Notebook


Opener = Callable[..., "Notebook"]

DEMO: Final = """
import kitepolars as kp
from kitepolars.widgets import Chart, Controls, Ladder, LiveTable, Monitor
ticker = kp.demo(rate=4)
"""
MANY: Final = """
import kitepolars as kp
from kitepolars.widgets import LiveTable
ticker = kp.demo(instruments=[])
tokens = [token for token in ticker.instruments.frame["instrument_token"].to_list()][:9000]
ticker.subscribe(tokens, mode="full")
table = LiveTable(ticker)
table
"""
TABLE: Final = ".kp-table"
HELD: Final = "from pathlib import Path; Path('held').touch()\n"
LOCK: Final = HELD + (
    "import ctypes; ctypes.PyDLL(None).system(b'until [ -e released ]; do sleep 0.1; done')"
)
"""In C until it is released, without giving up the interpreter lock."""
THREADS: Final = "import threading; print([t.name for t in threading.enumerate()])"
COUNTED: Final = """
from collections import Counter
calls = Counter()
def counted(name, function):
    def call(*args, **keywords):
        calls[name] += 1
        return function(*args, **keywords)
    return call
ticker._held = counted("ticks were read", ticker._held)
ticker.subscriptions = counted("subscriptions were read", ticker.subscriptions)
table = LiveTable(ticker)
table.send = counted("a message was sent", table.send)
table
"""
COST: Final = """
calls.clear()
seen = ticker.stats().ticks
print(ticker.wait(until=lambda ticker: ticker.stats().ticks > seen + 40, timeout=60), dict(calls))
"""
"""Whether 40 further ticks came, and what was called meanwhile."""
BUSY: Final = {
    "sleep": "import time\nwhile not Path('released').exists(): time.sleep(1)",
    "loop": "while not Path('released').exists(): sum(range(1000))",
    "await": "import asyncio\nwhile not Path('released').exists(): await asyncio.sleep(0.1)",
}


def test_a_table_moves_while_the_kernel_is_idle_asleep_computing_or_awaiting(
    open_notebook: Opener,
) -> None:
    notebook = open_notebook(DEMO, "LiveTable(ticker)", *(HELD + busy for busy in BUSY.values()))
    notebook.run(0)
    notebook.run(1)
    notebook.wait_sequence(TABLE, 3)
    for cell in range(2, 2 + len(BUSY)):
        notebook.start_held(cell)
        before = notebook.sequence(TABLE)
        notebook.wait_sequence(TABLE, before + 6)
        assert notebook.is_running(cell)
        notebook.release(cell)
    assert not notebook.page.locator(f"{TABLE}.kp-stale").count()


@pytest.mark.thorough
def test_nine_thousand_rows_scroll_sort_and_filter(open_notebook: Opener) -> None:
    notebook = open_notebook(MANY)
    notebook.run(0)
    page = notebook.page
    notebook.wait_for(
        "document.querySelector('.kp-table .kp-count')?.textContent === i", "9,000 instruments"
    )
    assert page.locator(".kp-table .kp-row").count() < 40
    page.evaluate("document.querySelector('.kp-rows').scrollTop = 5000 * 24")
    wanted = notebook.execute("print(ticker.subscriptions()['symbol'][5003])").strip()
    notebook.wait_for(
        "[...document.querySelectorAll('.kp-row .kp-symbol')].some((cell) => cell.title === i)",
        wanted,
    )
    page.get_by_role("columnheader", name="Last", exact=True).click()
    page.evaluate("document.querySelector('.kp-rows').scrollTop = 0")
    highest = notebook.execute("print(ticker.latest().sort('last_price')['symbol'][-1])").strip()
    notebook.wait_for(
        "document.querySelector('.kp-row[aria-rowindex=\"1\"] .kp-symbol')?.title === i", highest
    )
    page.get_by_label("Filter instruments").fill("infy nse")
    notebook.wait_for(
        "[...document.querySelectorAll('.kp-row')].filter((row) => row.style.display !== 'none')"
        ".every((row) => row.querySelector('.kp-symbol').title.includes('INFY'))"
    )


def test_two_views_a_second_run_and_a_reload_leave_everything_alive(open_notebook: Opener) -> None:
    notebook = open_notebook(DEMO, "table = LiveTable(ticker); table", "table", "table")
    for cell in range(4):
        notebook.run(cell)
    for which in range(3):
        notebook.wait_sequence(TABLE, 2, which)
    notebook.run(1)
    notebook.wait_sequence(TABLE, 2, 0)
    for _ in range(3):
        notebook.reload()
        notebook.wait_sequence(TABLE, 0, 2)
        before = notebook.sequence(TABLE, 2)
        notebook.wait_sequence(TABLE, before + 4, 2)
    names = notebook.execute(THREADS)
    assert names.count("kitepolars-ui") == 1


@pytest.mark.thorough
def test_a_view_that_is_cleared_costs_nothing_any_more(open_notebook: Opener) -> None:
    notebook = open_notebook(DEMO, COUNTED)
    notebook.run(0)
    notebook.run(1)
    notebook.wait_sequence(TABLE, 2)
    assert "kitepolars-ui" in notebook.execute(THREADS)
    notebook.command("notebook:clear-all-cell-outputs")
    notebook.wait_for("!document.querySelector('.kp-table')")
    assert_it_costs_nothing(notebook, notebook.execute)
    notebook.run(1)
    notebook.wait_sequence(TABLE, 2)


@pytest.mark.thorough
def test_a_page_that_is_closed_costs_nothing_and_may_come_back(open_notebook: Opener) -> None:
    notebook = open_notebook(DEMO, COUNTED)
    notebook.run(0)
    notebook.run(1)
    notebook.wait_sequence(TABLE, 2)
    notebook.save()
    address = notebook.page.url
    with notebook.without_page() as execute:
        notebook.page.goto(f"{notebook.lab.url}/api/status")
        assert_it_costs_nothing(notebook, execute)
    notebook.page.goto(address)
    notebook.wait_until_ready()
    notebook.wait_sequence(TABLE, 0)
    before = notebook.sequence(TABLE)
    notebook.wait_sequence(TABLE, before + 4)
    assert notebook.execute(THREADS).count("kitepolars-ui") == 1


def assert_it_costs_nothing(notebook: Notebook, execute: Callable[[str], str]) -> None:
    """Wait until the UI thread has ended: ticks still come, and none is processed for the view."""
    assert execute("print(len(calls))").strip() == "3"
    notebook.wait_until(lambda: "kitepolars-ui" not in execute(THREADS))
    assert execute(COST).split() == ["True", "{}"]
    assert "kitepolars-ui" not in execute(THREADS)


@pytest.mark.thorough
def test_a_held_interpreter_lock_is_reported_and_caught_up_with(open_notebook: Opener) -> None:
    notebook = open_notebook(DEMO, "LiveTable(ticker)", LOCK)
    notebook.run(0)
    notebook.run(1)
    notebook.wait_sequence(TABLE, 2)
    notebook.start_held(2)
    notebook.wait_for("document.querySelector('.kp-table.kp-stale')")
    badge = notebook.page.locator(".kp-table .kp-badge")
    assert "not connected" in (badge.text_content() or "")
    notebook.release(2)
    notebook.wait_for("!document.querySelector('.kp-table.kp-stale')")


@pytest.mark.thorough
def test_after_a_restart_the_old_view_has_a_notice_and_a_second_run_is_live(
    open_notebook: Opener,
) -> None:
    notebook = open_notebook(DEMO, "LiveTable(ticker)")
    notebook.run(0)
    notebook.run(1)
    notebook.wait_sequence(TABLE, 2)
    notebook.restart_kernel()
    notebook.wait_for("document.querySelector('.kp-table.kp-stale')")
    notebook.run(0)
    notebook.run(1)
    notebook.wait_sequence(TABLE, 2)
    assert notebook.execute(THREADS).count("kitepolars-ui") == 1


@pytest.mark.thorough
def test_a_dashboard_whose_kernel_is_gone_says_so_without_broken_images(
    open_notebook: Opener,
) -> None:
    notebook = open_notebook(DEMO, "ticker.dashboard('NSE:INFY', every='1s')")
    notebook.run(0)
    notebook.run(1)
    notebook.wait_sequence(TABLE, 2)
    notebook.restart_kernel()
    boxes = "[...document.querySelectorAll('.jupyter-widgets-disconnected')]"
    notebook.wait_for(f"document.querySelector('{TABLE}.kp-stale') && {boxes}.length > 3")
    marks = f"{boxes}.map((box) => getComputedStyle(box, '::before').content)"
    assert set(notebook.page.evaluate(marks)) == {"none"}


@pytest.mark.thorough
def test_an_interrupted_cell_leaves_the_view_alive(open_notebook: Opener) -> None:
    notebook = open_notebook(DEMO, "LiveTable(ticker)", HELD + BUSY["sleep"])
    notebook.run(0)
    notebook.run(1)
    notebook.wait_sequence(TABLE, 2)
    notebook.start_held(2)
    notebook.command("notebook:interrupt-kernel")
    notebook.wait_ended(2)
    assert [out.get("ename") for out in notebook.outputs(2)] == ["KeyboardInterrupt"]
    before = notebook.sequence(TABLE)
    notebook.wait_sequence(TABLE, before + 4)


@pytest.mark.thorough
def test_a_fault_is_shown_in_the_widget_and_in_the_events(open_notebook: Opener) -> None:
    notebook = open_notebook(DEMO, "table = LiveTable(ticker); table", "Monitor(ticker)")
    for cell in range(3):
        notebook.run(cell)
    notebook.wait_sequence(TABLE, 2)
    notebook.execute("channel, hooks = table._channel, table._channel._hooks")
    notebook.execute("broken = lambda reading: 1 / 0")
    notebook.execute("channel._hooks = hooks._replace(snapshot=broken, changes=broken)")
    note = "document.querySelector('.kp-table .kp-note')"
    notebook.wait_for(f"!{note}.hidden && {note}.textContent === 'division by zero'")
    notebook.wait_for(
        "document.querySelector('.kp-events')?.textContent.includes('LiveTable failed (1): Zero')"
    )
    notebook.execute("channel._hooks = hooks")
    notebook.wait_for(f"{note}.hidden")
    before = notebook.sequence(TABLE)
    notebook.wait_sequence(TABLE, before + 4)


def test_a_ladder_shows_the_book_and_offers_mode_full(open_notebook: Opener) -> None:
    notebook = open_notebook(
        DEMO + "ticker.set_mode(['NSE:INFY'], 'quote')",
        "ladder = Ladder(ticker, 'NSE:INFY'); ladder",
    )
    notebook.run(0)
    notebook.run(1)
    page = notebook.page
    page.get_by_role("button", name="Switch to full").click()
    notebook.wait_for(
        "[...document.querySelectorAll('.kp-book .kp-quantity')]"
        ".every((cell) => cell.textContent !== '–')"
    )
    assert notebook.execute("print(ticker.exchange.subscribed()[408065])").strip() == "full"
    shown = page.locator(".kp-book").inner_text()
    notebook.wait_for("document.querySelector('.kp-book').innerText !== i", shown)
    notebook.execute("ladder.instrument = 'NSE:NIFTY 50'")
    notebook.wait_for("document.querySelector('.kp-ladder').textContent.includes('An index')")


def test_a_chart_draws_switches_interval_and_instrument(open_notebook: Opener) -> None:
    code = "import ipywidgets; chart = Chart(ticker, 'NSE:INFY', every='1s')"
    notebook = open_notebook(DEMO, f"{code}; ipywidgets.VBox([chart])")
    notebook.run(0)
    notebook.run(1)
    page = notebook.page
    paper = "getComputedStyle(document.querySelector('.kp-chart')).backgroundColor"
    notebook.wait_for(f"document.querySelector('.kp-chart')?.dataset.paper === {paper}")
    notebook.wait_for("Number(document.querySelector('.kp-chart')?.dataset.bars ?? 0) >= 4")
    assert page.locator(".kp-chart canvas").count() > 3
    assert "INFY" in (page.locator(".kp-legend").text_content() or "")
    bars = int(page.locator(".kp-chart").get_attribute("data-bars") or 0)
    page.get_by_role("button", name="1m", exact=True).click()
    notebook.wait_for("Number(document.querySelector('.kp-chart').dataset.bars) < i", bars)
    assert notebook.execute("print(chart.interval)").strip() == "1m"
    box = page.get_by_label("Instrument", exact=True)
    box.click()
    box.press_sequentially("reliance")
    notebook.wait_for(
        "document.querySelector('.kp-menu .kp-hit .kp-symbol')?.textContent.startsWith('RELIANCE')"
    )
    box.press("Enter")
    notebook.wait_for("document.querySelector('.kp-legend').textContent.includes('RELIANCE')")


def test_a_monitor_says_what_is_wrong_and_shows_texts_as_texts(open_notebook: Opener) -> None:
    notebook = open_notebook(DEMO, "Monitor(ticker)")
    notebook.run(0)
    notebook.run(1)
    word = "document.querySelector('.kp-verdict')?.textContent"
    notebook.wait_for(f"{word} === 'Healthy'")
    text = '{"type": "error", "data": "<img src=x onerror=window.attacked=1><b>bad</b>"}'
    notebook.execute(f"ticker.exchange.send({text!r})")
    notebook.wait_for("document.querySelector('.kp-events')?.textContent.includes('<b>bad</b>')")
    assert notebook.page.locator(".kp-events img").count() == 0
    assert notebook.page.evaluate("window.attacked") is None
    notebook.execute("ticker.exchange.reject(503); ticker.exchange.abort()")
    notebook.wait_for(f"['Down', 'Degraded'].includes({word})")
    notebook.execute("ticker.exchange.accept()")
    notebook.wait_for(f"{word} === 'Healthy'")
    notebook.wait_for("document.querySelector('.kp-monitor').textContent.includes('1 gap')")
    notebook.execute("ticker.stop()")
    notebook.wait_for(f"{word} === 'Stopped'")


def test_a_saved_notebook_holds_no_token_and_views_come_from_a_theme(open_notebook: Opener) -> None:
    secret = "Xq7secretSecret"
    start = f"""
from kitepolars.widgets import Controls
from kitepolars.sim import SimulatedKite
import kitepolars as kp
exchange = SimulatedKite(seed=1); exchange.start()
ticker = kp.Ticker("key", {secret!r}, url=exchange.url, instruments=exchange.instruments_csv())
ticker.subscribe(["NSE:INFY"]); ticker.start()
"""
    notebook = open_notebook(start, "Controls(ticker)")
    notebook.run(0)
    notebook.run(1)
    notebook.wait_sequence(".kp-subscriptions", 1)
    document = notebook.save()
    assert "SubscriptionList" in str(document["metadata"]["widgets"])
    document["cells"][0]["source"] = ""
    assert secret not in str(document)
    dark: Any = "getComputedStyle(document.querySelector('.kp-subscriptions')).backgroundColor"
    light_paper = notebook.page.evaluate(dark)
    notebook.use_theme("dark")
    notebook.wait_for(f"{dark} !== i", light_paper)


def test_a_dashboard_has_one_selection_and_says_what_is_missing(open_notebook: Opener) -> None:
    notebook = open_notebook(
        DEMO + "ticker.set_mode(['NSE:SBIN'], 'quote')",
        "board = ticker.dashboard('NSE:INFY', every='1s'); board",
    )
    notebook.run(0)
    notebook.run(1)
    page = notebook.page
    shown = "document.querySelector('.kp-dashboard .kp-ladder .kp-title')?.textContent"
    chosen = "document.querySelector('.kp-table [aria-selected=true]')?.textContent"
    notebook.wait_for(f"{shown} === 'INFY NSE' && {chosen}?.startsWith('INFY NSE')")
    chips = "[...document.querySelectorAll('.kp-chart .kp-chips button')]"
    heights = page.evaluate(
        f"new Set({chips}.map((chip) => chip.getBoundingClientRect().top)).size"
    )
    assert heights == 1, "the intervals stand in one line at 1280 pixels"
    box = page.get_by_label("Instrument", exact=True)
    box.fill("reliance")
    notebook.wait_for("document.querySelector('.kp-menu .kp-hit')?.textContent.includes('RELI')")
    box.press("Enter")
    notebook.wait_for(f"{shown} === 'RELIANCE NSE' && {chosen}?.startsWith('RELIANCE NSE')")
    page.locator(".kp-table .kp-row", has_text="SBIN").click()
    notebook.wait_for("document.querySelector('.kp-legend').textContent.startsWith('SBIN')")
    notebook.wait_for("document.querySelector('.kp-foot').textContent.includes('Bid, Ask')")
    box.fill("nifty 26000 ce")
    notebook.wait_for("document.querySelector('.kp-menu .kp-hit')?.textContent.includes('26000')")
    box.press("Enter")
    note = page.locator(".kp-chart .kp-note", has_text="is not subscribed.")
    note.get_by_role("button", name="Subscribe").click()
    notebook.wait_for("Number(document.querySelector('.kp-chart').dataset.bars) > 0")
    page.get_by_label("Filter instruments").fill("nothing like it")
    notebook.wait_for(
        "document.querySelector('.kp-rows .kp-empty').textContent.includes('No inst')"
    )
    page.get_by_label("Filter instruments").fill("")
    page.set_viewport_size({"width": 640, "height": 1000})
    notebook.wait_for("document.querySelector('.kp-table.kp-more')")
    assert page.locator(".kp-table .kp-bar").inner_text().count("more columns") == 1
