from __future__ import annotations

from pathlib import Path

import pytest

from kitepolars import cli


def test_the_notebooks_are_copied_and_changed_ones_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    assert cli.main(["lab", str(folder), "--copy-only"]) == 0
    assert f"10 notebooks copied to {folder}" in capsys.readouterr().out
    changed = folder / "01-quickstart.ipynb"
    changed.write_text("{}")
    assert cli.main(["lab", str(folder), "--copy-only"]) == 0
    said = capsys.readouterr().out
    assert "0 notebooks copied" in said
    assert f"{changed} differs from the notebook of this version and was not changed" in said
    assert "02-" not in said
    assert changed.read_text() == "{}"


@pytest.mark.parametrize("options", [[], ["--no-browser"], ["--allow-root"]])
def test_jupyterlab_is_started_in_the_folder(
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "jupyterlab.py").write_text("import os, sys; print(sys.argv[1:], os.getcwd())")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["lab", *options]) == 0
    said = capfd.readouterr().out
    assert f"--ServerApp.open_browser={'--no-browser' not in options}" in said
    assert ("--allow-root" in said) == ("--allow-root" in options)
    folder = tmp_path / "kitepolars-notebooks"
    assert str(folder) in said
    assert len(list(folder.glob("*.ipynb"))) == 10


def test_without_jupyterlab_the_extra_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert cli.main(["lab", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "kitepolars[lab]" in error
