"""Recordings: what is kept of a widget, and the pages and notebooks that carry it."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

import kitepolars as kp
from kitepolars.errors import ConfigError, KitePolarsError
from kitepolars.widgets import Chart, Controls, Dashboard, Ladder, LiveTable, Monitor, recording
from kitepolars.widgets.recording import ENVIRONMENT, Recording
from kitepolars.widgets.threads import Publisher
from widgets.page import INFY

Make = Callable[[kp.Ticker, Publisher], Any]

WIDGETS: dict[str, Make] = {
    "table": lambda ticker, publisher: LiveTable(ticker, publisher=publisher),
    "chart": lambda ticker, publisher: Chart(ticker, INFY, publisher=publisher),
    "ladder": lambda ticker, publisher: Ladder(ticker, INFY, publisher=publisher),
    "monitor": lambda ticker, publisher: Monitor(ticker, publisher=publisher),
}


def page_data(path: Path) -> list[dict[str, Any]]:
    """Return what a page draws: a script and traits for each widget."""
    found = re.search(r'id="kitepolars-widgets">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    assert found is not None
    data: list[dict[str, Any]] = json.loads(found[1])
    return data


@pytest.mark.parametrize("make", WIDGETS.values(), ids=WIDGETS)
def test_a_still_picture_is_a_recording_of_one_snapshot(
    ticker: kp.Ticker, publisher: Publisher, make: Make
) -> None:
    widget = make(ticker, publisher)
    assert widget.recording == {}
    widget.record()
    first = widget.recording["messages"][0]
    assert (first["content"]["kind"], first["content"]["seq"]) == ("snapshot", 1)
    assert sum(first["sizes"]) == len(widget.recording["data"])
    json.dumps(first["content"], allow_nan=False)
    assert widget.get_state("recording")["recording"] == widget.recording, "saved with a notebook"


def test_a_longer_recording_continues_with_deltas_at_their_interval(
    ticker: kp.Ticker, publisher: Publisher
) -> None:
    ladder = Ladder(ticker, INFY, publisher=publisher)
    ladder.record(1.5)
    messages = ladder.recording["messages"]
    numbers = [message["content"]["seq"] for message in messages]
    times = [message["at"] for message in messages]
    assert len(messages) > 1
    assert numbers == list(range(1, len(numbers) + 1))
    assert times == sorted(times)


def test_a_recording_begins_with_a_snapshot_and_has_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recording, "MAX_BYTES", 10)
    kept = Recording()
    kept.take({"kind": "delta"}, [b"too early"])
    assert not kept.wait(0)
    for number in range(5):
        kept.take({"kind": "snapshot", "seq": number}, [memoryview(b"12345678")])
    assert kept.wait(0)
    state = kept.state()
    assert [message["content"]["seq"] for message in state["messages"]] == [0, 1]
    assert [message["sizes"] for message in state["messages"]] == [[8], [8]]
    assert state["data"] == b"12345678" * 2


@pytest.mark.parametrize("seconds", [-1, 60.5, float("nan")])
def test_seconds_have_a_range(ticker: kp.Ticker, seconds: float) -> None:
    with pytest.raises(ConfigError, match="0 to 60"):
        LiveTable(ticker).record(seconds)


def test_a_failing_widget_raises_instead_of_recording_nothing(
    ticker: kp.Ticker, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(LiveTable):
        def _snapshot(self, _reading: Any) -> Any:
            raise ValueError("on purpose")

    monkeypatch.setattr(recording, "FIRST_MESSAGE_TIMEOUT", 0.05)
    table = Failing(ticker, publisher=publisher)
    with pytest.raises(KitePolarsError, match=r"Failing had nothing to record; see ticker.events"):
        table.record()
    assert table.recording == {}


def test_a_page_holds_its_widgets_and_nothing_from_elsewhere(
    ticker: kp.Ticker, publisher: Publisher, tmp_path: Path
) -> None:
    dashboard = Dashboard(ticker, INFY, publisher=publisher)
    path = dashboard.export_html(tmp_path / "market.html", title="<b>INFY</b> & co")
    text = path.read_text("utf-8")
    assert "<title>&lt;b&gt;INFY&lt;/b&gt; &amp; co</title>" in text
    assert "default-src 'none'" in text
    around = re.sub(r'id="kitepolars-widgets">.*?</script>', "", text, flags=re.DOTALL)
    assert not re.search(r"""\b(?:src|href)\s*=\s*["']|@import|url\(|https?:""", around)
    chart, ladder, table, monitor = page_data(path)
    assert chart["traits"]["intervals"][0] == "1s"
    shown = {"height", "selected", "columns", "remembers", "recording"}
    assert table["traits"].keys() == shown
    assert monitor["traits"]["recording"]["messages"][0]["content"]["word"]
    book = b64decode(ladder["traits"]["recording"]["data"])
    assert len(book) == 5 * 6 * 8
    assert ladder["traits"]["recording"]["messages"][0]["sizes"] == [len(book)]
    with pytest.raises(FileNotFoundError):
        dashboard.ladder.export_html(tmp_path / "no folder" / "ladder.html")


