"""Options of the whole suite."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings

from kitepolars.analytics.sessions import SESSIONS

# No test depends on a machine's speed, and the same code always gets the same examples;
# others are looked for with --hypothesis-profile=default.
settings.register_profile(
    "kitepolars",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("kitepolars")


@pytest.fixture
def no_call_auction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ticks of this moment make candles, though it may be 09:00 to 09:15 in India."""
    for code, session in tuple(SESSIONS.items()):
        monkeypatch.setitem(SESSIONS, code, replace(session, pre_open=session.opens))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-browser",
        action="store_true",
        help="fail instead of skipping where Chromium, JupyterLab or Playwright is missing",
    )
    parser.addoption(
        "--kernels",
        default="",
        metavar="VERSIONS",
        help="releases of ipykernel, comma-separated, to run the browser tests on as well; "
        "pip puts them into artifacts/kernels",
    )
