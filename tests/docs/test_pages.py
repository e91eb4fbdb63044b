"""How files of the repository become pages of the site."""

from __future__ import annotations

import base64
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import nbformat
import polars as pl
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


@pytest.mark.parametrize("name", ["index", "examples/basic/05_find_an_instrument"])
def test_a_page_is_the_same_each_time_that_it_is_read(name: str) -> None:
    (page,) = [page for page in pages.found() if page.name == name]
    first, second = pages._notebook(page), pages._notebook(page)
    assert first is not None
    assert first == second


def test_an_example_begins_with_badges_and_links() -> None:
    text = "# Why?\n\n*Basic · 2 seconds · account*\n\nUses: `demo`, `Ticker.wait`\n\nText.\n"
    shown = gallery.headed(text)
    assert "{bdg-info-line}`account`" in shown
    assert "{py:obj}`Ticker.wait <kitepolars.Ticker.wait>`" in shown
    assert "stand-in" in shown


def test_the_extra_of_the_documentation_has_what_the_examples_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    texts = [path.read_text("utf-8") for path in (ROOT / "examples").glob("*/*.py")]
    needed = {
        name
        for text in texts
        for names in re.findall(r"kitepolars\[([\w,]+)\]|extra `(\w+)`", text)
        for name in ",".join(filter(None, names)).split(",")
    }
    assert needed <= extras
    installed = {"docs"}
    for requirement in project["optional-dependencies"]["docs"]:
        if match := re.match(r"kitepolars\[([\w,]+)\]", requirement):
            installed |= set(match[1].split(","))
    assert needed - installed == set()


def notebook(*outputs: dict[str, Any]) -> Any:
    """Return a notebook with an output in each cell."""
    cells = [nbformat.v4.new_code_cell(outputs=[nbformat.from_dict(output)]) for output in outputs]
    return nbformat.v4.new_notebook(cells=cells)


def printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def shown(**data: str) -> dict[str, Any]:
    bundle = {name.replace("__", "/"): value for name, value in data.items()}
    return {"output_type": "display_data", "data": bundle, "metadata": {}}


def test_a_thumbnail_is_what_an_example_prints_most_of(tmp_path: Path) -> None:
    made = notebook(printed("one\n"), printed("a <b>\nline\n\x1b[31mred\x1b[0m\n"))
    thumbnail = gallery._thumbnail(made, tmp_path, "example")
    assert thumbnail.startswith("<pre")
    assert "a &lt;b&gt;" in thumbnail
    assert "\x1b" not in thumbnail
    assert "one" not in thumbnail


def test_a_thumbnail_is_a_table_where_one_is_printed(tmp_path: Path) -> None:
    frame = pl.DataFrame({"symbol": ["NSE:A&B", "NSE:INFY"], "last_price": [1.5, 2.0]})
    made = notebook(printed("many\n" * 20), printed(f"{frame}\n"))
    thumbnail = gallery._thumbnail(made, tmp_path, "example")
    assert "<th>symbol</th><th>last_price</th>" in thumbnail
    assert "<tr><td>NSE:A&amp;B</td><td>1.5</td></tr>" in thumbnail
    assert "str" not in thumbnail


def test_a_thumbnail_is_the_picture_that_is_drawn(tmp_path: Path) -> None:
    made = notebook(printed("text\n"), shown(image__png=base64.b64encode(b"PNG").decode()))
    thumbnail = gallery._thumbnail(made, tmp_path, "example")
    assert thumbnail == "![what it draws](/images/example.png)"
    assert (tmp_path / "images" / "example.png").read_bytes() == b"PNG"


def test_a_thumbnail_of_widgets_follows_the_theme(tmp_path: Path) -> None:
    view = {"application/vnd.jupyter.widget-view+json": "{}", "text/plain": "LiveTable"}
    output = {"output_type": "display_data", "data": view, "metadata": {}}
    thumbnail = gallery._thumbnail(notebook(output), tmp_path, "example")
    assert "{.only-light}" in thumbnail
    assert "{.only-dark}" in thumbnail
    assert (tmp_path / "images" / "dashboard-dark.png").exists()


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


def test_a_link_to_a_figure_becomes_the_figure() -> None:
    row = "Snapshot: `latest()` of 9,000 instruments, full"
    value = reference.figure(row)
    shown = f"[{value}](../performance.md#figures)"
    assert reference.expanded(f"[{row}](../performance.md#figure)") == shown
    assert reference.expanded(f"[{row}](../performance.md#figures)") == (
        f"{shown} (`latest()` of 9,000 instruments, full)"
    )
    numbers = reference.expanded(f"[{row}](../performance.md#numbers)")
    assert numbers == reference.figure(row, reference.NUMBERS)


def test_a_signature_has_the_names_of_aliases() -> None:
    shown = "(only: TypeAliasForwardRef('SomeInstruments') | None = None)"
    assert reference.ALIAS.sub(r"\1", shown) == "(only: SomeInstruments | None = None)"
