"""The reference is whole: every public name, every column, every kind of event."""

from __future__ import annotations

import ast
import enum
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest
from numpydoc.docscrape import NumpyDocString
from traitlets import HasTraits

import columns
import generated
import kitepolars as kp
import kitepolars.options
import kitepolars.relay
import kitepolars.sim
import kitepolars.widgets
import reference
import returned_frames
import usage
from docs import raising
from kitepolars.playback import SAMPLE
from kitepolars.wire.control import TextKind

ROOT: Final = Path(__file__).parents[2]

PAGES: Final = sorted((ROOT / "docs" / "reference").glob("*.md"))

SPACES: Final = {
    "kitepolars": (kp, kp.__all__),
    "kitepolars.indicators": (kp.indicators, kp.indicators.__all__),
    "kitepolars.sim": (kitepolars.sim, kitepolars.sim.__all__),
    "kitepolars.relay": (kitepolars.relay, kitepolars.relay.__all__),
    "kitepolars.widgets": (kitepolars.widgets, kitepolars.widgets.__all__),
    "kitepolars.options": (
        kitepolars.options,
        ["Greeks", "greeks", "implied_volatility", "join_chain", "price"],
    ),
}
"""Module → its names that users use."""

WITH_MEMBERS: Final = (
    "kitepolars.Ticker",
    "kitepolars.Instruments",
    "kitepolars.Session",
    "kitepolars.Stats",
    "kitepolars.ReplayTicker",
    "kitepolars.CandleBuilder",
    "kitepolars.Alert",
    "kitepolars.indicators.IncrementalIndicators",
    "kitepolars.sim.SimulatedKite",
    "kitepolars.analytics.KiteNamespace",
)
"""Classes each of whose public members is described by itself."""


def members(path: str) -> Iterator[str]:
    """Yield the public methods and properties of a class, those of unlisted base classes too."""
    cls = reference.resolve(path)
    listed = [reference.resolve(other) for other in WITH_MEMBERS if other != path]
    elsewhere = {base for other in listed if issubclass(cls, other) for base in other.__mro__}
    for base in (base for base in cls.__mro__ if base not in {*elsewhere, object}):
        for name, value in vars(base).items():
            described = callable(value) or isinstance(value, classmethod | property)
            if not name.startswith("_") and described:
                yield f"{path}.{name}"


PUBLIC: Final = [
    *(f"{space}.{name}" for space, (_, names) in SPACES.items() for name in names),
    "kitepolars.analytics.KiteNamespace",
    "kitepolars.widgets.LiveTable.export_html",
    "kitepolars.widgets.LiveTable.record",
    *(member for path in WITH_MEMBERS for member in members(path)),
]
PLUMBING: Final = {"kitepolars.indicators"}
"""Public by name alone: it holds what is described."""


def described() -> set[str]:
    """Return the full names that the pages' blocks describe."""
    return {
        f"{match['space']}.{name}"
        for page in PAGES
        for match in reference.BLOCK.finditer(page.read_text("utf-8"))
        for name in match["names"].split()
    }


def test_every_public_name_is_described() -> None:
    assert sorted(set(PUBLIC) - described() - PLUMBING - {"kitepolars.__version__"}) == []


def test_every_described_name_exists() -> None:
    for path in described():
        reference.resolve(path)


EXPLAINED: Final = sorted(set(PUBLIC) - PLUMBING - {"kitepolars.__version__"})
FREE_FIELDS: Final = {"kitepolars.sim.SimulatedKite.order_update"}
"""What takes any keyword on purpose: the fields of Kite's order updates."""


def function(path: str) -> Any:
    """Return what is called by a public name, or None where nothing is."""
    thing = reference.resolve(path)
    inner = getattr(thing, "__func__", thing)
    is_data = isinstance(thing, property) or issubclass_of(thing, BaseException, enum.Enum)
    return inner if callable(inner) and not is_data else None


def issubclass_of(thing: object, *classes: type) -> bool:
    return inspect.isclass(thing) and issubclass(thing, classes)


@pytest.mark.parametrize("path", EXPLAINED)
def test_every_public_name_has_an_example_that_runs(path: str) -> None:
    has_own = ">>> " in (inspect.getdoc(reference.resolve(path)) or "")
    assert has_own or usage.excerpt(path), "no docstring example, no statement of an example"


