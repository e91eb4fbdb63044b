"""The report of versions."""

from __future__ import annotations

import polars as pl
import pytest

import kitepolars as kp


def test_versions_are_printed_missing_packages_included(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitepolars._version._PACKAGES", ("polars", "a-package-that-nobody-has"))
    kp.show_versions()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["kitepolars"] == kp.__version__
    assert lines["polars"] == pl.__version__
    assert lines["a-package-that-nobody-has"] == "not installed"
