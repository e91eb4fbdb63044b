"""Watch lists as text, one instrument and its mode per line: parse, load, save.

::

    # what I follow
    NSE:NIFTY 50     ltp
    NSE:INFY         full
    408065, 738561
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from kitepolars.errors import ConfigError
from kitepolars.wire.layouts import Mode

MAX_ENTRIES: Final = 100_000
"""Longest list; Kite allows 9,000 instruments per account."""

_SEPARATORS: Final = re.compile(r"[\n\r,;\t]+")
_LINE_WITH_MODE: Final = re.compile(rf"^(.*?)\s+({'|'.join(Mode)})$", re.IGNORECASE)
_SYMBOL_WIDTH: Final = 32


def parse(text: str, default: Mode) -> dict[str | int, Mode]:
    """Parse a watch list: names or tokens, each with or without a mode.

    Parameters
    ----------
    text
        Entries separated by new lines, commas, semicolons or tabs; ``#`` starts a comment.
    default
        The mode of entries without one.

    Raises
    ------
    ConfigError
        If there are more than `MAX_ENTRIES`.

    Examples
    --------
    >>> from kitepolars.wire.layouts import Mode
    >>> parse("NSE:NIFTY 50 ltp, 408065  # the index and INFY", Mode.FULL)
    {'NSE:NIFTY 50': <Mode.LTP: 'ltp'>, 408065: <Mode.FULL: 'full'>}
    """
    lines = (line.partition("#")[0] for line in text.splitlines())
    entries = [_trimmed(entry) for line in lines for entry in _SEPARATORS.split(_spaced(line))]
    if len(entries) > MAX_ENTRIES:
        raise ConfigError("watch list", len(entries), f"at most {MAX_ENTRIES:,} entries long")
    return dict(_entry(entry, default) for entry in entries if entry)


def _spaced(line: str) -> str:
    """Turn tabs before a mode into a space: columns pasted from a spreadsheet."""
    return re.sub(rf"\t+(?=(?:{'|'.join(Mode)})\s*$)", " ", line, flags=re.IGNORECASE)


def _trimmed(entry: str) -> str:
    return entry.strip().strip("\"'[]() ")


def _entry(entry: str, default: Mode) -> tuple[str | int, Mode]:
    match = _LINE_WITH_MODE.match(entry)
    name, mode = (_trimmed(match[1]), Mode(match[2].lower())) if match else (entry, default)
    return (int(name) if name.isascii() and name.isdecimal() else name), mode


def to_text(entries: Iterable[tuple[str, str]]) -> str:
    """Format symbols or tokens and their modes as a watch list.

    Examples
    --------
    >>> print(to_text([("NSE:INFY", "full")]), end="")
    NSE:INFY                         full
    """
    return "".join(f"{symbol:<{_SYMBOL_WIDTH}} {mode}\n" for symbol, mode in entries)


def load(path: str | Path, default: Mode) -> dict[str | int, Mode]:
    """Read a watch list from a file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ConfigError
        If it is not a text file.
    """
    file = Path(path).expanduser()
    try:
        return parse(file.read_text("utf-8"), default)
    except UnicodeDecodeError:
        raise ConfigError("watch list", str(file), "a text file") from None


def save(path: str | Path, entries: Iterable[tuple[str, str]]) -> Path:
    """Write a watch list to a file, which is replaced atomically.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    file = Path(path).expanduser()
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(to_text(entries))
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return file


def by_mode(entries: Mapping[int, str]) -> dict[Mode, list[int]]:
    """Group tokens by mode, as subscription requests are."""
    groups: dict[Mode, list[int]] = {}
    for token, mode in entries.items():
        groups.setdefault(Mode(mode), []).append(token)
    return groups