@pytest.mark.parametrize("path", EXPLAINED)
def test_every_parameter_is_described(path: str) -> None:
    if (called := function(path)) is None:
        return
    if issubclass_of(called, HasTraits):  # Python 3.11.2 finds traitlets' __new__ first
        called = called.__init__
    signature = inspect.signature(called)
    described = {
        name.strip().lstrip("*")
        for parameter in NumpyDocString(inspect.getdoc(reference.resolve(path)) or "")["Parameters"]
        for name in parameter.name.split(",")
    }
    assert set(signature.parameters) - described <= {"self", "cls"}
    hides = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())
    assert hides == (path in FREE_FIELDS)


def owner(path: str) -> type | None:
    """Return the class that a public name is a member of."""
    parent = reference.resolve(path.rpartition(".")[0])
    return parent if inspect.isclass(parent) else None


@pytest.mark.parametrize("path", EXPLAINED)
def test_what_a_call_returns_is_described(path: str) -> None:
    called = function(path)
    if called is None or str(returned(called)) in {"None", "Self"}:
        return
    doc = NumpyDocString(inspect.getdoc(called) or "")
    assert doc["Returns"] or doc["Yields"]


ERRORS: Final = {
    name for name in kp.__all__ if issubclass_of(getattr(kp, name), kp.KitePolarsError)
}
IMPOSSIBLE: Final = {
    "kitepolars.DemoTicker": {"ConfigError"},  # all settings are its own
    "kitepolars.ReplayTicker.play": {"NotRunning"},  # it waits for the end, not for a condition
    "kitepolars.Ticker.latest": {"ConfigError"},  # frame and time are its own
    "kitepolars.sample": {"JournalError"},  # the recording comes with the package
}
"""What the source of these shows, and their callers never see."""


@pytest.mark.parametrize("path", EXPLAINED)
def test_what_a_call_raises_is_described(path: str) -> None:
    if (called := function(path)) is None:
        return
    raised = ERRORS & raising.errors(called, owner(path))
    sections = NumpyDocString(inspect.getdoc(called) or "")["Raises"]
    described = {section.type or section.name for section in sections}
    assert raised - described == IMPOSSIBLE.get(path, set())


def test_every_public_name_has_a_cost() -> None:
    assert set(EXPLAINED) - set(reference.costs()) == set()
    assert set(reference.costs()) <= set(PUBLIC)


def test_the_costs_have_figures_of_the_benchmarks() -> None:
    page = (ROOT / "docs" / "reference" / "costs.md").read_text("utf-8")
    rows = [match["row"] for match in reference.FIGURE.finditer(page)]
    assert len(rows) >= 8
    for row in rows:
        assert re.search(r"\d", reference.figure(row))


def test_the_columns_of_every_frame_are_linked() -> None:
    returns_frame = {
        path
        for path in EXPLAINED
        if (called := function(path)) and re.search(r"\b(Data|Lazy)?Frame\b", str(returned(called)))
    }
    formatted = {"kitepolars.Ticker.show", "kitepolars.analytics.KiteNamespace.show"}
    other = {"kitepolars.analytics.KiteNamespace.flat"}  # of any frame
    formatted.add("kitepolars.map_days")  # the columns of the user's function
    assert returns_frame - set(returned_frames.returned()) - formatted - other == set()
    assert set(returned_frames.returned()) <= set(PUBLIC)


def returned(called: Callable[..., object]) -> object:
    """Return the annotation of what a call returns, or None."""
    return None if inspect.isclass(called) else inspect.signature(called).return_annotation


# -- columns -----------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", returned_frames.FRAMES, ids=lambda frame: frame.anchor)
def test_every_column_is_described(frame: returned_frames.Frame) -> None:
    schema = frame.schema()
    for name in schema:
        assert frame.column(name).meaning
    assert set(frame.columns) - set(schema) <= set(columns.CHAIN) - set(schema)


@pytest.fixture(scope="module")
def ticker() -> Iterator[kp.DemoTicker]:
    with kp.demo(instruments=["NSE:INFY", "NSE:NIFTY 50"], rate=20) as running:
        chain = running.instruments.option_chain(
            "NIFTY", running.instruments.expiries("NIFTY")[1], around=26_000, strikes=1
        )
        running.subscribe(chain, mode="full")
        assert running.wait(rows=60, timeout=60)
        yield running


def published(folder: Path) -> pl.DataFrame:
    kp.publish(SAMPLE, folder)
    return kp.scan(folder).collect()


