"""Options of the whole suite."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

import kitepolars as kp

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
def any_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a ticker on a simulated Kite make candles, whatever the time is in India."""
    monkeypatch.setattr(kp.Ticker, "hours", "any")


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
