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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Empty
from typing import Any, Final, Self

from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import Browser, Locator, Page, Playwright, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

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
PATIENCE: Final = 90.0
"""Seconds that anything may take on a busy machine: the server's start, a cell, a repaint."""

NUDGE: Final = 5.0
"""Seconds after which a kernel that has not answered is made to look at its requests again."""

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

THEMES: Final = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

_KERNEL: Final = "jupyterapp.shell.currentWidget.sessionContext.session.kernel"
_CELL: Final = "jupyterapp.shell.currentWidget.content.widgets[i]"
_RUNS: Final = f"{_CELL}.model.executionState !== 'idle'"
_STANDS: Final = f"""() => {{
    const kernel = window.{_KERNEL.replace(".", "?.")};
    const dialog = document.querySelector('.jp-Dialog')?.innerText;
    return JSON.stringify([location.href, kernel?.status, kernel?.connectionStatus, dialog]);
}}"""
"""How things stand where something did not happen."""

HELD: Final = "held"
"""The file beside a notebook that a cell makes when it begins to wait."""

RELEASED: Final = "released"
"""The file beside a notebook that ends the cells which wait for it."""


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
        self._token = secrets.token_hex(16)
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
            "JUPYTER_TOKEN": self._token,
        }
        arguments = (
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={port}",
            f"--ServerApp.root_dir={self.work}",
            "--ServerApp.terminals_enabled=False",
            "--LabApp.expose_app_in_browser=True",
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
                status = f"{url}/api/status?token={self._token}"
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

    def address(self, name: str) -> str:
        """Return where a notebook is, in a workspace of its own."""
        return f"{self.url}/doc/workspaces/{secrets.token_hex(4)}/tree/{name}?token={self._token}"

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


class Notebook:
    """A notebook in a page of its own.

    Parameters
    ----------
    lab
        Where it is open.
    page
        The page.
    name
        Its file in the server's folder, in a folder of its own.
    """

    def __init__(self, lab: Lab, page: Page, name: str) -> None:
        self.lab = lab
        self.page = page
        self.name = name
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        own = self.lab.url.removeprefix("http")
        if not url.startswith((f"http{own}", f"ws{own}", "data:", "blob:")):
            self.foreign.append(url)

    def open(self) -> Self:
        """Show it in the light theme, and wait for its kernel."""
        self.page.goto(self.lab.address(self.name))
        self.wait_until_ready()
        self.use_theme("light")
        return self

    def wait_until_ready(self) -> None:
        """Wait until the kernel is connected and answers: its status alone may have been missed.

        It is asked until the page has heard the answer: JupyterLab's server does not wait
        for the subscription to a kernel's outputs when the kernel is busy just then.
        """
        self.wait_for(
            "window.jupyterapp && jupyterapp.shell.currentWidget?.sessionContext?.session"
        )
        self.wait_for(f"{_KERNEL}?.connectionStatus === 'connected'")
        self.wait_until(lambda: self.execute("print('ready')").strip() == "ready")

    def wait_for(self, condition: str, argument: Any = None) -> None:
        """Wait until a JavaScript expression in ``i``, the argument, holds."""
        function = f"(i) => {{ return {condition} }}"
        for _ in range(int(PATIENCE / NUDGE)):
            try:
                self.page.wait_for_function(function, arg=argument, timeout=NUDGE * 1000)
            except PlaywrightTimeout:
                self._nudge()
            else:
                return
        stands = self.page.evaluate(_STANDS)
        raise TimeoutError(f"{condition} with i = {argument!r}: {stands}")

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds that is no matter of the page."""
        for number in range(1, int(PATIENCE * 10)):
            if condition():
                return
            self.page.wait_for_timeout(100)
            if number % int(NUDGE * 10) == 0:
                self._nudge()
        raise TimeoutError(f"it did not happen within {PATIENCE:g} s")

    def _nudge(self) -> None:
        """Ask the kernel something over a connection of its own.

        ipykernel 7.0 to 7.3 may leave a request unread until somebody connects, because it
        answered another one just when it came (ipython/ipykernel#1554, mended in 7.4).
        """
        kernel = self.page.evaluate(f"window.{_KERNEL.replace('.', '?.')}?.id")
        if kernel is None:
            return
        with self._connected(kernel, iopub=False) as client:
            client.kernel_info()
            with suppress(Empty):  # it is busy, or has gone
                client.get_shell_msg(timeout=1)

    @contextmanager
    def _connected(self, kernel: str, *, iopub: bool = True) -> Iterator[BlockingKernelClient]:
        file = self.lab.root / "runtime" / f"kernel-{kernel}.json"
        client = BlockingKernelClient(connection_file=str(file))
        client.load_connection_file()
        client.start_channels(iopub=iopub, stdin=False, hb=False, control=False)
        try:
            yield client
        finally:
            client.stop_channels()

    def use_theme(self, theme: str) -> None:
        """Switch JupyterLab to its light or dark theme."""
        self.command("apputils:change-theme", {"theme": THEMES[theme]})
        light = "true" if theme == "light" else "false"
        self.wait_for("document.body.dataset.jpThemeLight === i", light)

    def command(self, name: str, arguments: Mapping[str, Any] | None = None) -> None:
        """Start a command of JupyterLab; it is not waited for."""
        self.page.evaluate(
            "([name, args]) => { jupyterapp.commands.execute(name, args); }",
            [name, dict(arguments or {})],
        )

    def start(self, cell: int) -> None:
        """Begin to run a cell, without its number: a restarted kernel would give it the same."""
        self.page.evaluate(
            "(i) => { const book = jupyterapp.shell.currentWidget.content; book.deselectAll();"
            " book.activeCellIndex = i; book.activeCell.model.executionCount = null;"
            " jupyterapp.commands.execute('notebook:run-cell'); }",
            cell,
        )

    def wait_cell(self, cell: int) -> None:
        """Wait until a cell that was started has run, and fail if it raised."""
        self.wait_ended(cell)
        errors = [out for out in self.outputs(cell) if out["output_type"] == "error"]
        assert not errors, "\n".join(errors[0]["traceback"])

    def wait_ended(self, cell: int) -> None:
        """Wait until a cell that was started runs no more."""
        self.wait_for(f"!({_RUNS}) && {_CELL}.model.executionCount !== null", cell)

    def run(self, cell: int) -> str:
        """Run a cell, and return its text."""
        self.start(cell)
        self.wait_cell(cell)
        return self.text(cell)

    def is_running(self, cell: int) -> bool:
        """Say whether a cell runs."""
        running: bool = self.page.evaluate(f"(i) => {_RUNS}", cell)
        return running

    def start_held(self, cell: int) -> None:
        """Begin to run a cell that makes the file `HELD`, and goes on until `RELEASED` is there."""
        held = self._beside(HELD)
        held.unlink(missing_ok=True)
        self.start(cell)
        self.wait_until(held.exists)
        assert self.is_running(cell)

    def release(self, cell: int) -> None:
        """Let a held cell end, and wait for that."""
        released = self._beside(RELEASED)
        released.touch()
        self.wait_cell(cell)
        released.unlink()

    def _beside(self, name: str) -> Path:
        return (self.lab.work / self.name).with_name(name)

    def execute(self, code: str) -> str:
        """Run code in the kernel beside the cells, and return what it printed."""
        self.page.evaluate(
            f"""(code) => {{
                const asked = window.asked = {{ text: '', done: false }};
                const future = {_KERNEL}.requestExecute({{ code }});
                future.onIOPub = ({{ header, content }}) => {{
                    if (header.msg_type === 'stream') asked.text += content.text;
                    if (header.msg_type === 'error') asked.text += content.traceback.join('\\n');
                }};
                future.done.then(() => {{ asked.done = true; }});
            }}""",
            code,
        )
        self.wait_for("window.asked.done")
        printed: str = self.page.evaluate("window.asked.text")
        return printed

    @contextmanager
    def without_page(self) -> Iterator[Callable[[str], str]]:
        """Yield what `execute` is while the page is elsewhere: a line to the kernel of its own."""
        with self._connected(self.page.evaluate(f"{_KERNEL}.id")) as client:
            yield partial(_printed, client)

    def outputs(self, cell: int) -> list[dict[str, Any]]:
        """Return a cell's outputs as nbformat has them."""
        found: list[dict[str, Any]] = self.page.evaluate(
            f"(i) => {_CELL}.model.outputs.toJSON()", cell
        )
        return found

    def text(self, cell: int) -> str:
        """Return what a cell printed."""
        streams = (out for out in self.outputs(cell) if out["output_type"] == "stream")
        return "".join("".join(out["text"]) for out in streams)

    def output(self, cell: int) -> Locator:
        """Return the area of a cell's outputs."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".jp-OutputArea-output")

    def sequence(self, selector: str, which: int = 0) -> int:
        """Return the number of the last message that a widget's view took."""
        return int(self.page.locator(selector).nth(which).get_attribute("data-seq") or 0)

    def wait_sequence(self, selector: str, beyond: int, which: int = 0) -> None:
        """Wait until a view has taken later messages."""
        self.wait_for(
            "Number(document.querySelectorAll(i[0])[i[1]]?.dataset.seq ?? 0) > i[2]",
            [selector, which, beyond],
        )

    def restart_kernel(self) -> None:
        """Restart the kernel as the menu does, and wait until it answers again."""
        self.page.evaluate(
            "async () => { await jupyterapp.shell.currentWidget.sessionContext.restartKernel(); }"
        )
        self.wait_until_ready()

    def save(self) -> dict[str, Any]:
        """Save the notebook, and return the document as it is on disk."""
        self.page.evaluate("async () => { await jupyterapp.shell.currentWidget.context.save(); }")
        document: dict[str, Any] = json.loads((self.lab.work / self.name).read_text("utf-8"))
        return document

    def reload(self) -> None:
        """Save, load the page again and wait for the kernel, which ran on."""
        self.save()
        self.page.reload()
        self.wait_until_ready()

    def close(self) -> None:
        """Shut the kernel down and close the page."""
        self.page.evaluate(
            "async () => {"
            " await window.jupyterapp?.shell.currentWidget?.sessionContext.shutdown(); }"
        )
        self.page.context.close()


def _printed(client: BlockingKernelClient, code: str) -> str:
    texts: list[str] = []

    def keep(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            texts.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=PATIENCE, output_hook=keep)
    assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])
    return "".join(texts)


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
