"""A notebook in a page of JupyterLab: its cells are run and looked at as a user would."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any, Final, Self

from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import Locator, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout

if TYPE_CHECKING:
    from browser.lab import Lab

PATIENCE: Final = 90.0
"""Seconds that anything may take on a busy machine: the server's start, a cell, a repaint."""

NUDGE: Final = 5.0
"""Seconds after which a kernel that has not answered is made to look at its requests again."""

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


class Notebook:
    """A notebook in its own page.

    Parameters
    ----------
    lab
        Where it is open.
    page
        The page.
    name
        Its file, in a separate folder below the server's.
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
        """Ask the kernel something over its own connection.

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
        """Begin to run a cell that makes the file `HELD` and lasts until `RELEASED` exists."""
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

    def close_kernel(self) -> None:
        """Shut the kernel down, as closing a notebook for the day does."""
        self.page.evaluate(
            "async () => {"
            " await window.jupyterapp?.shell.currentWidget?.sessionContext.shutdown(); }"
        )

    def close(self) -> None:
        """Shut the kernel down and close the page."""
        self.close_kernel()
        self.page.context.close()


def _printed(client: BlockingKernelClient, code: str) -> str:
    texts: list[str] = []

    def keep(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            texts.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=PATIENCE, output_hook=keep)
    assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])
    return "".join(texts)
