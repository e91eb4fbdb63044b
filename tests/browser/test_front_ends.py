"""Widgets in front ends other than JupyterLab: Notebook 7, Voilà, marimo and VS Code's host.

Notebook 7 and Voilà are extensions of the server that JupyterLab runs on; marimo has its own.
`make test-frontends` installs them. Of VS Code it is the host of widgets, a package from npm, with
a kernel that a page of JupyterLab connects to: the editor itself needs a desktop.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.request import urlopen

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from browser.lab import Lab

pytestmark = pytest.mark.thorough

SETUP: Final = """
import kitepolars as kp
ticker = kp.demo(instruments=["NSE:INFY", "NSE:SBIN"], rate=10)
"""
MARIMO: Final = """
import marimo
app = marimo.App()

@app.cell
def _():
    import kitepolars as kp
    ticker = kp.demo(instruments=["NSE:INFY", "NSE:SBIN"], rate=10)
    return (ticker,)

@app.cell
def _(ticker):
    ticker.watch()

@app.cell
def _(ticker):
    ticker.controls()

@app.cell
def _(ticker):
    ticker.dashboard("NSE:INFY")
"""
OF_VOILA: Final = (
    "https://cdn.jsdelivr.net/npm/@fortawesome/",
    "https://cdnjs.cloudflare.com/ajax/libs/mathjax/",
)
"""What Voilà's own pages ask other machines for: icons and formulas, neither of them ours."""

PATIENCE_MS: Final = 90_000
ARTIFACTS: Final = Path(__file__).parents[2] / "artifacts"


def need(module: str) -> None:
    """Skip without a front end."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is missing: make test-frontends")


def watch_for_faults(page: Page, url: str) -> list[str]:
    """Return what will be the errors of a page and its requests to other machines."""
    faults: list[str] = []
    own = (url, url.replace("http", "ws", 1), "data:", "blob:")
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda it: None if it.url.startswith(own) else faults.append(it.url))
    return faults


def await_rows(page: Page, count: int) -> None:
    """Wait until a table shows instruments, and takes further messages."""
    from playwright.sync_api import expect  # noqa: PLC0415 (only where Playwright is there)

    table = page.locator(".kp-table").first
    expect(table.locator(".kp-row:not([style*=none])")).to_have_count(count, timeout=PATIENCE_MS)
    before = table.get_attribute("data-seq") or ""
    expect(table).not_to_have_attribute("data-seq", before, timeout=PATIENCE_MS)


def test_notebook_7(lab: Lab) -> None:
    from playwright.sync_api import expect  # noqa: PLC0415 (only where Playwright is there)

    need("notebook")
    notebook = lab.new(
        [SETUP, "ticker.controls()", 'ticker.dashboard("NSE:INFY")', "ticker.stop()"]
    )
    page = notebook.page
    page.goto(f"{lab.url}/notebooks/{notebook.name}?token={lab.token}")
    notebook.wait_until_ready()
    notebook.errors.clear()  # Notebook 7.6 raises one of its own while it loads its settings
    for cell in range(3):
        notebook.run(cell)
    await_rows(page, 2)
    page.get_by_label("Search instruments").first.fill("reliance")
    page.locator(".kp-hits .kp-hit").first.wait_for()
    page.get_by_label("Search instruments").first.press("Enter")
    asked = "ticker.exchange.wait_for(lambda kite: 738561 in kite.subscribed(), 60)"
    assert notebook.execute(f"print({asked})").strip() == "True"
    expect(page.locator(".kp-chart canvas").first).to_be_visible()
    notebook.run(3)
    notebook.close()
    assert notebook.errors == []
    assert notebook.foreign == []


def test_voila(lab: Lab) -> None:
    from playwright.sync_api import expect  # noqa: PLC0415 (only where Playwright is there)

    need("voila")
    notebook = lab.new([SETUP, 'ticker.dashboard("NSE:INFY")'])
    page = notebook.page
    faults = watch_for_faults(page, lab.url)
    page.goto(f"{lab.url}/voila/render/{notebook.name}?token={lab.token}", timeout=PATIENCE_MS)
    await_rows(page, 2)
    expect(page.locator(".kp-chart canvas").first).to_be_visible()
    expect(page.locator(".kp-ladder")).to_contain_text("INFY")
    expect(page.get_by_text("import kitepolars")).to_have_count(0)  # a page without code
    page.context.close()
    assert [each for each in faults if not each.startswith(OF_VOILA)] == []


HOST: Final = """async () => {
    await new Promise((done, fail) => {
        const script = Object.assign(document.createElement('script'), { src: '/host/require.js' });
        Object.assign(script, { onload: done, onerror: fail });
        document.head.append(script);
    });
    (await import('/host/ipywidgets.js')).activate();
    window.vscIPyWidgets8.load();
    const { kernel: shared } = jupyterapp.shell.currentWidget.sessionContext.session;
    const kernel = shared.clone({ handleComms: true });
    document.body.innerHTML = '<div id="host" style="position:fixed;inset:0;overflow:auto"></div>';
    const host = document.getElementById('host');
    const loader = {
        widgetsRegisteredInRequireJs: new Set(),
        loadWidgetScript: async (name) => requirejs.config({ paths: { [name]: `/host/${name}` } }),
        successHandler: () => {},
        errorHandler: (...what) => { throw new Error(what.join(' ')); },
    };
    const manager = new vscIPyWidgets.WidgetManager(kernel, host, loader, () => {});
    window.display = async (code) => {
        const shown = [];
        const future = kernel.requestExecute({ code });
        future.onIOPub = ({ content }) => {
            const view = content.data?.['application/vnd.jupyter.widget-view+json'];
            if (view) shown.push(view.model_id);
        };
        const { content } = await future.done;
        if (content.status !== 'ok') throw new Error(content.traceback.join('\\n'));
        for (const id of shown) {
            const node = host.appendChild(document.createElement('div'));
            const view = await manager.create_view(await manager.get_model(id), { el: node });
            await manager.display_view(undefined, view, { node });
        }
    };
}"""
"""Loads VS Code's host into a page, with what the editor gives it: a kernel, scripts by name."""


