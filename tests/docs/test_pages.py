"""How files of the repository become pages of the site."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import nbformat
import pytest

import gallery
import pages
import reference
import usage

ROOT: Final = Path(__file__).parents[2]


def written(folder: Path, name: str, text: str) -> pages.Page:
    path = folder / name
    path.write_text(text)
    return pages.Page(path, path.stem)


def relinked(text: str, name: str = "howto/install") -> str:
    page = pages.Page(ROOT / "docs" / f"{name}.md", name)
    files = {each.source: f"{each.name}.md" for each in pages.found()}
    files |= {ROOT / path: file for path, file in pages.ALIASES.items()}
    return pages._relinked(text, page, files, ROOT / "docs" / "_build" / "unused")


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("[log in](log-in.md)", "[log in](log-in.md)"),
        ("[speed](../performance.md#figures)", "[speed](../performance.md#figures)"),
        ("[first](../../notebooks/01-quickstart.ipynb)", "[first](../learn/01-quickstart.md)"),
        ("[all](../../examples/README.md)", "[all](../examples/index.md)"),
        ("[terms](../../LICENSE)", "terms"),
        ("[a `name`](../../LICENSE)", "a `name`"),
        ("[Polars](https://pola.rs)", "[Polars](https://pola.rs)"),
        ("[below](#below)", "[below](#below)"),
    ],
)
def test_a_link_to_a_file_leads_to_its_page(link: str, expected: str) -> None:
    assert relinked(f"See {link}.") == f"See {expected}."


def test_links_in_code_are_left_alone() -> None:
    text = "```python\nframe[0](log-in.md)\n```\n"
    assert relinked(text) == text


def test_blocks_of_python_become_cells(tmp_path: Path) -> None:
    page = written(tmp_path, "page.md", "# Title\n\n```python\nx = 1\n```\n\nText.\n")
    notebook = pages._notebook(page)
    assert notebook is not None
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        ("markdown", "# Title"),
        ("code", "x = 1"),
        ("markdown", "Text."),
    ]


def test_a_block_that_is_not_run_stays_text(tmp_path: Path) -> None:
    text = "# Title\n\n<!-- not run: needs an account -->\n\n```python\nx = 1\n```\n"
    assert pages._notebook(written(tmp_path, "page.md", text)) is None


def test_every_example_and_notebook_is_a_page() -> None:
    sources = {page.source for page in pages.found()}
    for pattern in ("examples/*/*.py", "notebooks/*.ipynb"):
        assert set(ROOT.glob(pattern)) <= sources
    names = [page.name for page in pages.found()]
    assert len(set(names)) == len(names)


def test_an_example_begins_with_badges_and_links() -> None:
    text = "# Why?\n\n*Basic · 2 seconds · account*\n\nUses: `demo`, `Ticker.wait`\n\nText.\n"
    shown = gallery.headed(text)
    assert "{bdg-info-line}`account`" in shown
    assert "{py:obj}`Ticker.wait <kitepolars.Ticker.wait>`" in shown
    assert "stand-in" in shown


def test_the_thumbnail_is_what_an_example_prints_most_of() -> None:
    def cell(name: str, *texts: str) -> dict[str, Any]:
        outputs = [{"output_type": "stream", "name": "stdout", "text": text} for text in texts]
        return {
            "cell_type": "code",
            "id": name,
            "source": "",
            "metadata": {},
            "execution_count": 1,
            "outputs": outputs,
        }

    document = {
        "cells": [cell("first", "one\n"), cell("second", "a <b>\nline\n\x1b[31mred\x1b[0m\n")],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    notebook = nbformat.reads(json.dumps(document), as_version=4)
    preview = gallery._preview(notebook)
    assert "a &lt;b&gt;" in preview
    assert "\x1b" not in preview
    assert "one" not in preview


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("demo", "kitepolars.demo"),
        ("Ticker.wait", "kitepolars.Ticker.wait"),
        ("df.kite.candles", "kitepolars.analytics.KiteNamespace.candles"),
        ("options.price", "kitepolars.options.price"),
        ("Ladder", "kitepolars.widgets.Ladder"),
        ("SimulatedKite.step", "kitepolars.sim.SimulatedKite.step"),
    ],
)
def test_a_name_of_an_example_has_its_description(name: str, full: str) -> None:
    assert usage.target(name) == full


def test_a_name_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(LookupError, match="does not exist"):
        usage.target("nothing_of_that_name")


def test_a_block_of_names_becomes_descriptions() -> None:
    text = reference.expanded("```{api} kitepolars.Ticker\nstart\nis_running\n```\n")
    assert ".. automethod:: kitepolars.Ticker.start" in text
    assert ".. autoproperty:: kitepolars.Ticker.is_running" in text
