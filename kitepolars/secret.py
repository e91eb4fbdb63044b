"""Credentials: a text that hides itself, and its removal from other texts. Any thread."""

from __future__ import annotations

import hmac
import re
from ipaddress import ip_address
from typing import NoReturn


class Secret:
    """A text that is shown only by `reveal`.

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
    text = text.replace(value, "…")
    if "\\" not in text and "%" not in text:  # nothing is escaped
        return text
    return re.sub("".join(map(_spellings, value)), "…", text)


def _spellings(char: str) -> str:
    """Return a pattern of the ways in which a character may be spelt.

    Text within text doubles the backslashes. Their number is bounded, so that a text of
    backslashes takes no longer than others.
    """
    units = char.encode("utf-16-be", "surrogatepass").hex()
    in_json = "".join(rf"\\{{1,16}}u(?i:{units[at : at + 4]})" for at in range(0, len(units), 4))
    octets = char.encode("utf-8", "surrogatepass").hex()
    in_url = "".join(f"%(?i:{octets[at : at + 2]})" for at in range(0, len(octets), 2))
    if char == "\\":
        return rf"(?:{in_json}|{in_url}|\\{{1,16}})"
    escape = r"\\{0,16}" if char in '"/' else ""
    return f"(?:{in_json}|{in_url}|{escape}{re.escape(char)})"


def is_this_machine(host: str) -> bool:
    """Return whether a host is this machine: a credential may travel to it unencrypted."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
