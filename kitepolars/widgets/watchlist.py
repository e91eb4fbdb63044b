"""Watch lists as text, one instrument and its mode a line: pasted, loaded and saved. Pure.

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
"""Longer lists are a mistake: Kite takes 9,000 instruments an account."""

_SEPARATORS: Final = re.compile(r"[\n\r,;\t]+")
_MODE: Final = re.compile(rf"^(.*?)\s+({'|'.join(Mode)})$", re.IGNORECASE)
_WIDTH: Final = 32


def parse(text: str, default: Mode) -> dict[str | int, Mode]:
    """Read a watch list: names or tokens, each with a mode or without.

    Parameters
    ----------
    text
        Entries apart by new lines, commas, semicolons or tabs; ``#`` begins a comment.
    default
        The mode of an entry that names none.

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
    """Let a tab before a mode be a blank, as in a column pasted from a spreadsheet."""
    return re.sub(rf"\t+(?=(?:{'|'.join(Mode)})\s*$)", " ", line, flags=re.IGNORECASE)


def _trimmed(entry: str) -> str:
    return entry.strip().strip("\"'[]() ")


def _entry(entry: str, default: Mode) -> tuple[str | int, Mode]:
    match = _MODE.match(entry)
    name, mode = (_trimmed(match[1]), Mode(match[2].lower())) if match else (entry, default)
    return (int(name) if name.isascii() and name.isdecimal() else name), mode


def to_text(entries: Iterable[tuple[str, str]]) -> str:
    """Write a watch list from symbols (or tokens) and modes.

    Examples
    --------
    >>> print(to_text([("NSE:INFY", "full")]), end="")
    NSE:INFY                         full
    """
    return "".join(f"{symbol:<{_WIDTH}} {mode}\n" for symbol, mode in entries)


def load(path: str | Path, default: Mode) -> dict[str | int, Mode]:
    """Read a watch list from a file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ConfigError
        If it is no text.
    """
    file = Path(path).expanduser()
    try:
        return parse(file.read_text("utf-8"), default)
    except UnicodeDecodeError:
        raise ConfigError("watch list", str(file), "a text file") from None


def save(path: str | Path, entries: Iterable[tuple[str, str]]) -> Path:
    """Write a watch list to a file, which is replaced whole or not at all.

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
    """Group tokens by their mode, as requests are."""
    groups: dict[Mode, list[int]] = {}
    for token, mode in entries.items():
        groups.setdefault(Mode(mode), []).append(token)
    return groups
