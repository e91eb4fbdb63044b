"""Fixtures of the browser tests: one JupyterLab and Chromium a session, a notebook a test.

Without Chromium, JupyterLab or Playwright they are skipped and say what is
missing; with ``--require-browser`` that is a failure. A test that fails leaves
a picture in ``artifacts/``. Each also fails on an uncaught JavaScript error
and on any request that leaves this machine's loopback.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # `browser.lab`, as mypy names it too

if TYPE_CHECKING:
    from browser.lab import Lab
    from browser.notebook import Notebook

ARTIFACTS: Final = Path(__file__).parents[2] / "artifacts"
MODULES: Final = ("anywidget", "ipykernel", "ipywidgets", "jupyterlab", "playwright")

Opener = Callable[..., "Notebook"]


def missing() -> list[str]:
    """Return what these tests need and this machine lacks."""
    lacking = [name for name in MODULES if importlib.util.find_spec(name) is None]
    return lacking if shutil.which("chromium") else [*lacking, "chromium"]


def versions(config: pytest.Config) -> list[str]:
    """Return the releases of ipykernel asked for beside the installed one."""
    asked: str = config.getoption("--kernels")
    return [version for version in asked.split(",") if version]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kernel" in metafunc.fixturenames:
        metafunc.parametrize("kernel", ["installed", *versions(metafunc.config)])


def ipykernel(version: str) -> Path:
    """Return a folder with a release of ipykernel, put there by pip if need be."""
    folder = ARTIFACTS / "kernels" / version
    if not folder.is_dir():
        wanted = ["--no-deps", "--target", str(folder), f"ipykernel=={version}"]
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", *wanted], check=True)
    return folder


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    if lacking := missing():
        reason = f"the browser tests need {', '.join(lacking)}"
        if request.config.getoption("--require-browser"):
            pytest.fail(reason)
        pytest.skip(reason)
    from browser.lab import Lab  # noqa: PLC0415 (only where Playwright is there)

    kernels = {"installed": None, **{each: ipykernel(each) for each in versions(request.config)}}
    with Lab(kernels) as started:
        yield started


@pytest.fixture
def open_notebook(lab: Lab, kernel: str, request: pytest.FixtureRequest) -> Iterator[Opener]:
    opened: list[Notebook] = []

    def open_(*cells: str, **settings: Any) -> Notebook:
        notebook = lab.new(cells, kernel=kernel, **settings)
        opened.append(notebook)
        return notebook.open()

    yield open_
    for notebook in opened:
        if request.node.stash.get(_FAILED, False):
            ARTIFACTS.mkdir(exist_ok=True)
            notebook.page.screenshot(path=ARTIFACTS / f"failed-{request.node.name}.png")
        notebook.close()
        assert notebook.errors == [], "uncaught JavaScript errors"
        assert notebook.foreign == [], "requests that left the loopback"


_FAILED: Final = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report
