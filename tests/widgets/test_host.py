"""The front end's files and the kernel's channels."""

from __future__ import annotations

import ipywidgets
import pytest

import kitepolars as kp
from kitepolars.widgets.host import asset, keep_browser_routing


def test_the_front_end_is_asked_for_by_name_and_its_absence_explained() -> None:
    with pytest.raises(kp.KitePolarsError, match=r"hatch_build\.py"):
        asset("nothing.js")


def test_the_routing_shim_takes_the_shell_that_was_asked_for() -> None:
    class Channel:
        def _reply_subshell_for(self, _data: object, default: str) -> str:
            return f"not {default}"

    class Widget:
        comm = Channel()

    widget = Widget()
    keep_browser_routing(widget)
    assert widget.comm._reply_subshell_for({}, "this") == "this"
    keep_browser_routing(ipywidgets.Label())
