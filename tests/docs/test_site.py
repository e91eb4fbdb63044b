"""The site as it was built: whole, and asking no other host. `make test-docs` builds it first.

Chromium opens it over HTTP and from the disk: no error on the console, no request that leaves this
machine, widgets that move, a search that finds.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import threading
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest

ROOT: Final = Path(__file__).parents[2]
SITE: Final = ROOT / "docs" / "_build" / "html"

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOADED: Final = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
"""Element → the attribute whose address a page loads; of links only those that are loaded."""
RELATIONS: Final = {"stylesheet", "preload", "icon", "shortcut icon", "modulepreload", "manifest"}
FEW: Final = (
    "index.html",
    "learn/first-ticks.html",
    "guides/widgets.html",
    "reference/ticker.html",
    "examples/index.html",
    "examples/basic/14_my_own_dashboard_page.html",
)
"""Pages that are opened in both themes: those with widgets among them."""


@pytest.fixture(scope="module", autouse=True)
def built(request: pytest.FixtureRequest) -> None:
    if not (SITE / "index.html").exists():
        if request.config.getoption("--require-browser"):
            pytest.fail("the site is not built: make docs")
        pytest.skip("the site is not built: make docs")


# -- what is in the files ----------------------------------------------------------------------


def inventory() -> set[str]:
    """Return the names of Python objects that the site describes."""
    data = (SITE / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(data).decode().splitlines()
    return {line.split()[0] for line in lines if line.split()[1].startswith("py:")}


def test_every_public_name_is_in_the_inventory() -> None:
    from docs.test_reference import PLUMBING, PUBLIC  # noqa: PLC0415 - it is beside this one

    missing = set(PUBLIC) - inventory() - PLUMBING - {"kitepolars.__version__"}
    assert sorted(missing) == []


class _Loads(HTMLParser):
    """Collects the addresses that a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "link" and values.get("rel") not in RELATIONS:
            return
        if tag in LOADED and (address := values.get(LOADED[tag])):
            self.addresses.append(address)


def is_elsewhere(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def test_no_page_loads_anything_from_another_host() -> None:
    pages = [path for path in SITE.rglob("*.html") if "_modules" not in path.parts]
    assert len(pages) > 80
    for page in pages:
        loads = _Loads()
        loads.feed(page.read_text("utf-8"))
        assert [address for address in loads.addresses if is_elsewhere(address)] == [], page


def test_no_style_sheet_loads_anything_from_another_host() -> None:
    for sheet in SITE.rglob("*.css"):
        text = sheet.read_text("utf-8")
        addresses = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", text)
        assert not any(is_elsewhere(one or other) for one, other in addresses), sheet


def test_the_footer_says_version_and_date() -> None:
    text = (SITE / "index.html").read_text("utf-8")
    assert re.search(r"Version \d+\.\d+\.\d+, built on \d{2} \w+ \d{4}", text)


def test_the_gallery_has_a_thumbnail_of_each_example() -> None:
    text = (SITE / "examples" / "index.html").read_text("utf-8")
    cards = text.split("kp-example")[1:]
    scripts = list((ROOT / "examples").glob("*/*.py"))
    assert len(cards) == len(scripts)
    for card in cards:
        assert 'class="kp-preview' in card or "<img" in card


def test_neither_a_diagram_nor_an_alias_is_left_as_text() -> None:
    for page in SITE.rglob("*.html"):
        text = page.read_text("utf-8")
        assert "flowchart " not in text, page
        assert "TypeAliasForwardRef" not in text or "_modules" in page.parts, page


# -- in a browser ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None or importlib.util.find_spec("playwright") is None:
        if request.config.getoption("--require-browser"):
            pytest.fail("Chromium or Playwright is missing")
        pytest.skip("Chromium or Playwright is missing")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where it is there

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Keep the tests' output quiet."""

    handler = functools.partial(Quiet, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Visit:
    """A page that notes what went wrong and where it asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))

    def _said(self, kind: str, text: str) -> None:
        if kind == "error":
            self.errors.append(text)

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname != "127.0.0.1":
            self.foreign.append(url)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    visited = Visit(page)
    yield visited
    page.close()
    assert visited.errors == []
    assert visited.foreign == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", FEW)
def test_a_page_opens_without_an_error(visit: Visit, address: str, name: str, theme: str) -> None:
    visit.page.add_init_script(f"localStorage.setItem('mode', '{theme}')")
    visit.page.goto(f"{address}/{name}")
    visit.page.wait_for_load_state("networkidle")
    assert visit.page.locator("h1").first.inner_text()
    assert visit.page.evaluate("document.documentElement.dataset.theme") == theme


def test_a_widget_moves(visit: Visit, address: str) -> None:
    visit.page.goto(f"{address}/learn/first-ticks.html")
    table = visit.page.locator(".kp-table").first
    table.wait_for(timeout=30_000)
    visit.page.wait_for_function("document.querySelectorAll('.kp-table .kp-row').length > 4")
    before = table.inner_text()
    visit.page.wait_for_function(
        "before => document.querySelector('.kp-table').innerText !== before", arg=before
    )


def test_every_widget_of_the_guide_is_alive(visit: Visit, address: str) -> None:
    visit.page.goto(f"{address}/guides/widgets.html")
    for name, count in dict.fromkeys(("table", "chart", "ladder", "monitor"), 2).items():
        visit.page.wait_for_function(
            f"document.querySelectorAll('.kp-{name}').length >= {count}", timeout=60_000
        )


def test_search_finds_candles(visit: Visit, address: str) -> None:
    visit.page.goto(f"{address}/search.html?q=candles")
    visit.page.wait_for_function(  # hits appear one after another
        "document.querySelectorAll('#search-results li a').length > 5", timeout=30_000
    )
    found = visit.page.locator("#search-results").inner_text().lower()
    assert "candles" in found


def test_it_works_from_the_disk(visit: Visit) -> None:
    visit.page.goto((SITE / "learn" / "first-ticks.html").as_uri())
    visit.page.wait_for_function(
        "document.querySelectorAll('.kp-table .kp-row').length > 4", timeout=30_000
    )
    visit.page.goto(f"{(SITE / 'search.html').as_uri()}?q=candles")
    visit.page.locator("#search-results li a").first.wait_for(timeout=30_000)


def test_it_fits_a_phone(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844}, is_mobile=True)
    for name in FEW:
        page.goto(f"{address}/{name}")
        page.wait_for_load_state("networkidle")
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 1, name
    page.close()


def test_the_badge_of_a_recorded_chart_covers_no_price(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844}, is_mobile=True)
    page.goto(f"{address}/guides/widgets.html")
    page.wait_for_function("document.querySelector('.kp-legend')?.textContent.includes('V ')")
    legend = page.locator(".kp-legend").first.bounding_box()
    badge = page.locator(".kp-chart .kp-badge").first.bounding_box()
    assert legend is not None
    assert badge is not None
    assert badge["y"] >= legend["y"] + legend["height"]
    page.close()
