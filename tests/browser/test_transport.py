"""The transport of a replay in a real JupyterLab: it plays, pauses, and goes where one clicks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from browser.notebook import Notebook

Opener = Callable[..., "Notebook"]

SETUP: Final = "import kitepolars as kp\nreplay = kp.sample().start()"
POSITION: Final = "print(round(replay.position.fraction, 2), replay.is_paused)"
CHOSEN: Final = "document.querySelector('.kp-transport select').value"


def test_play_pause_speed_and_a_click_on_the_time_line(open_notebook: Opener) -> None:
    notebook = open_notebook(SETUP, "replay.transport()")
    notebook.run(0)
    notebook.run(1)
    page = notebook.page
    notebook.wait_sequence(".kp-transport", 2)
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play", exact=True).wait_for()
    line = page.get_by_role("slider", name="position")
    box = line.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)
    notebook.wait_until(lambda: notebook.execute(POSITION).startswith(("0.89", "0.9", "0.91")))
    assert notebook.execute(POSITION).strip().endswith("True")
    notebook.wait_for("document.querySelectorAll('.kp-marks i').length > 0")  # the sample's gap
    page.get_by_label("speed").select_option("fastest")
    notebook.wait_until(lambda: notebook.execute("print(replay.speed)").strip() == "None")
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_role("button", name="Play again").wait_for()
    assert "the end" in page.locator(".kp-transport").inner_text()
