"""What a widget shows where no kernel runs: recordings, and pages of HTML that play them.

A recording is what the kernel sent to a view for a while, in the widget's own state. So it is
saved with a notebook, and the widget's front end plays it wherever nothing better comes from a
kernel: in nbconvert's pages, in a notebook that was opened but not run, in a mailed file.
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
from typing import Any, Final, Protocol

from kitepolars.errors import ConfigError, KitePolarsError

LONGEST: Final = 60.0
"""Seconds that a recording may last."""
MAX_BYTES: Final = 4_000_000
"""A recording ends early at this size: it is carried by notebooks and mails."""
FIRST_MESSAGE_TIMEOUT: Final = 10.0
"""Seconds within which a widget must have sent something."""
ENVIRONMENT: Final = "KITEPOLARS_RECORD_WIDGETS"
"""Environment variable: each widget that is displayed is recorded for so many seconds first."""

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


class Recorded(Protocol):
    """A widget that can be recorded."""

    @property
    def recording(self) -> Mapping[str, Any]:
        """What was recorded last."""
        ...

    def start_recording(self) -> Recording:
        """Record from now on what is sent to views."""
        ...

    def stop_recording(self, recording: Recording) -> None:
        """End a recording, and keep it as the widget's own."""
        ...

    def page_state(self) -> Mapping[str, Any]:
        """Return what a page needs to show the widget."""
        ...


class Recording:
    """Messages to a view, in the order in which they were sent. Any thread."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._bytes = 0
        self._began = time.monotonic()
        self._arrived = threading.Event()

    def take(self, content: Mapping[str, Any], buffers: Sequence[bytes | memoryview]) -> None:
        """Record a message; everything before the first snapshot is of no use to a view."""
        if not self._messages and content["kind"] != "snapshot":
            return
        if self._bytes < MAX_BYTES:
            at = round(1000 * (time.monotonic() - self._began))
            parts = [bytes(buffer) for buffer in buffers]
            self._messages.append({"at": at, "content": dict(content), "buffers": parts})
            self._bytes += sum(map(len, parts))
        self._arrived.set()

    def wait(self, timeout: float) -> bool:
        """Wait for the first message; return whether it came."""
        return self._arrived.wait(timeout)

    def state(self) -> dict[str, Any]:
        """Return what a view plays: messages with their milliseconds."""
        return {"messages": list(self._messages)}


def record(widgets: Sequence[Recorded], seconds: float = 0.0) -> None:
    """Record widgets together, while the caller waits.

    Parameters
    ----------
    widgets
        The widgets.
    seconds
        For how long, 0 to `LONGEST`; with 0 each is recorded as it stands.

    Raises
    ------
    ConfigError
        If `seconds` is out of range.
    KitePolarsError
        If a widget sends nothing within `FIRST_MESSAGE_TIMEOUT` seconds.
    """
    if not 0 <= seconds <= LONGEST:
        raise ConfigError("seconds", seconds, f"0 to {LONGEST:g}")
    recordings = [(widget, widget.start_recording()) for widget in widgets]
    try:
        for widget, recording in recordings:
            if not recording.wait(FIRST_MESSAGE_TIMEOUT):
                name = type(widget).__name__
                raise KitePolarsError(f"{name} had nothing to record; see ticker.events()")
        time.sleep(seconds)
    finally:
        for widget, recording in recordings:
            widget.stop_recording(recording)


def record_before_display(widgets: Sequence[Recorded]) -> None:
    """Record widgets if the environment asks for it, as builders of pages do.

    Raises
    ------
    ConfigError
        If the variable holds no number, or one that is out of range.
    """
    asked = os.environ.get(ENVIRONMENT, "")
    if not asked:
        return
    try:
        seconds = float(asked)
    except ValueError:
        raise ConfigError(ENVIRONMENT, asked, "a number of seconds") from None
    record(widgets, seconds)


def write_page(
    path: str | Path, widgets: Sequence[Recorded], *, css: str, script: str, title: str
) -> Path:
    """Write recorded widgets as one HTML file that needs no network and no kernel.

    Parameters
    ----------
    path
        The file; one that exists is replaced.
    widgets
        The widgets, in the order of the page.
    css, script
        The front end's style and the script that draws such a page.
    title
        The page's title.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    file = Path(path).expanduser()
    states = [widget.page_state() for widget in widgets]
    data = json.dumps(states, default=_base64, allow_nan=False, separators=(",", ":"))
    text = _PAGE.format(
        title=escape(title), css=css, script=script, data=data.replace("<", r"\u003c")
    )
    file.write_text(text, "utf-8")
    return file


def _base64(value: object) -> str:
    """Return binary data as JSON can carry it."""
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    raise TypeError(f"{type(value).__name__} is not part of a widget's state")
