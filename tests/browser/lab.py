"""A real JupyterLab in a real Chromium: one server and browser, a notebook a test.

Everything is on a random loopback port and in a temporary folder, and ends
with `Lab.close`. Needs jupyterlab and playwright from PyPI and the system's
Chromium; nothing is fetched while tests run.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from browser.notebook import PATIENCE, Notebook

CHROMIUM: Final = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
)
INSTALLED: Final = "installed"
"""Name of the kernel with the ipykernel that is installed."""

SETTINGS: Final = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
}
"""Settings of JupyterLab by plugin: it asks nobody for news, and saves the state of widgets."""


class Lab:
    """A JupyterLab server and a browser.

    Parameters
    ----------
    kernels
        Kernel name → a folder with another ipykernel, or None for the one installed.
    """

    def __init__(self, kernels: Mapping[str, Path | None] | None = None) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="kitepolars-lab-"))
        self.work = self.root / "work"
        self.work.mkdir()
        self._write_kernels(kernels or {INSTALLED: None})
        self._write_settings()
        self.token = secrets.token_hex(16)
        self.url, self._server = self._start_server()
        self._playwright, self._browser = _start_browser()

    def _write_kernels(self, kernels: Mapping[str, Path | None]) -> None:
        inherited = os.environ.get("PYTHONPATH", "")
        for name, ipykernel in kernels.items():
            folder = self.root / "data" / "kernels" / name
            folder.mkdir(parents=True)
            arguments = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            paths = [path for path in (str(ipykernel or ""), inherited) if path]
            spec = {
                "argv": arguments,
                "display_name": name,
                "language": "python",
                "env": {"PYTHONPATH": os.pathsep.join(paths)},
            }
            (folder / "kernel.json").write_text(json.dumps(spec))

    def _write_settings(self) -> None:
        for plugin, settings in SETTINGS.items():
            file = self.root / "settings" / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(settings))

    def _start_server(self) -> tuple[str, subprocess.Popen[bytes]]:
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        environment = os.environ | {
            "JUPYTER_CONFIG_DIR": str(self.root / "config"),
            "JUPYTER_DATA_DIR": str(self.root / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.root / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(self.root / "settings"),
            "IPYTHONDIR": str(self.root / "ipython"),
            "JUPYTER_TOKEN": self.token,
        }
        arguments = (
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={port}",
            f"--ServerApp.root_dir={self.work}",
            "--ServerApp.terminals_enabled=False",
            "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True",
            "--LabApp.news_url=None",
            "--LabApp.extension_manager=readonly",
            "--KernelSpecManager.ensure_native_kernel=False",
        )
        with (self.root / "server.log").open("wb") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.root,
            )
        self._await_server(url, server)
        return url, server

    def _await_server(self, url: str, server: subprocess.Popen[bytes]) -> None:
        for _ in range(int(PATIENCE * 5)):
            try:
                status = f"{url}/api/status?token={self.token}"
                with urllib.request.urlopen(status, timeout=1):  # noqa: S310 (our own server)
                    return
            except OSError:
                if _ended(server, within=0.2):
                    break
        server.kill()
        server.wait()
        raise RuntimeError((self.root / "server.log").read_text("utf-8", "replace"))

    def new(
        self,
        cells: Sequence[str],
        *,
        kernel: str = INSTALLED,
        width: int = 1280,
        height: int = 1000,
        scale: float = 1,
    ) -> Notebook:
        """Write a notebook, and make a page for it."""
        folder = secrets.token_hex(4)
        (self.work / folder).mkdir()
        name = f"{folder}/notebook.ipynb"
        (self.work / name).write_text(json.dumps(_document(cells, kernel)))
        context = self._browser.new_context(
            viewport={"width": width, "height": height}, device_scale_factor=scale
        )
        return Notebook(self, context.new_page(), name)

    @contextmanager
    def alone(self, **settings: Any) -> Iterator[Page]:
        """Yield a page of the browser, without JupyterLab; Playwright's settings of a context."""
        context = self._browser.new_context(**settings)
        try:
            yield context.new_page()
        finally:
            context.close()

    def address(self, name: str) -> str:
        """Return where a notebook is, in its own workspace."""
        return f"{self.url}/doc/workspaces/{secrets.token_hex(4)}/tree/{name}?token={self.token}"

    def close(self) -> None:
        """End browser and server, and remove what they wrote."""
        try:
            self._browser.close()
            self._playwright.stop()
        finally:
            self._server.terminate()
            if not _ended(self._server, within=15):
                self._server.kill()
                self._server.wait()
            shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _document(cells: Sequence[str], kernel: str) -> dict[str, Any]:
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": kernel, "display_name": kernel}},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{place}",
                "metadata": {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for place, source in enumerate(cells)
        ],
    }


def _start_browser() -> tuple[Playwright, Browser]:
    playwright = sync_playwright().start()
    try:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=list(FLAGS)
        )
    except BaseException:
        playwright.stop()
        raise
    return playwright, browser


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ended(process: subprocess.Popen[bytes], *, within: float) -> bool:
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True
