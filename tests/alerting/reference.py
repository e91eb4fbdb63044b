"""When alerts fire, said in plain Python: one row after the other, one instrument at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass
class _State:
    since: int | None = None
    fired_at: int | None = None
    was_false: bool = False
    is_spent: bool = False


def fires(
    rows: Sequence[Row],
    holds: Callable[[Row], bool | None],
    *,
    lasting: int = 0,
    cooldown: int = 0,
    once: bool = False,
    is_crossing: bool = False,
) -> list[int]:
    """Return the numbers of the rows at which an alert fires."""
    states: dict[int, _State] = {}
    found = []
    for number, row in enumerate(rows):
        state = states.setdefault(row["instrument_token"], _State())
        now, truth = row["at"], holds(row)
        if truth is None:
            continue
        if not truth:
            state.since, state.was_false, state.is_spent = None, True, False
            continue
        if state.since is None:
            state.since = now
            state.is_spent = is_crossing and not state.was_false
        if state.is_spent or now - state.since < lasting:
            continue
        state.is_spent = True
        if state.fired_at is not None and (once or now - state.fired_at < cooldown):
            continue
        state.fired_at = now
        found.append(number)
    return found
