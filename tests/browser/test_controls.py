"""The subscription panel with mouse and keyboard, against what the exchange was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from browser.notebook import Notebook

Opener = Callable[..., "Notebook"]

SETUP: Final = """
import kitepolars as kp
ticker = kp.demo(instruments=["NSE:NIFTY 50"], rate=4)
"""
SLEEP: Final = """
import pathlib, time
pathlib.Path("held").touch()
while not pathlib.Path("released").exists():
    time.sleep(1)
"""
HITS: Final = "document.querySelectorAll('.kp-hits .kp-hit')"
INFY, NIFTY, RELIANCE = 408065, 256265, 738561


def wait_until_both_are(notebook: Notebook, expected: dict[int, str]) -> None:
    """Wait until the panel shows and the exchange has exactly these, and ticks confirm them."""
    notebook.wait_for(
        "(() => { const rows = [...document.querySelectorAll('.kp-subscriptions .kp-row')]"
        ".filter((row) => row.style.display !== 'none');"
        " return rows.length === i.length && i.every(([token, mode]) => rows.some((row) =>"
        " row.dataset.token === token && row.children[1].textContent === mode"
        " && row.children[3].textContent === '✓')); })()",
        [[str(token), mode] for token, mode in expected.items()],
    )
    asked = f"ticker.exchange.wait_for(lambda kite: kite.subscribed() == {expected!r}, 20)"
    assert notebook.execute(f"print({asked})").strip() == "True"


def search(notebook: Notebook, text: str, first: str) -> None:
    box = notebook.page.get_by_label("Search instruments")
    box.fill("")
    box.press_sequentially(text)
    notebook.wait_for(f"{HITS}[0]?.textContent.startsWith(i)", first)


def press(notebook: Notebook, button: str) -> None:
    notebook.page.locator(f".kp-controls button[title='{button}']").click()


def message(notebook: Notebook) -> str:
    return notebook.page.locator(".kp-message").first.inner_text()


def wait_message(notebook: Notebook, text: str) -> None:
    notebook.wait_for("document.querySelector('.kp-message')?.textContent.includes(i)", text)


def test_search_add_change_remove_and_undo_by_keyboard_and_mouse(open_notebook: Opener) -> None:
    notebook = open_notebook(SETUP, "panel = ticker.controls(mode='full'); panel")
    notebook.run(0)
    notebook.run(1)
    page = notebook.page
    wait_until_both_are(notebook, {NIFTY: "full"})
    search(notebook, "infy", "INFY NSE")
    page.keyboard.press("Enter")
    wait_until_both_are(notebook, {NIFTY: "full", INFY: "full"})
    assert "1 subscribed" in message(notebook)
    search(notebook, "reliance", "RELIANCE NSE")
    page.get_by_role("button", name="quote").first.click()
    page.locator(".kp-hits .kp-hit").first.click()
    press(notebook, "Subscribe")
    wait_until_both_are(notebook, {NIFTY: "full", INFY: "full", RELIANCE: "quote"})
    page.locator(f".kp-subscriptions [data-token='{INFY}']").click()
    page.locator(f".kp-subscriptions [data-token='{RELIANCE}']").click(modifiers=["Shift"])
    page.get_by_role("button", name="ltp").last.click()
    wait_until_both_are(notebook, {NIFTY: "full", INFY: "ltp", RELIANCE: "ltp"})
    press(notebook, "Undo")
    wait_until_both_are(notebook, {NIFTY: "full", INFY: "full", RELIANCE: "quote"})
    page.locator(f".kp-subscriptions [data-token='{INFY}']").click()
    notebook.wait_for(
        "document.querySelector('.kp-subscriptions .kp-count').textContent.startsWith('1 sel')"
    )
    page.keyboard.press("Delete")
    wait_until_both_are(notebook, {NIFTY: "full", RELIANCE: "quote"})
    press(notebook, "Undo")
    wait_until_both_are(notebook, {NIFTY: "full", RELIANCE: "quote", INFY: "full"})
    notebook.execute("ticker.unsubscribe([408065, 738561])")
    wait_until_both_are(notebook, {NIFTY: "full"})


def test_lists_errors_stop_and_start(open_notebook: Opener) -> None:
    notebook = open_notebook(SETUP, "panel = ticker.controls(); panel")
    notebook.run(0)
    notebook.run(1)
    page = notebook.page
    wait_until_both_are(notebook, {NIFTY: "full"})
    page.get_by_text("Paste a list").click()
    page.locator(".kp-controls textarea").fill("NSE:INFY ltp\n738561 full\nNSE:NOSUCHTHING")
    press(notebook, "Subscribe these")
    wait_until_both_are(notebook, {NIFTY: "full", INFY: "ltp", RELIANCE: "full"})
    wait_message(notebook, "NSE:NOSUCHTHING")
    assert "kp-error" in (page.locator(".kp-message").first.get_attribute("class") or "")
    page.get_by_text("Watch list in a file").click()
    press(notebook, "Save")
    wait_message(notebook, "Saved 3 instruments to watchlist.txt")
    notebook.execute("ticker.unsubscribe([408065])")
    wait_until_both_are(notebook, {NIFTY: "full", RELIANCE: "full"})
    press(notebook, "Load")
    wait_until_both_are(notebook, {NIFTY: "full", RELIANCE: "full", INFY: "ltp"})
    press(notebook, "Stop")
    notebook.wait_for("document.querySelector('.kp-controls').textContent.includes('Stopped')")
    press(notebook, "Start")
    wait_until_both_are(notebook, {NIFTY: "full", RELIANCE: "full", INFY: "ltp"})
    notebook.execute(
        "panel._add(ticker.instruments.frame['instrument_token'].head(9100).to_list())"
    )
    wait_message(notebook, "there is room for")


def test_a_click_works_while_a_cell_sleeps_where_the_kernel_lets_it(open_notebook: Opener) -> None:
    notebook = open_notebook(SETUP, "panel = ticker.controls(mode='full'); panel", SLEEP)
    notebook.run(0)
    notebook.run(1)
    wait_until_both_are(notebook, {NIFTY: "full"})
    subshells = notebook.execute(
        "print(hasattr(get_ipython().kernel, 'shell_channel_thread'))"
    ).strip()
    notebook.start_held(2)
    box = notebook.page.get_by_label("Search instruments")
    box.press_sequentially("infy")
    if subshells != "True":
        notebook.release(2)
    notebook.wait_for(f"{HITS}[0]?.textContent.startsWith('INFY')")
    notebook.page.keyboard.press("Enter")
    notebook.wait_for("document.querySelectorAll('.kp-subscriptions .kp-row').length >= 2")
    if subshells == "True":
        assert notebook.is_running(2)
        notebook.release(2)
    wait_until_both_are(notebook, {NIFTY: "full", INFY: "full"})
