"""The browser's end of a widget, and the instruments that the tests use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from patience import PATIENCE

INFY: Final = 408065
NIFTY: Final = 256265
RELIANCE: Final = 738561


class Page:
    """The browser's end of a widget: says what a view says, keeps what it is sent.

    Parameters
    ----------
    widget
        Whose messages are kept; none goes anywhere.
    """

    def __init__(self, widget: Any, name: str = "view") -> None:
        self.widget = widget
        self.name = name
        self.received: list[tuple[dict[str, Any], list[bytes]]] = []
        self._arrived = threading.Condition()
        widget.send = self._take

    def _take(self, content: dict[str, Any], buffers: Any = None) -> None:
        with self._arrived:
            self.received.append((content, list(buffers or ())))
            self._arrived.notify_all()

    def say(self, kind: str, **content: Any) -> None:
        """Send a message as the browser does."""
        message = {"kind": kind, "view": self.name, **content}
        self.widget._handle_custom_msg(message, [])

    def wait(
        self, condition: Callable[[dict[str, Any]], object], *, beyond: int = 0
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Return the first message after a number of them that fulfils a condition."""

        def found() -> Any:
            return next((each for each in self.received[beyond:] if condition(each[0])), None)

        with self._arrived:
            assert self._arrived.wait_for(found, PATIENCE), [each[0] for each in self.received]
            message: tuple[dict[str, Any], list[bytes]] = found()
            return message

    def refreshed(self, times: int) -> None:
        """Wait for a number of further messages."""
        goal = len(self.received) + times
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.received) >= goal, PATIENCE)
