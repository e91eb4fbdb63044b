from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kitepolars import KitePolarsError, lab


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two notebooks where an installed package has them."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    for name in ("01-first.ipynb", "02-second.ipynb"):
        (folder / name).write_text("{}")
    monkeypatch.setattr(lab, "PACKAGED", folder)
    monkeypatch.setattr(lab, "CLONED", tmp_path / "none")
    return folder


def test_notebooks_are_copied_and_never_overwritten(shipped: Path, tmp_path: Path) -> None:
    mine = tmp_path / "deep" / "mine"
    copied = lab.copy_notebooks(mine)
    assert [path.name for path in copied] == [path.name for path in sorted(shipped.iterdir())]
    copied[0].write_text("changed")
    copied[1].unlink()
    assert [path.name for path in lab.copy_notebooks(str(mine))] == ["02-second.ipynb"]
    assert copied[0].read_text() == "changed"


def test_a_package_without_notebooks_says_so(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "PACKAGED", shipped / "none")
    with pytest.raises(KitePolarsError, match="no notebooks"):
        lab.copy_notebooks(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_jupyterlab_is_run_in_the_folder(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[str], Any]] = []

    def run(command: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
        calls.append((command, settings["cwd"]))
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())
    monkeypatch.setattr("subprocess.run", run)
    assert lab.launch(tmp_path / "mine", open_browser=False) == 3
    expected = [sys.executable, "-m", "jupyterlab", "--ServerApp.open_browser=False"]
    assert calls == [(expected, tmp_path / "mine")]
    assert len(list((tmp_path / "mine").iterdir())) == len(list(shipped.iterdir()))


def test_without_jupyterlab_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(KitePolarsError, match=r"kitepolars\[lab\]"):
        lab.launch(tmp_path)


def test_a_copy_is_told_when_its_cells_are_not_those_that_come_with_the_package(
    shipped: Path, tmp_path: Path
) -> None:
    cell = {"cell_type": "code", "source": ["1 + ", "1"], "outputs": []}
    for notebook in shipped.iterdir():
        notebook.write_text(json.dumps({"cells": [cell]}))
    first, second = lab.copy_notebooks(tmp_path / "mine")
    assert lab.changed(tmp_path / "mine") == []
    first.write_text(json.dumps({"cells": [cell | {"outputs": ["2"], "source": "1 + 1"}]}))
    assert lab.changed(tmp_path / "mine") == []
    second.write_text(json.dumps({"cells": [cell | {"source": "1 + 2"}]}))
    assert lab.changed(tmp_path / "mine") == [second]
    first.write_text("no notebook any more")
    assert lab.changed(tmp_path / "mine") == [first, second]
    second.unlink()
    assert lab.changed(tmp_path / "mine") == [first]


def test_the_real_notebooks_are_found() -> None:
    names = [path.stem for path in lab.notebooks()]
    assert names[0] == "01-quickstart"
    assert len(names) == len(set(names)) == 9
