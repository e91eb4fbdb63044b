from __future__ import annotations

import pytest

from kitepolars import cli
from kitepolars.cli import bench

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kiteconnect")


@pytest.fixture(autouse=True)
def _few_instruments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "INSTRUMENTS", 500)


@pytest.mark.parametrize("seconds", ["0", "61", "nan", "soon"])
def test_it_refuses_what_is_out_of_range(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        cli.main(["bench", "--seconds", seconds])
    assert refusal.value.code == 2
    assert "--seconds" in capsys.readouterr().err


def test_it_shows_what_it_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "HELD_ROWS", 20_000)
    monkeypatch.setattr(bench, "ROUNDS", 2)
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
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr(bench, "ROUNDS", 1)
    monkeypatch.setattr(bench, "MEASUREMENTS", {"Decoding": bench.MEASUREMENTS["Decoding"]})
    assert cli.main(["bench"]) == 0
    assert "kitepolars[bench]" in capsys.readouterr().out


def test_a_wrong_result_is_an_error_and_no_figure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decode = bench._decode
    monkeypatch.setattr(bench, "_decode", lambda sent: decode(sent)[1:])
    monkeypatch.setattr(bench, "MEASUREMENTS", {"Decoding": bench.MEASUREMENTS["Decoding"]})
    assert cli.main(["bench"]) == 1
    shown = capsys.readouterr()
    assert "rows were decoded" in shown.err
    assert "ticks/s" not in shown.out


@pytest.mark.parametrize("name", ["A market's rate", "Latency"])
def test_what_goes_over_sockets_is_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "PROBES", 10)
    rows = list(bench.MEASUREMENTS[name](1.0))
    assert rows
    assert all(row.figure for row in rows)