def test_the_page_has_what_a_running_ticker_returns(ticker: kp.DemoTicker, tmp_path: Path) -> None:
    returned = {
        "schema-frame": ticker.frame(),
        "schema-latest": ticker.latest(),
        "schema-candles": ticker.candles("1m"),
        "schema-volume-profile": ticker.frame().kite.volume_profile(),  # type: ignore[attr-defined]
        "schema-depth": ticker.depth("NSE:INFY"),
        "schema-movers": ticker.movers(),
        "schema-option-chain": ticker.option_chain(
            "NIFTY", ticker.instruments.expiries("NIFTY")[1], strikes=1
        ),
        "schema-instruments": ticker.instruments.frame,
        "schema-listed-chain": ticker.instruments.option_chain("NIFTY"),
        "schema-rejected": ticker.instruments.rejected,
        "schema-subscriptions": ticker.subscriptions(),
        "schema-connections": ticker.connections(),
        "schema-orders": ticker.orders(),
        "schema-gaps": ticker.gaps(),
        "schema-events": ticker.events(),
        "schema-scan": published(tmp_path),
        "schema-alerts": ticker.alerts(),
    }
    page = {frame.anchor: frame.schema() for frame in returned_frames.FRAMES}
    assert {anchor: frame.schema for anchor, frame in returned.items()} == page


def test_columns_are_null_in_the_modes_that_the_page_says(ticker: kp.DemoTicker) -> None:
    share = ticker.frame().filter(symbol="NSE:INFY", mode="full")
    index = ticker.frame().filter(symbol="NSE:NIFTY 50", mode="full")
    for name in returned_frames.FRAMES[0].schema():
        carried = generated.modes(name)
        if carried == "all":
            assert share[name].null_count() == index[name].null_count() == 0
            continue
        assert (share[name].null_count() == 0) == ("full" in carried.split(", ")), name
        assert (index[name].null_count() == 0) == ("index full" in carried), name


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        (pl.Datetime("us", "Asia/Kolkata"), "Datetime(us, Asia/Kolkata)"),
        (pl.Array(pl.UInt16, 5), "Array(UInt16, 5)"),
        (pl.Enum(["a", "b"]), "Enum(a, b)"),
        (pl.Duration("us"), "Duration(us)"),
        (pl.Float64(), "Float64"),
    ],
)
def test_a_dtype_is_shown_as_a_reader_wants_it(dtype: pl.DataType, text: str) -> None:
    assert generated.shown(dtype) == text


# -- events, errors, settings ------------------------------------------------------------------


def kinds() -> set[str]:
    """Return the kinds of events that the package's source names."""
    found = {kind.value for kind in TextKind if kind not in {TextKind.ORDER, TextKind.SNAPSHOTS}}
    for path in sorted((ROOT / "kitepolars").rglob("*.py")):
        if {"cli", "journal", "sim"} & set(path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(ast.Attribute(attr="note" | "add"), [ast.Constant(str(kind)), _, *_]):
                    found.add(kind)
                case ast.Call(ast.Name("Event"), [_, _, ast.Constant(str(kind)), _]):
                    found.add(kind)
                case ast.FunctionDef(name="_kind", body=body):
                    texts = [text for statement in body for text in ast.walk(statement)]
                    found |= {
                        text.value
                        for text in texts
                        if isinstance(text, ast.Constant)
                        and isinstance(text.value, str)
                        and text.value.isidentifier()
                        and not text.value.startswith("_")
                    }
    return found | {"expired", "failed"}


def test_every_kind_of_event_is_explained() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8").partition("## Events")[2]
    explained = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    own = {"callback", "journal", "publish"}  # given to `note` by another call
    assert explained == kinds() | own


def test_every_error_is_explained() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    rows = set(re.findall(r"^\| `(\w+)` \| ", page.partition("## Events")[0], re.MULTILINE))
    errors = {
        name
        for name in kp.__all__
        if inspect.isclass(getattr(kp, name)) and issubclass(getattr(kp, name), kp.KitePolarsError)
    }
    assert rows == errors - {"KitePolarsError"}


def test_every_setting_is_on_the_page_with_its_range() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)\.(\w+)` \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE)
    expected = [
        (thing.__name__, field)
        for thing in generated.SETTINGS
        for field in inspect.signature(thing).parameters
    ]
    assert rows == expected


def test_the_command_line_page_has_every_command() -> None:
    page = generated.command_line()
    for command in ("bench", "demo", "lab", "sim", "record", "journal"):
        assert f"## kitepolars {command}" in page
