"""The gallery of examples: a card each, with a thumbnail. And how an example begins.

A thumbnail is the picture that an example draws, the widgets that it shows, or what it prints: a
table where there is one.
"""

from __future__ import annotations

import base64
import html
import re
import shutil
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
When this page was built, a stand-in for Kite's servers ran on the same machine.
:::

"""
FOOTER: Final = """---

Run it yourself: `python {path}` in a clone of the repository, or open the file as a notebook in
VS Code or JupyterLab. *Simulated* examples need no account."""
INTRO: Final = """# Examples

Each answers one question, asserts what it claims, and ends within seconds. They are scripts in
`examples/` of the repository, and open as notebooks, too.
"""
WIDGET: Final = "application/vnd.jupyter.widget-view+json"
PICTURES: Final = Path(__file__).parents[1] / "images"
LINES: Final = 9
LINE_WIDTH: Final = 72
ROWS: Final = 5
COLUMNS: Final = 4
"""How much of a text, and of a table, a thumbnail shows."""
TABLE: Final = re.compile(r"┌[^\n]*\n(?P<head>.*?)\n╞[^\n]*\n(?P<body>.*?)\n└", re.DOTALL)


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
        f"{badges}\n\n{_thumbnail(notebook, source, stem)}\n:::\n"
    )


def _thumbnail(notebook: NotebookNode, source: Path, stem: str) -> str:
    """Return the thumbnail of an example, as Markdown; pictures are written into the source."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    data = [output.data for output in outputs if "data" in output]
    if drawn := [each["image/png"] for each in data if "image/png" in each]:
        path = source / "images" / f"{stem}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(base64.b64decode(drawn[0]))
        return f"![what it draws](/images/{path.name})"
    if any(WIDGET in each and each.get("text/plain") != "Output()" for each in data):
        return "\n".join(_widgets(source, theme) for theme in ("light", "dark"))
    return _printed(["".join(output.get("text", "")) for output in outputs])


def _widgets(source: Path, theme: str) -> str:
    """Return the picture of a dashboard in a theme."""
    name = f"dashboard-{theme}.png"
    (source / "images").mkdir(exist_ok=True)
    shutil.copyfile(PICTURES / name, source / "images" / name)
    return f"![live widgets](/images/{name}){{.only-{theme}}}"


def _printed(texts: list[str]) -> str:
    """Return the largest table of what an example prints, or the beginning of its longest text."""
    tables = [match for text in texts for match in TABLE.finditer(text)]
    if tables:
        largest = max(tables, key=lambda match: min(match["body"].count("\n"), ROWS))
        return _table(largest["head"].split("\n")[0], largest["body"].split("\n")[:ROWS])
    longest = max(texts, key=lambda text: min(text.count("\n"), LINES), default="")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", longest).split("\n")[:LINES]
    shown = html.escape("\n".join(line[:LINE_WIDTH] for line in plain))
    return f'<pre class="kp-preview">{shown.replace(chr(10), "&#10;")}</pre>'


def _table(head: str, body: list[str]) -> str:
    """Return the first columns of a printed frame as a table."""
    rows = [[cell.strip() for cell in re.split("[│┆]", line)[1:-1]] for line in (head, *body)]
    chosen = [place for place, name in enumerate(rows[0]) if name != "…"][:COLUMNS]
    cells = [[html.escape(row[place]) for place in chosen] for row in rows]
    header = "".join(f"<th>{cell}</th>" for cell in cells[0])
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in cells[1:])
    return f'<table class="kp-preview"><thead><tr>{header}</tr></thead>{lines}</table>'


def _badges(match: re.Match[str]) -> str:
    seconds = f"{match['seconds']} s"
    return (
        f"{{bdg-secondary}}`{match['level']}` {{bdg-secondary-line}}`{seconds}` "
        f"{{bdg-info-line}}`{match['where']}`"
    )
