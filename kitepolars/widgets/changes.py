"""What a command changed in the subscriptions, in words, and how it is undone. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import polars as pl

from kitepolars.widgets.surface import Feed
from kitepolars.widgets.watchlist import by_mode


def modes_of(subscriptions: pl.DataFrame) -> dict[int, str]:
    """Return token → mode of the frame that ``subscriptions()`` gives."""
    columns = (subscriptions[name].to_list() for name in ("instrument_token", "mode"))
    return dict(zip(*columns, strict=True))


@dataclass(frozen=True, kw_only=True)
class Change:
    """The difference between the subscriptions before and after.

    Parameters
    ----------
    added
        Token → new mode.
    removed
        Token → mode that it had.
    changed
        Token → mode that it had, where that changed.
    """

    added: Mapping[int, str]
    removed: Mapping[int, str]
    changed: Mapping[int, str]

    @classmethod
    def between(cls, before: Mapping[int, str], after: Mapping[int, str]) -> Self:
        """Compare two states.

        Examples
        --------
        >>> str(Change.between({1: "ltp"}, {1: "full", 2: "full"}))
        '1 subscribed, mode of 1 changed'
        """
        return cls(
            added={token: mode for token, mode in after.items() if token not in before},
            removed={token: mode for token, mode in before.items() if token not in after},
            changed={
                token: mode for token, mode in before.items() if after.get(token, mode) != mode
            },
        )

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        """Say it in words."""
        parts = (
            f"{len(self.added):,} subscribed" if self.added else "",
            f"{len(self.removed):,} removed" if self.removed else "",
            f"mode of {len(self.changed):,} changed" if self.changed else "",
        )
        return ", ".join(part for part in parts if part) or "nothing changed"

    def undo(self, feed: Feed) -> None:
        """Bring the instruments concerned, and no others, back to what they were."""
        if self.added:
            feed.unsubscribe(list(self.added))
        for mode, tokens in by_mode(self.removed).items():
            feed.subscribe(tokens, mode=mode)
        for mode, tokens in by_mode(self.changed).items():
            feed.set_mode(tokens, mode)
