"""What the widgets ask of a ticker, as a protocol: they depend on no other part. Any thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import polars as pl


class InstrumentSearch(Protocol):
    """What the widgets ask of `kitepolars.Instruments`."""

    def search(self, text: str, limit: int = ...) -> pl.DataFrame:
        """Return the best matches first, with the dump's columns and ``symbol``."""
        ...

    def symbol(self, instrument_token: int) -> str | None:
        """Return the name of a token, if it is known."""
        ...

    def tokens(self, instruments: Any) -> list[int]:
        """Return the tokens of names such as ``"NSE:INFY"``, or of tokens."""
        ...


class Ticks(Protocol):
    """What the widgets ask of `kitepolars.frames.store.Held`: the ticks at one moment."""

    @property
    def total(self) -> int:
        """The number of the next tick."""
        ...

    def since(self, number: int) -> pl.DataFrame:
        """Return the ticks from a number on."""
        ...

    def latest(self) -> pl.DataFrame:
        """Return the last tick of each instrument, in any order."""
        ...


class Feed(Protocol):
    """What the widgets ask of `kitepolars.Ticker`. Every call is safe from any thread."""

    @property
    def is_running(self) -> bool:
        """Whether the ticker is started."""
        ...

    @property
    def instruments(self) -> InstrumentSearch | None:
        """The instruments known, if any were given."""
        ...

    def start(self) -> Any:
        """Connect."""
        ...

    def stop(self) -> Any:
        """Disconnect."""
        ...

    def subscribe(self, instruments: Any, mode: Any = ...) -> Any:
        """Ask for instruments in a mode."""
        ...

    def unsubscribe(self, instruments: Any) -> Any:
        """Give instruments up."""
        ...

    def set_mode(self, instruments: Any, mode: Any) -> Any:
        """Change the mode of instruments."""
        ...

    def frame(self) -> pl.DataFrame:
        """Return every tick held."""
        ...

    def _held(self) -> Ticks:
        """Return the ticks held now."""
        ...

    def subscriptions(self) -> pl.DataFrame:
        """Return what is subscribed."""
        ...

    def connections(self) -> pl.DataFrame:
        """Return the connections."""
        ...

    def events(self) -> pl.DataFrame:
        """Return the events."""
        ...

    def note(self, kind: str, detail: str) -> Any:
        """Add an event."""
        ...

    def gaps(self) -> pl.DataFrame:
        """Return the holes in the data."""
        ...

    def orders(self) -> pl.DataFrame:
        """Return the order updates."""
        ...

    def stats(self) -> Any:
        """Return the counters."""
        ...


def tokens_of(feed: Feed, instruments: Iterable[Any] | str | int) -> list[int]:
    """Resolve names and tokens with the feed's instruments.

    Parameters
    ----------
    feed
        Whose instruments are asked.
    instruments
        One name or token, or several.

    Raises
    ------
    UnknownInstrument
        If a name is not known.
    """
    several: Sequence[Any] = (
        [instruments] if isinstance(instruments, str | int) else list(instruments)
    )
    if feed.instruments is None:
        return [int(instrument) for instrument in several]
    return feed.instruments.tokens(several)


def symbol_of(feed: Feed, instrument_token: int) -> str:
    """Return the name of a token, or the token's digits where it has none."""
    known = feed.instruments.symbol(instrument_token) if feed.instruments is not None else None
    return known if known is not None else str(instrument_token)
