"""The pages of the site: which files become which, and what is written before Sphinx reads.

A page is a file of the repository that reads well where it lies: Markdown, a notebook, an example.
Blocks of Python in Markdown become cells. Links between files become links between pages.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jupytext
import nbformat
from nbformat import NotebookNode

import gallery
import generated
import reference

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"

BLOCK: Final = re.compile(
    r"^(?P<not><!-- not run: [^\n]+? -->\n+)?```python\n(?P<code>.*?)^```\n?",
    re.MULTILINE | re.DOTALL,
)
LINK: Final = re.compile(
    r"(?P<before>!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()(?P<path>(?!\w+:|#)[^)#\s]+)(?P<anchor>#[^)\s]*)?\)"
)
FENCE: Final = re.compile(r"^(```+|~~~+).*?^\1", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """A page of the site.

    Parameters
    ----------
    source
        The file.
    name
        Its name in the site, without a suffix: ``howto/install``.
    """

    source: Path
    name: str

    @property
    def is_example(self) -> bool:
        """Whether it is a script of ``examples/``."""
        return self.source.suffix == ".py"


def found() -> list[Page]:
    """Return every page that is a file of the repository."""
    markdown = [
        path
        for path in sorted(DOCS.rglob("*.md"))
        if not any(part.startswith("_") for part in path.relative_to(DOCS).parts)
    ]
    return [
        *(Page(path, path.relative_to(DOCS).with_suffix("").as_posix()) for path in markdown),
        *(
            Page(path, f"learn/{path.stem}")
            for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
        ),
        *(
            Page(path, path.relative_to(ROOT).with_suffix("").as_posix())
            for path in sorted((ROOT / "examples").glob("*/*.py"))
        ),
        Page(ROOT / "CHANGELOG.md", "project/changelog"),
        Page(ROOT / "CONTRIBUTING.md", "project/contributing"),
        Page(ROOT / "SECURITY.md", "project/security-policy"),
    ]


ALIASES: Final = {
    "README.md": "index.ipynb",
    "notebooks/README.md": "learn/index.md",
    "examples/README.md": "examples/index.md",
}
"""Files that are no pages, and the pages that say the same."""


def stage(target: Path) -> list[Page]:
    """Write the pages into a folder, and return those that have cells to execute."""
    shutil.rmtree(target, ignore_errors=True)
    notebooks = {page: _notebook(page) for page in found()}
    files = {
        page.source: f"{page.name}.{'ipynb' if notebook else 'md'}"
        for page, notebook in notebooks.items()
    }
    files |= {ROOT / path: file for path, file in ALIASES.items()}
    for page, notebook in notebooks.items():
        if notebook is None:
            text = generated.expanded(reference.expanded(page.source.read_text("utf-8")))
            _write(target, f"{page.name}.md", _relinked(text, page, files, target))
            continue
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                text = gallery.headed(cell.source) if page.is_example else cell.source
                cell.source = _relinked(text, page, files, target)
        notebook.metadata |= LANGUAGE
        _write(target, f"{page.name}.ipynb", nbformat.writes(notebook))
    return [page for page, notebook in notebooks.items() if notebook]


LANGUAGE: Final = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
}
"""The metadata of every notebook here."""


GENERATED: Final[dict[str, Callable[[Path], str]]] = {
    "examples/index": gallery.index,
}
"""Page → what writes it from pages that have been executed."""


def write_generated(target: Path) -> None:
    """Write the pages that are made from others."""
    for name, make in GENERATED.items():
        _write(target, f"{name}.md", make(target))


def _write(target: Path, name: str, text: str) -> None:
    path = target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _notebook(page: Page) -> NotebookNode | None:
    """Return a page with cells as a notebook, or None where it has none.

    Outputs are kept by the bytes of a page. So cells are numbered: random ids would change it.
    """
    notebook = _read(page)
    for number, cell in enumerate(() if notebook is None else notebook.cells):
        cell.id = f"cell-{number}"
    return notebook


def _read(page: Page) -> NotebookNode | None:
    if page.source.suffix == ".ipynb":
        return nbformat.read(page.source, as_version=4)
    text = page.source.read_text("utf-8")
    if page.is_example:
        notebook = jupytext.reads(text, fmt="py:percent")
        where = page.source.relative_to(ROOT).as_posix()
        notebook.cells.append(nbformat.v4.new_markdown_cell(gallery.FOOTER.format(path=where)))
        return notebook
    blocks = [match for match in BLOCK.finditer(text) if not match["not"]]
    if not blocks:
        return None
    cells, end = [], 0
    for match in blocks:
        cells.append(nbformat.v4.new_markdown_cell(text[end : match.start()].strip("\n")))
        cells.append(nbformat.v4.new_code_cell(match["code"].rstrip("\n")))
        end = match.end()
    cells.append(nbformat.v4.new_markdown_cell(text[end:].strip("\n")))
    return nbformat.v4.new_notebook(cells=[cell for cell in cells if cell.source])


def _relinked(text: str, page: Page, files: dict[Path, str], target: Path) -> str:
    """Let links to files lead to their pages; those to what is no page become plain text."""
    here = Path(page.name).parent

    def link(match: re.Match[str]) -> str:
        path = (page.source.parent / match["path"]).resolve()
        if path.suffix in {".png", ".svg"}:
            copy = target / "images" / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            return f"{match['before']}/images/{path.name})"
        if path not in files:
            if (path / "index.md") in files:
                path /= "index.md"
            else:
                return match["before"].removesuffix("](").removeprefix("[")
        there = os.path.relpath(files[path], here)
        return f"{match['before']}{there}{match['anchor'] or ''})"

    parts, end = [], 0
    for fence in FENCE.finditer(text):  # code is left alone
        parts += [LINK.sub(link, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(link, text[end:])])
