from __future__ import annotations

import pytest

from kitepolars import cli
from kitepolars.benchmark import official
from kitepolars.benchmark.throughput import LostTicksError
from kitepolars.cli import bench

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kiteconnect")


@pytest.mark.parametrize("seconds", ["0", "61", "nan", "soon"])
def test_it_refuses_what_is_out_of_range(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        cli.main(["bench", "--seconds", seconds])
    assert refusal.value.code == 2
    assert "--seconds" in capsys.readouterr().err


def test_it_shows_what_it_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "HELD", 20_000)
    kept = {name: bench.MEASUREMENTS[name] for name in ("Decoding", "Snapshots")}
    monkeypatch.setattr(bench, "MEASUREMENTS", kept)
    assert cli.main(["bench"]) == 0
    shown = capsys.readouterr().out
    assert "ticks/s, messages to frame" in shown
    assert "official parser" in shown
    assert "latest() of 20,000 rows held" in shown


def test_without_the_official_client_it_says_how_to_compare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(official, "is_installed", lambda: False)
    monkeypatch.setattr(bench, "MEASUREMENTS", {"Decoding": bench.MEASUREMENTS["Decoding"]})
    assert cli.main(["bench"]) == 0
    assert "kitepolars[bench]" in capsys.readouterr().out


def test_a_loss_is_an_error_and_no_figure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose(_: float) -> None:
        raise LostTicksError("1 tick is missing")

    monkeypatch.setattr(bench, "MEASUREMENTS", {"Sockets": lose})
    assert cli.main(["bench"]) == 1
    assert "1 tick is missing" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Sockets", "A market's rate", "Latency"])
def test_what_goes_over_sockets_is_measured(name: str) -> None:
    lines = list(bench.MEASUREMENTS[name](1.0))
    assert lines
    assert all(line.figure for line in lines)
