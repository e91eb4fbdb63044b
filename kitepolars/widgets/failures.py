"""What fails in a widget: in words for whoever looks, and in the ticker's events. Any thread."""

from __future__ import annotations

import logging
from typing import Final

from kitepolars.errors import KitePolarsError
from kitepolars.widgets.surface import Feed

IN_VAIN: Final = (KitePolarsError, OSError)
"""What comes of asking for what cannot be had, such as a missing file: no fault of a widget's."""
MAX_TEXT: Final = 300
"""Longest text of an error that is shown."""
FAULTS_TOLD: Final = 10
"""How many faults of one widget are told in `events()`."""

_log = logging.getLogger(__name__)


def in_words(error: BaseException) -> str:
    """Say what went wrong in one bounded line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


class Faults:
    """Tells a ticker what failed in one of its widgets.

    Parameters
    ----------
    feed
        The ticker, in whose events it will be found.
    widget
        The name of the widget.
    """

    def __init__(self, feed: Feed, widget: str) -> None:
        self._feed = feed
        self._widget = widget
        self._count = 0

    def tell(self, error: Exception) -> None:
        """Add an event about a fault, until there have been too many."""
        _log.debug("%s failed", self._widget, exc_info=error)
        self._count += 1
        if self._count <= FAULTS_TOLD:
            self._feed.note("widget", f"{self._widget} failed ({self._count}): {error!r}")

    def tell_unless_in_vain(self, error: Exception) -> None:
        """Add an event unless somebody only asked for what cannot be had."""
        if not isinstance(error, IN_VAIN):
            self.tell(error)
