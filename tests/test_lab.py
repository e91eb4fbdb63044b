from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from kitepolars import KitePolarsError, lab
from patience import PATIENCE


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


def test_a_package_without_notebooks_is_an_error(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "PACKAGED", shipped / "none")
    with pytest.raises(KitePolarsError, match="no notebooks"):
        lab.copy_notebooks(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_jupyterlab_is_run_in_the_folder(
    shipped: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "jupyterlab.py").write_text(
        "import os, sys; print(sys.argv[1:], os.getcwd()); sys.exit(3)"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert lab.launch(tmp_path / "mine", open_browser=False) == 3
    assert capfd.readouterr().out == f"['--ServerApp.open_browser=False'] {tmp_path / 'mine'}\n"
    assert len(list((tmp_path / "mine").iterdir())) == len(list(shipped.iterdir()))


INTERRUPTED_AND_ENDED = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
print("runs", flush=True)
signal.sigwait({signal.SIGINT})
print("Shut down?", flush=True)
signal.sigwait({signal.SIGTERM})
sys.exit("told to end")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_jupyterlab_answers_ctrl_c_itself_and_ends_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "jupyterlab.py").write_text(INTERRUPTED_AND_ENDED)
    command = [sys.executable, "-m", "kitepolars", "lab", str(tmp_path / "mine")]
    path = os.pathsep.join([str(tmp_path), *sys.path])
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        while (line := process.stdout.readline()) != "runs\n":
            assert line, "the command ended before JupyterLab ran"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "Shut down?\n"
        process.terminate()
        try:  # the output ends when no process is left to write it
            assert process.communicate(timeout=PATIENCE)[0] == "told to end\n"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 1


def test_without_jupyterlab_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(KitePolarsError, match=r"kitepolars\[lab\]"):
        lab.launch(tmp_path)


def test_a_copy_with_changed_cells_is_recognised(shipped: Path, tmp_path: Path) -> None:
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
    assert len(names) == len(set(names)) == 10
