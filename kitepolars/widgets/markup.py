"""Small pieces of HTML for the panel; every text is escaped. Pure."""

from __future__ import annotations

from html import escape
from typing import Final

TONES: Final = {"": "", "good": " kp-good", "error": " kp-error"}
"""Tone of a message → its class."""


def message(text: str, tone: str = "") -> str:
    """Return one line of the panel; without a text, one that is hidden.

    Examples
    --------
    >>> message("a < b", "error")
    '<div class="kp-message kp-error" role="status">a &lt; b</div>'
    """
    return f'<div class="kp-message{TONES[tone]}" role="status">{escape(text)}</div>'
