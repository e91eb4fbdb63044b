"""Alerts by hand: the panel's form, a level dragged on the chart, toasts with a sound."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from browser.notebook import Notebook

Opener = Callable[..., "Notebook"]

START: Final = """
import polars as pl
import kitepolars as kp
ticker = kp.demo(instruments=["NSE:INFY", "NSE:SBIN", "NSE:RELIANCE"], rate=8)
assert ticker.wait(rows=12, timeout=60)
attack = "<img src=x onerror=window.attacked=1>"
ticker.alert(kp.crosses("last_price", 1e6), instruments="NSE:INFY", name=attack)
"""
HEARD: Final = """() => {
    window.tones = 0;
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (at) {
        window.tones += 1;
        return start.call(this, at);
    };
}"""
SECOND: Final = "document.querySelectorAll('.kp-alerts')[1]"
SET: Final = f"{SECOND}?.querySelectorAll('[role=listitem]').length"
TOASTS: Final = "[...document.querySelectorAll('.kp-toast')].map((toast) => toast.textContent)"
LEVELS: Final = "print([alert.level for alert in ticker.active_alerts()])"
PRICED: Final = """
ticker.alert(pl.col("last_price") > 0, name={name!r}, instruments="NSE:SBIN", once=True)
"""


def test_an_alert_is_set_by_hand_and_announced_once_with_a_sound(open_notebook: Opener) -> None:
    panels = "ticker.alerts_panel()", "ticker.watch(height=90)", "ticker.alerts_panel()"
    notebook = open_notebook(START, *panels)
    for cell in range(4):
        notebook.run(cell)
    page = notebook.page
    page.evaluate(HEARD)
    panel = page.locator(".kp-alerts").first
    notebook.wait_for(f"{SET} === 1")
    assert page.locator(".kp-alerts img").count() == 0
    assert page.evaluate("window.attacked") is None
    page.locator(".kp-table .kp-row", has_text="SBIN").click()
    second = page.locator(".kp-alerts").nth(1)  # the last one made follows
    notebook.wait_for(f"{SECOND}.querySelector('select').textContent.includes('SBIN')")
    second.get_by_label("Comparison").select_option("above")
    second.get_by_label("Level").fill("1")
    second.get_by_label("Level").press("Enter")
    notebook.wait_for(f"{TOASTS}.some((text) => text.includes('SBIN Last is above 1'))")
    notebook.wait_for("window.tones === 2")
    notebook.wait_for("document.querySelectorAll('.kp-alerts')[0].dataset.fired === '1'")
    assert page.locator(".kp-toast").count() == 1, "two panels announce it once"
    page.locator(".kp-toast").get_by_role("button", name="Mute").click()
    panel.get_by_label("Snooze NSE:SBIN Last is above 1").select_option("900")
    notebook.wait_for(
        "document.querySelector('.kp-snoozed')?.textContent.includes('snoozed until')"
    )
    panel.get_by_label("Remove NSE:SBIN Last is above 1").click()
    notebook.wait_for(f"{SET} === 1")
    notebook.execute(PRICED.format(name="<b>quiet</b>"))
    notebook.wait_for(f"{TOASTS}.some((text) => text.includes('<b>quiet</b>'))")
    assert page.evaluate("window.tones") == 2, "it is muted"
    notebook.reload()
    notebook.wait_for("document.querySelector('.kp-alerts')?.dataset.fired === '2'")
    assert page.get_by_role("button", name="Sound off").count() == 2, "which is remembered"
    assert page.locator(".kp-toast").count() == 0, "what had fired before is not announced again"
    page.get_by_role("button", name="Sound off").first.click()
    notebook.wait_for(f"{SECOND}.textContent.includes('Sound on')")


def test_a_level_dragged_on_the_chart_makes_an_alert_and_moves_it(open_notebook: Opener) -> None:
    start = START.replace('kp.crosses("last_price", 1e6)', 'pl.col("last_price") < 1e-6')
    notebook = open_notebook(start, "ticker.chart('NSE:INFY', '1s')")
    notebook.run(0)
    notebook.run(1)
    page = notebook.page
    drawn = "JSON.parse(document.querySelector('.kp-chart')?.dataset.marks ?? '{}')"
    notebook.wait_for("Number(document.querySelector('.kp-chart')?.dataset.bars ?? 0) > 5")
    notebook.wait_for(f"{drawn}.lines > 0")
    page.locator(".kp-canvas").scroll_into_view_if_needed()
    box = page.locator(".kp-canvas").bounding_box()
    assert box is not None
    lines = page.evaluate(f"{drawn}.lines")
    page.mouse.move(box["x"] + 200, box["y"] + 120)
    page.mouse.move(box["x"] + 210, box["y"] + 120)
    handle = page.locator(".kp-alert-handle")
    notebook.wait_for("document.querySelector('.kp-alert-handle').textContent.includes('+ Alert')")
    grip = handle.bounding_box()
    assert grip is not None
    page.mouse.move(grip["x"] + 8, grip["y"] + 8)
    page.mouse.down()
    page.mouse.move(grip["x"] + 8, box["y"] + 80, steps=4)
    page.mouse.up()
    notebook.wait_for(f"{drawn}.lines === i", lines + 1)
    made = levels(notebook)[-1]
    assert made == round(round(made / 0.1) * 0.1, 6), "in steps of the tick size"
    line = place_of(notebook, made)
    page.mouse.move(box["x"] + 200, box["y"] + line)
    page.mouse.move(box["x"] + 205, box["y"] + line)
    notebook.wait_for("document.querySelector('.kp-canvas').classList.contains('kp-on-alert')")
    page.mouse.down()
    page.mouse.move(box["x"] + 205, box["y"] + line + 60, steps=4)
    page.mouse.up()
    notebook.wait_until(lambda: levels(notebook)[-1] < made)
    assert len(levels(notebook)) == 2
    notebook.wait_for(f"{drawn}.lines === i", lines + 1)
    moved = place_of(notebook, levels(notebook)[-1])
    page.mouse.move(box["x"] + 200, box["y"] + moved)
    page.mouse.move(box["x"] + 205, box["y"] + moved)
    page.get_by_role("button", name="Remove this alert").click()
    notebook.wait_until(lambda: levels(notebook) == [1e-6])
    notebook.execute(PRICED.format(name="here").replace("SBIN", "INFY"))
    notebook.wait_for(f"{drawn}.fired === 1")
    notebook.wait_for(f"{TOASTS}.some((text) => text.includes('here'))")
    page.locator(".kp-canvas").press("a")
    notebook.wait_until(lambda: len(levels(notebook)) == 3)


def levels(notebook: Notebook) -> list[float]:
    found: list[float] = json.loads(notebook.execute(LEVELS))
    return found


def place_of(notebook: Notebook, price: float) -> float:
    """Return how far below the top of the chart an alert is drawn, in pixels."""
    place = "JSON.parse(document.querySelector('.kp-chart').dataset.marks).alerts"
    notebook.wait_for(f"{place}.some(([level, y]) => level === i && y)", price)
    found: float = notebook.page.evaluate(f"(i) => new Map({place}).get(i)", price)
    return found
