from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kitepolars.errors import KitePolarsError, NotRunning
from kitepolars.recorder.control import Recorder
from kitepolars.recorder.process import find
from recorder.recording import Recording

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no recorder on Windows")


def test_what_is_wrong_with_a_request_is_raised_here(recording: Recording) -> None:
    _, _, recorder = recording
    with pytest.raises(KitePolarsError, match="malformed"):
        recorder.ask("subscribe", mode="sideways", tokens=[1])
    with pytest.raises(KitePolarsError, match="no such request"):
        recorder.ask("dance")
    with pytest.raises(KitePolarsError, match="account"):
        recorder.ask("set_access_token", token="x", account="nobody")


def test_without_a_recorder_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no recorder answers"):
        Recorder(tmp_path)
    assert find(tmp_path) is None
