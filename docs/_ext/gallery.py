"""The gallery of examples: a card each, with some of what it prints. And how an example begins."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Final

import nbformat
from nbformat import NotebookNode

import usage

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
LEVELS: Final = ("basic", "advanced", "performance")
HEADER: Final = re.compile(
    r"# (?P<title>[^\n]+)\n\n"
    r"\*(?P<level>\w+) · (?P<seconds>\d+) seconds? · (?P<where>[\w ]+)\*\n\n"
    r"Uses: (?P<uses>(?:[^\n]+\n)+?)\n(?P<text>.*)",
    re.DOTALL,
)
STAND_IN: Final = """:::{note}
When this page was built, a stand-in for Kite's servers on the same machine answered.
:::

"""
FOOTER: Final = """---

Run it yourself: `python {path}` in a clone of the repository, or open the file as a notebook in
VS Code or JupyterLab. *Simulated* examples need no account."""
INTRO: Final = """# Examples

Each answers one question, asserts what it claims, and ends by itself within seconds. They are
scripts that open as notebooks, too: `examples/` in the repository.
"""
PREVIEW_LINES: Final = 9
PREVIEW_COLUMNS: Final = 72


def headed(text: str) -> str:
    """Return the first cell of an example with badges, and links from names to the reference."""
    match = HEADER.fullmatch(text)
    if match is None:
        return text
    names = re.findall(r"`([^`]+)`", match["uses"])
    uses = ", ".join(f"{{py:obj}}`{name} <{usage.target(name)}>`" for name in names)
    by = STAND_IN if match["where"] == "account" else ""
    return (
        f"# {match['title']}\n\n{_badges(match)}\n\n{match['text']}\n\n{by}"
        f":::{{dropdown}} Names used\n{uses}\n:::"
    )


def index(source: Path) -> str:
    """Return the page of all examples."""
    parts = [INTRO]
    for level in LEVELS:
        paths = sorted((EXAMPLES / level).glob("*.py"))
        cards = "\n".join(_card(source, level, path.stem) for path in paths)
        parts.append(
            f"## {level.capitalize()}\n\n::::{{grid}} 1 1 2 2\n:gutter: 3\n\n{cards}::::\n"
        )
    names = "\n".join(
        f"{level}/{path.stem}"
        for level in LEVELS
        for path in sorted((EXAMPLES / level).glob("*.py"))
    )
    return "\n".join([*parts, f"```{{toctree}}\n:hidden:\n\n{names}\n```\n"])


def _card(source: Path, level: str, stem: str) -> str:
    notebook = nbformat.read(source / "examples" / level / f"{stem}.ipynb", as_version=4)
    first = notebook.cells[0].source
    title = first.partition("\n")[0].removeprefix("# ")
    badges = first.split("\n")[2]
    return (
        f":::{{grid-item-card}} {title}\n:link: {level}/{stem}\n:link-type: doc\n"
        ":class-card: kp-example\n\n"
        f"{badges}\n\n{_preview(notebook)}\n:::\n"
    )


def _preview(notebook: NotebookNode) -> str:
    """Return the thumbnail: the beginning of the longest text that the example prints."""
    texts = [
        "".join(output.get("text", ""))
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream"
    ]
    if not texts:
        return '<div class="kp-preview kp-preview-widget">live widgets</div>'
    lines = max(texts, key=lambda text: min(text.count("\n"), PREVIEW_LINES)).split("\n")
    plain = (re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)[:PREVIEW_COLUMNS] for line in lines)
    shown = html.escape("\n".join(list(plain)[:PREVIEW_LINES]))
    return f'<pre class="kp-preview">{shown.replace(chr(10), "&#10;")}</pre>'


def _badges(match: re.Match[str]) -> str:
    seconds = f"{match['seconds']} s"
    return (
        f"{{bdg-secondary}}`{match['level']}` {{bdg-secondary-line}}`{seconds}` "
        f"{{bdg-info-line}}`{match['where']}`"
    )
