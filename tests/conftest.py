"""Options of the whole suite."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("kitepolars", deadline=None)  # no test depends on a machine's speed
settings.load_profile("kitepolars")


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
