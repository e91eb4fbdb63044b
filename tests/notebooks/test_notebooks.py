"""Every notebook runs from top to bottom, twice in one kernel, and shows nothing it should not.

The kernels run beside each other in processes of their own, so that the set
takes little longer than its longest notebook.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("nbclient")
pytest.importorskip("matplotlib")

FOLDER: Final = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS: Final = sorted(FOLDER.glob("*.ipynb"))
AT_ONCE: Final = 4
"""Kernels beside each other: they mostly wait for their market."""
TIMEOUT: Final = 900
"""Seconds for a notebook, run twice, on a machine that is busy."""
SECRET: Final = "Vq7pXw2RtYkz93LmNc5BhJd8SgFa6QeU"
"""In the environment of every notebook, in none of its outputs."""
RUNNER: Final = """
import sys, nbclient, nbformat
source, target = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
client = nbclient.NotebookClient(
    notebook, timeout=300, startup_timeout=300, kernel_name="python3", allow_errors=True
)
client.execute()
nbformat.write(notebook, target)
"""
ALARMS: Final = re.compile(r"Traceback \(most recent call last\)|\w*Warning: |\w*Error: ")

Cell = dict[str, Any]


def cells(notebook: Path) -> list[Cell]:
    found: list[Cell] = json.loads(notebook.read_text("utf-8"))["cells"]
    return found


def text(cell: Cell) -> str:
    return "".join(cell["source"])


def twice(notebook: Path, target: Path) -> None:
    """Write a notebook whose cells all come twice: what "run all" does, two times."""
    document = json.loads(notebook.read_text("utf-8"))
    again = [cell | {"id": f"{cell['id']}-again"} for cell in document["cells"]]
    threads: Cell = {
        "cell_type": "code",
        "id": "threads",
        "metadata": {},
        "source": "import threading\n[t.name for t in threading.enumerate() if 'kite' in t.name]",
        "execution_count": None,
        "outputs": [],
    }
    document["cells"] += [*again, threads]
    target.write_text(json.dumps(document))


def execute(notebook: Path, folder: Path) -> list[Cell]:
    source, target = folder / notebook.name, folder / f"executed-{notebook.name}"
    twice(notebook, source)
    subprocess.run(
        [sys.executable, "-c", RUNNER, str(source), str(target)],
        cwd=folder,
        env=os.environ
        | {
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "KITE_ACCESS_TOKEN": SECRET,
        },
        check=True,
        capture_output=True,
        timeout=TIMEOUT,
    )
    return cells(target)


@pytest.fixture(scope="module")
def executions(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Future[list[Cell]]]]:
    """The executions of the notebooks that are tested, begun together."""
    wanted = {path for path in NOTEBOOKS if any(runs(path, item) for item in request.session.items)}
    folder = tmp_path_factory.mktemp("notebooks")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {
            path.name: pool.submit(execute, path, folder) for path in sorted(wanted, reverse=True)
        }
        yield futures
        for future in futures.values():
            future.cancel()


def runs(notebook: Path, item: pytest.Item) -> bool:
    """Whether a selected test needs a notebook executed."""
    return item.name.startswith("test_a_notebook_runs") and f"[{notebook.stem}]" in item.name


each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


@each_notebook
def test_a_notebook_runs_twice_from_top_to_bottom(
    notebook: Path, executions: dict[str, Future[list[Cell]]]
) -> None:
    executed = executions[notebook.name].result()
    for cell in executed:
        for output in cell.get("outputs", ()):
            assert output["output_type"] != "error", "\n".join(output["traceback"])
            assert output.get("name") != "stderr", output["text"]
            shown = json.dumps(output)
            assert SECRET not in shown
            if output["output_type"] == "stream":
                assert not ALARMS.search("".join(output["text"])), shown
    assert all(cell["execution_count"] for cell in executed if cell["cell_type"] == "code")
    pictures = [
        output
        for cell in executed
        for output in cell.get("outputs", ())
        if {"image/png", "application/vnd.jupyter.widget-view+json"} & set(output.get("data", ()))
    ]
    assert len(pictures) >= 2
    (threads,) = executed[-1]["outputs"]
    assert "".join(threads["data"]["text/plain"]) == "[]", "a ticker was left running"


@each_notebook
def test_the_first_cell_says_how_to_use_an_account(notebook: Path) -> None:
    first = cells(notebook)[0]
    assert first["cell_type"] == "markdown"
    assert text(first).startswith("# ")
    assert "With your own account" in text(first)
    assert "KITE_ACCESS_TOKEN" in text(first)
    assert "environment" in text(first)
    assert "ever" in text(first)
    assert "cell" in text(first)


@each_notebook
def test_no_output_is_saved(notebook: Path) -> None:
    for cell in cells(notebook):
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


@each_notebook
def test_the_last_code_cell_stops_the_ticker(notebook: Path) -> None:
    code = [cell for cell in cells(notebook) if cell["cell_type"] == "code"]
    assert "ticker.stop()" in text(code[-1])


def test_the_list_of_notebooks_is_whole() -> None:
    listed = re.findall(
        r"^\| `([^`]+)` \|", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert listed == [path.stem for path in NOTEBOOKS]


def test_the_links_between_notebooks_lead_somewhere() -> None:
    for notebook in NOTEBOOKS:
        for cell in cells(notebook):
            for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text(cell)):
                assert (FOLDER / target).exists()
