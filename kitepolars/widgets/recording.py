"""What a widget shows where no kernel runs: recordings, and the HTML pages that play them.

A recording is what the kernel sent to a view for a while. It is part of the widget's state, so
it is saved with the notebook, and the front end plays it until a kernel answers: in pages of
nbconvert, in a notebook that was opened but not run, in an exported file.
"""

from __future__ import annotations

import json
import os
import threading
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kitepolars.errors import ConfigError, KitePolarsError
from kitepolars.widgets.host import asset

if TYPE_CHECKING:
    from kitepolars.widgets.channel import Channel

LONGEST: Final = 60.0
"""Longest recording in seconds."""
MAX_BYTES: Final = 4_000_000
"""Size at which a recording ends early: notebooks and mails carry it."""
FIRST_MESSAGE_TIMEOUT: Final = 10.0
"""Seconds in which a widget must have sent its first snapshot."""
ENVIRONMENT: Final = "KITEPOLARS_RECORD_WIDGETS"
"""Environment variable: seconds for which every widget is recorded before it is displayed."""

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data: blob:; \
style-src 'unsafe-inline'; script-src 'unsafe-inline' blob:">
<title>{title}</title>
<style>{css}</style>
</head>
<body class="kp-page">
<noscript>This page needs JavaScript. It loads nothing from a network.</noscript>
<script type="application/json" id="kitepolars-widgets">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""


class Recording:
    """Messages to a view, in the order in which they were sent. Any thread."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._parts: list[bytes] = []
        self._bytes = 0
        self._began = time.monotonic()
        self._arrived = threading.Event()

    def take(self, content: Mapping[str, Any], buffers: Sequence[bytes | memoryview]) -> None:
        """Record a message, unless no snapshot came before it: no view could show it."""
        if not self._messages and content["kind"] != "snapshot":
            return
        if self._bytes < MAX_BYTES:
            at = round(1000 * (time.monotonic() - self._began))
            parts = [bytes(buffer) for buffer in buffers]
            sizes = list(map(len, parts))
            self._messages.append({"at": at, "content": dict(content), "sizes": sizes})
            self._parts += parts
            self._bytes += sum(sizes)
        self._arrived.set()

    def wait(self, timeout: float) -> bool:
        """Wait for the first snapshot; return whether it came."""
        return self._arrived.wait(timeout)

    def state(self) -> dict[str, Any]:
        """Return the messages, each with its time in milliseconds, as the front end plays them.

        The bytes of all buffers are one buffer, ``data``: what executes notebooks keeps a buffer
        until another comes for the same place, and the state of a widget that is recorded again
        has the same places.
        """
        return {"messages": list(self._messages), "data": b"".join(self._parts)}


class Recordable:
    """A widget that shows something where no kernel runs.

    `LiveWidget` is one, and what is made of several is one, too.
    """

    def _pictures(self) -> Sequence[Channel]:
        """Return the channels of the widgets that make up the picture, in the order of a page."""
        raise NotImplementedError

    def _recorded(self) -> Sequence[Channel]:
        """Return the channels that are recorded: those of all that a notebook's page shows."""
        return self._pictures()

    def record(self, seconds: float = 0.0) -> None:
        """Keep what the widget shows in its state, for pages without a kernel.

        A notebook that is saved or converted with the widget's state then shows it. The call
        lasts as long as the recording.

        Parameters
        ----------
        seconds
            How long to record, 0 to 60; the page repeats it. With 0, a still picture.

        Raises
        ------
        ConfigError
            If `seconds` is out of range.
        KitePolarsError
            If a widget fails to show anything.

        Examples
        --------
        >>> import kitepolars as kp
        >>> with kp.demo() as ticker:
        ...     ladder = ticker.ladder("NSE:INFY")
        ...     ladder.record()
        >>> len(ladder.recording["messages"])
        1
        """
        if not 0 <= seconds <= LONGEST:
            raise ConfigError("seconds", seconds, f"0 to {LONGEST:g}")
        started = [(channel, channel.start_recording()) for channel in self._recorded()]
        try:
            for channel, recording in started:
                if not recording.wait(FIRST_MESSAGE_TIMEOUT):
                    nothing = f"{channel.name} had nothing to record; see ticker.events()"
                    raise KitePolarsError(nothing)
            time.sleep(seconds)
        finally:
            for channel, recording in started:
                channel.stop_recording(recording)

    def export_html(
        self, path: str | Path, *, seconds: float = 0.0, title: str | None = None
    ) -> Path:
        """Write an HTML file that shows the widget without kernel and network.

        Parameters
        ----------
        path
            The file; one that exists is replaced.
        seconds
            How long to record first, 0 to 60; the page repeats it. With 0, a still picture.
        title
            The page's title; the name of the widget's class by default.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        ConfigError
            If `seconds` is out of range.
        KitePolarsError
            If a widget fails to show anything.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> import kitepolars as kp
        >>> folder = tempfile.mkdtemp()
        >>> with kp.demo() as ticker:
        ...     ticker.ladder("NSE:INFY").export_html(f"{folder}/infy.html").name
        'infy.html'
        """
        self.record(seconds)
        states = [channel.page_state() for channel in self._pictures()]
        data = json.dumps(states, default=_base64, allow_nan=False, separators=(",", ":"))
        text = _PAGE.format(
            title=escape(title or type(self).__name__),
            css=asset("widgets.css"),
            script=asset("page.js"),
            data=data.replace("<", r"\u003c"),
        )
        file = Path(path).expanduser()
        file.write_text(text, "utf-8")
        return file

    def _repr_mimebundle_(self, **keywords: Any) -> Any:
        """Record first, if the environment asks for it."""
        if asked := os.environ.get(ENVIRONMENT):
            self.record(_seconds(asked))
        return super()._repr_mimebundle_(**keywords)  # type: ignore[misc]


def _seconds(asked: str) -> float:
    try:
        return float(asked)
    except ValueError:
        raise ConfigError(ENVIRONMENT, asked, "a number of seconds") from None


def _base64(value: object) -> str:
    """Encode binary data for JSON."""
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    raise TypeError(f"{type(value).__name__} is not part of a widget's state")