def test_what_is_made_of_several_records_its_panels_too(
    ticker: kp.Ticker, publisher: Publisher
) -> None:
    dashboard = Dashboard(ticker, INFY, publisher=publisher)
    dashboard.record()
    kept = [dashboard.table, dashboard.controls._search, dashboard.controls._subscribed]
    assert all(part.recording["messages"] for part in kept)


def test_a_page_of_the_panel_shows_what_is_subscribed(
    ticker: kp.Ticker, publisher: Publisher, tmp_path: Path
) -> None:
    path = Controls(ticker, publisher=publisher).export_html(tmp_path / "list.html")
    (listed,) = page_data(path)
    assert "NSE:INFY" in listed["traits"]["recording"]["messages"][0]["content"]["symbols"]


def test_a_page_holds_no_token(tmp_path: Path) -> None:
    secret = "S3cretAccessToken"
    with kp.demo(instruments=["NSE:INFY"]) as other:
        other.set_access_token(secret)
        path = other.dashboard("NSE:INFY").export_html(tmp_path / "page.html")
    assert secret not in path.read_text("utf-8")


def test_a_script_in_a_text_stays_a_text(
    ticker: kp.Ticker, publisher: Publisher, tmp_path: Path
) -> None:
    evil = "</script><script>window.attacked = 1</script>"
    ticker.note("user", evil)
    path = Monitor(ticker, publisher=publisher).export_html(tmp_path / "page.html")
    assert evil not in path.read_text("utf-8")
    (monitor,) = page_data(path)
    events = monitor["traits"]["recording"]["messages"][0]["content"]["events"]
    assert evil in [detail for *_, detail in events]


@pytest.mark.parametrize("widget", [LiveTable, Dashboard])
def test_what_is_displayed_is_recorded_if_the_environment_asks(
    ticker: kp.Ticker, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, widget: Any
) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    shown = widget(ticker, publisher=publisher)
    part = getattr(shown, "table", shown)
    shown._repr_mimebundle_()
    assert part.recording == {}
    monkeypatch.setenv(ENVIRONMENT, "0")
    assert shown._repr_mimebundle_()
    assert part.recording["messages"]
    monkeypatch.setenv(ENVIRONMENT, "a while")
    with pytest.raises(ConfigError, match=ENVIRONMENT):
        shown._repr_mimebundle_()


def test_an_executed_notebook_carries_the_last_recording_of_its_widgets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ENVIRONMENT, "0.5")
    cells = (
        "import kitepolars as kp; ticker = kp.demo(rate=10); ticker.wait(rows=16, timeout=60)",
        "ladder = ticker.ladder('NSE:INFY'); ladder.record(2)",
        "ladder",  # recorded again, with fewer messages
        "ticker.stop()",
    )
    nb: Any = nbformat.v4
    notebook = nb.new_notebook(cells=[nb.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    view = notebook.cells[2].outputs[0]["data"]["application/vnd.jupyter.widget-view+json"]
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    ladder = states[view["model_id"]]
    messages = ladder["state"]["recording"]["messages"]
    assert messages[0]["content"]["symbol"] == "NSE:INFY"
    (buffer,) = ladder["buffers"]
    assert buffer["path"] == ["recording", "data"]
    sizes = [size for message in messages for size in message["sizes"]]
    assert len(b64decode(buffer["data"])) == sum(sizes)