def npm_file(name: str, version: str, file: str) -> Path:
    """Return a file of a package, put there by npm if need be."""
    folder = ARTIFACTS / "npm" / f"{name.replace('/', '-')}-{version}"
    found = folder / "package" / file
    if not found.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is missing")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([npm, "pack", "--silent", f"{name}@{version}"], cwd=folder, check=True)
        with tarfile.open(next(folder.glob("*.tgz"))) as package:
            package.extractall(folder, filter="data")
    return found


def answer(script: str, route: Route) -> None:
    """Answer a request with a script."""
    route.fulfill(body=script, content_type="text/javascript")


def test_the_widget_host_of_vs_code(lab: Lab) -> None:
    from playwright.sync_api import expect  # noqa: PLC0415 (only where Playwright is there)

    files = {
        "require.js": npm_file("requirejs", "2.3.7", "require.js"),
        "ipywidgets.js": npm_file("@vscode/jupyter-ipywidgets8", "1.0.9", "dist/ipywidgets.js"),
        "anywidget.js": Path(sys.prefix) / "share/jupyter/nbextensions/anywidget/index.js",
    }
    notebook = lab.new([""]).open()
    page = notebook.page
    for name, path in files.items():
        answer = {"path": path, "content_type": "text/javascript"}
        page.route(
            f"{lab.url}/host/{name}", lambda route, _, answer=answer: route.fulfill(**answer)
        )
    page.evaluate(HOST)
    for code in (SETUP, "ticker.dashboard('NSE:INFY')", "ticker.controls()"):
        page.evaluate("(code) => display(code)", code)
    await_rows(page, 2)
    expect(page.locator(".kp-chart canvas").first).to_be_visible()
    page.get_by_label("Search instruments").last.fill("reliance")
    page.locator(".kp-hits .kp-hit").first.wait_for()
    page.get_by_label("Search instruments").last.press("Enter")
    expect(page.locator(".kp-subscriptions").last).to_contain_text("RELIANCE", timeout=PATIENCE_MS)
    page.locator(".kp-table .kp-row", has_text="SBIN").click()
    expect(page.locator(".kp-ladder")).to_contain_text("SBIN", timeout=PATIENCE_MS)
    page.evaluate("(code) => display(code)", "ticker.stop()")
    page.context.close()
    assert notebook.errors == []
    assert notebook.foreign == []


@contextmanager
def marimo(app: Path) -> Iterator[str]:
    """Run a marimo app on a free port, and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = (
        "--headless",
        "--no-token",
        "--host=127.0.0.1",
        f"--port={port}",
    )
    with app.with_suffix(".log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "marimo", "-y", "run", str(app), *flags],
            stdout=log,
            stderr=log,
            cwd=app.parent,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(PATIENCE_MS // 200):
                try:
                    urlopen(url, timeout=1).close()
                except OSError:
                    assert server.poll() is None, app.with_suffix(".log").read_text()
                    with pytest.raises(subprocess.TimeoutExpired):
                        server.wait(0.2)
                else:
                    break
            yield url
        finally:
            server.terminate()
            server.wait(30)


def test_marimo(lab: Lab, tmp_path: Path) -> None:
    from playwright.sync_api import expect  # noqa: PLC0415 (only where Playwright is there)

    need("marimo")
    app = tmp_path / "app.py"
    app.write_text(MARIMO)
    with marimo(app) as url, lab.alone() as page:
        faults = watch_for_faults(page, url)
        page.goto(url, timeout=PATIENCE_MS)
        await_rows(page, 2)
        expect(page.locator(".kp-search").first).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator(".kp-chart canvas").first).to_be_visible(timeout=PATIENCE_MS)
        expect(page.get_by_text("marimo hosts no plain ipywidgets")).to_have_count(2)
        expect(page.get_by_text("not supported in marimo")).to_have_count(0)
        page.get_by_label("Search instruments").first.fill("reliance")
        page.locator(".kp-hits .kp-hit").first.wait_for()
        page.get_by_label("Search instruments").first.press("Enter")
        await_rows(page, 3)
    assert faults == []
