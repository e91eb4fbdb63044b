"""What tab completion offers on an object of the package is what the reference describes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from numpydoc.docscrape import NumpyDocString

import kitepolars as kp
import kitepolars.analytics
import kitepolars.relay
import kitepolars.sim
import kitepolars.widgets
import reference
from kitepolars.ticker.recording import TickRecorder

ROOT: Final = Path(__file__).parents[2]
NAMESPACES: Final = (kp, kp.indicators, kitepolars.sim, kitepolars.relay, kitepolars.widgets)


def classes() -> Iterator[type[Any]]:
    """Yield the classes of which a user gets an object."""
    for space in NAMESPACES:
        for name in space.__all__:
            thing = getattr(space, name)
            if inspect.isclass(thing) and not issubclass(thing, BaseException):
                yield thing
    yield from (TickRecorder, kitepolars.analytics.KiteNamespace)
    yield kitepolars.analytics.FormattedFrame


def own(cls: type) -> list[type]:
    """Return a class and its bases, those of this package."""
    return [base for base in cls.__mro__ if base.__module__.startswith("kitepolars")]


def described() -> set[object]:
    """Return the members that have an entry in the reference, as they are stored in classes."""
    found = set()
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        for match in reference.BLOCK.finditer(page.read_text("utf-8")):
            for name in match["names"].split():
                path = f"{match['space']}.{name}"
                if inspect.isclass(reference.resolve(path.rpartition(".")[0])):
                    found.add(reference.resolve(path))
    return found


DESCRIBED: Final = described()
CLASSES: Final[list[type]] = sorted(set(classes()), key=lambda cls: cls.__name__)


def fields(cls: type) -> set[str]:
    """Return what the docstrings of a class and its bases describe as parameter or attribute."""
    sections = [
        NumpyDocString(inspect.getdoc(base) or "")[section]
        for base in own(cls)
        for section in ("Parameters", "Attributes")
    ]
    return {
        name.strip() for section in sections for field in section for name in field.name.split(",")
    }


def undescribed(cls: type, names: Iterable[str]) -> list[str]:
    """Return the public names of some of a class that are neither its bases' nor described."""
    foreign = {name for base in cls.__mro__ if base not in own(cls) for name in vars(base)}
    return sorted(
        name
        for name in set(names) - foreign - fields(cls)
        if not name.startswith("_") and inspect.getattr_static(cls, name, None) not in DESCRIBED
    )


@pytest.mark.parametrize("cls", CLASSES)
def test_every_public_member_is_described(cls: type) -> None:
    assert undescribed(cls, (name for base in own(cls) for name in vars(base))) == []


MADE: Final[dict[str, Callable[[kp.ReplayTicker], object]]] = {
    "ticker": lambda ticker: ticker,
    "instruments": lambda ticker: ticker.instruments,
    "alert": lambda ticker: ticker.alert(kp.change() > 2),
    "watch": lambda ticker: ticker.watch(),
    "chart": lambda ticker: ticker.chart("NSE:INFY"),
    "ladder": lambda ticker: ticker.ladder("NSE:INFY"),
    "tape": lambda ticker: ticker.tape("NSE:INFY"),
    "depth_map": lambda ticker: ticker.depth_map("NSE:INFY"),
    "chain": lambda ticker: ticker.chain("NIFTY"),
    "alerts_panel": lambda ticker: ticker.alerts_panel("NSE:INFY"),
    "controls": lambda ticker: ticker.controls(),
    "monitor": lambda ticker: ticker.monitor(),
    "dashboard": lambda ticker: ticker.dashboard("NSE:INFY"),
    "transport": lambda ticker: ticker.transport(),
    "webhook": lambda _: kp.Webhook("https://example.com/hook"),
    "candle_builder": lambda _: kp.CandleBuilder("1m"),
    "indicators": lambda _: kp.indicators.IncrementalIndicators([kp.indicators.rsi()]),
    "exchange": lambda _: kitepolars.sim.SimulatedKite(),
    "manager": lambda _: kp.TickerManager([kp.Account("main", "key", "token")]),
}


@pytest.fixture(scope="module")
def sample() -> Iterator[kp.ReplayTicker]:
    ticker = kp.sample()
    yield ticker
    ticker.stop()


@pytest.mark.parametrize("name", MADE)
def test_every_public_attribute_of_an_object_is_described(
    sample: kp.ReplayTicker, name: str
) -> None:
    made = MADE[name](sample)
    assert undescribed(type(made), vars(made)) == []
