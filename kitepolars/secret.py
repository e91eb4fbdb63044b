"""Credentials: a text that hides itself, and its removal from other texts. Any thread."""

from __future__ import annotations

import hmac
import json
import re
from typing import Final, NoReturn
from urllib.parse import quote

_ESCAPE: Final = re.compile(r"""\\+(?:u([0-9a-fA-F]{4})|(["/]))|%([0-9a-fA-F]{2})""")
"""A character as JSON or a URL may spell it; text within text doubles the backslashes."""


class Secret:
    """A text that shows itself to nobody who does not ask for it by name.

    Parameters
    ----------
    value
        What to keep.

    Examples
    --------
    >>> token = Secret("hunter2")
    >>> token, f"{token}", str(token)
    (Secret('…'), '…', '…')
    >>> token.reveal()
    'hunter2'
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('…')"

    def __str__(self) -> str:
        return "…"

    def __format__(self, spec: str) -> str:
        return format("…", spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled: a pickle is a file with the token in it."""
        raise TypeError("a Secret cannot be pickled")


def as_secret(value: str | Secret) -> Secret:
    """Return a text as a `Secret`, and a `Secret` as it is.

    Whoever takes a credential as an argument rebinds it so at once, because a traceback may show
    the locals of any frame. What is no text is wrapped likewise, for `Account` to refuse.
    """
    return value if isinstance(value, Secret) else Secret(value)


def redacted(text: str, value: str) -> str:
    r"""Return a text without a value, however JSON, JSON within JSON, or a URL spells it.

    Examples
    --------
    >>> redacted('{"data": "bad token hunt\\u0065r\\/2"}', "hunter/2")
    '{"data": "bad token …"}'
    """
    for form in (value, quote(value, safe=""), json.dumps(value)[1:-1]):
        text = text.replace(form, "…")
    return _without_escaped(text, value)


def _without_escaped(text: str, value: str) -> str:
    """Return a text without a value, some of whose characters the text may spell as escapes."""
    characters: list[str] = []
    starts: list[int] = []  # of each character in the text
    end = 0
    for escape in _ESCAPE.finditer(text):
        characters += text[end : escape.start()]
        starts += range(end, escape.start())
        code = escape[1] or escape[3]
        characters.append(chr(int(code, 16)) if code else escape[2])
        starts.append(escape.start())
        end = escape.end()
    if not end:  # it has no escape
        return text
    starts += range(end, len(text) + 1)
    plain = "".join(characters) + text[end:]
    kept, done = [], 0
    while (found := plain.find(value, done)) >= 0:
        kept.append(text[starts[done] : starts[found]])
        done = found + len(value)
    return "…".join([*kept, text[starts[done] :]])
