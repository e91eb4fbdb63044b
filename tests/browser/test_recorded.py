"""Widgets where no kernel runs: an exported page, and a notebook that was saved."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kitepolars as kp

if TYPE_CHECKING:
    from browser.lab import Lab
    from browser.notebook import Notebook

Opener = Callable[..., "Notebook"]

KINDS = (".kp-table", ".kp-chart", ".kp-ladder", ".kp-monitor", ".kp-search", ".kp-subscriptions")
REPEATED = """() => new Promise((repeated) => {
    const ladder = document.querySelector('.kp-ladder');
    let before = Number(ladder.dataset.seq);
    new MutationObserver(() => {
        const now = Number(ladder.dataset.seq);
        if (now < before) repeated(true);
        before = now;
    }).observe(ladder, { attributeFilter: ['data-seq'] });
})"""
"""Resolves when a recording that has more than one message begins again."""
ROWS = "document.querySelectorAll('.kp-table .kp-row:not([style*=none])').length"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_exported_page_plays_from_a_file_without_a_network(
    lab: Lab, tmp_path: Path, scheme: str
) -> None:
    from playwright.sync_api import expect  # noqa: PLC0415 (only where Playwright is there)

    with kp.demo(rate=10) as ticker:
        assert ticker.wait(rows=40, timeout=60)
        page_file = ticker.dashboard("NSE:INFY", every="1s").export_html(
            tmp_path / "page.html", seconds=2
        )
    with lab.alone(color_scheme=scheme, offline=True) as page:
        errors: list[str] = []
        requests: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(page_file.as_uri())
        rows = page.locator(".kp-table .kp-row:not([style*=none])")
        expect(rows).to_have_count(8)
        expect(page.locator(".kp-verdict")).not_to_be_empty()
        expect(page.locator(".kp-legend")).to_contain_text("INFY")
        assert page.evaluate(REPEATED)
        expect(page.locator(".kp-badge").first).to_contain_text("Recorded ")
        expect(page.locator(".kp-stale, .kp-row.kp-old")).to_have_count(0)
        dark = re.compile(r"rgb\(\d\d,")
        paper = expect(page.locator(".kp-table"))
        (paper.to_have_css if scheme == "dark" else paper.not_to_have_css)("background-color", dark)
        assert errors == []
        assert [url for url in requests if not url.startswith(("file:", "blob:", "data:"))] == []


def test_a_saved_notebook_shows_what_it_showed_before_any_cell_is_run(
    open_notebook: Opener,
) -> None:
    code = "import kitepolars as kp; ticker = kp.demo(rate=4); ticker.wait(rows=16, timeout=60)"
    notebook = open_notebook(
        code,
        "ticker.watch()",
        "ticker.chart('NSE:INFY', every='1s')",
        "ticker.ladder('NSE:INFY')",
        "ticker.monitor()",
        "ticker.controls()",
    )
    for cell in range(6):
        notebook.run(cell)
    for kind in KINDS:
        notebook.wait_sequence(kind, 0)
    notebook.wait_sequence(".kp-table", 3)
    notebook.wait_for("Number(document.querySelector('.kp-chart')?.dataset.bars ?? 0) >= 3")
    notebook.page.get_by_role("columnheader", name="Last", exact=True).click()
    document = notebook.save()
    assert "recording" in str(document["metadata"]["widgets"])
    notebook.close_kernel()
    notebook.page.reload()
    notebook.wait_until_ready()
    for kind in KINDS:
        notebook.wait_for("document.querySelector(i)?.classList.contains('kp-recorded')", kind)
    notebook.wait_for(f"{ROWS} === 8")
    notebook.wait_for("Number(document.querySelector('.kp-chart')?.dataset.bars ?? 0) >= 3")
    first = notebook.page.locator(".kp-table .kp-row[aria-rowindex='1'] .kp-symbol").inner_text()
    assert first.startswith("NIFTY BANK"), "saved as it was sorted"
    assert notebook.page.locator(".kp-table .kp-badge").inner_text().startswith("Recorded ")
    notebook.run(0)
    notebook.run(1)
    notebook.wait_sequence(".kp-table", 3)
    notebook.wait_for("document.querySelector('.kp-table .kp-badge').hidden")
