"""Draws every widget in both themes into artifacts/, as `make screenshots` does for the docs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from browser.lab import Lab

FOLDER: Final = Path(__file__).parents[2] / "artifacts" / "widgets"


def test_every_widget_is_drawn_in_both_themes(lab: Lab) -> None:
    from browser.screenshots import PICTURES, draw  # noqa: PLC0415 (needs Playwright)

    drawn = draw(lab, FOLDER)
    assert len(drawn) == 2 * len(PICTURES)
    sizes = {path.name: path.stat().st_size for path in drawn}
    assert min(sizes.values()) > 5_000, sizes
