"""Coroutines with and without a running event loop, each in a process of its own."""

from __future__ import annotations

import asyncio
import sys
import types

import pytest

from kitepolars import nesting
from kitepolars.errors import KitePolarsError
from script import run_script


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


def test_without_a_loop_a_coroutine_is_simply_run() -> None:
    assert nesting.run(answer()) == 42


NESTED = """
import asyncio
from kitepolars import run

async def cell():
    ticks = []

    async def ticking():
        while True:
            ticks.append(1)
            await asyncio.sleep(0)

    async def enough():
        while len(ticks) < 5:
            await asyncio.sleep(0)
        return "enough"

    task = asyncio.create_task(ticking())
    print(run(enough()))
    task.cancel()

asyncio.run(cell())
"""


def test_in_a_running_loop_its_other_tasks_keep_running() -> None:
    finished = run_script(NESTED)
    assert (finished.stdout, finished.stderr) == ("enough\n", "")


@pytest.mark.parametrize(
    ("version", "module", "is_refused"),
    [
        ((3, 14), "nest_asyncio", True),
        ((3, 13), "nest_asyncio", False),
        ((3, 14), "nest_asyncio2", False),
    ],
)
def test_a_patch_that_breaks_this_python_is_refused(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], module: str, *, is_refused: bool
) -> None:
    for name in ("nest_asyncio", "nest_asyncio2"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)
    monkeypatch.setattr(sys, "version_info", version)
    if is_refused:
        with pytest.raises(KitePolarsError, match="Restart the kernel"):
            nesting.refuse_broken_nesting()
    else:
        nesting.refuse_broken_nesting()
