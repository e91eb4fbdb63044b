"""Keeps the browser's messages to widgets deliverable on every kernel. Any thread.

ipykernel 7.4 hands an incoming widget message to the shell that last
*published* on the widget's channel. Ours are published by a thread, so clicks
would wait for a running cell, and after a page reload they could be handed to
a shell that no longer exists, which drops them. Here the shell that the
browser asked for is taken again, as in ipykernel 7.1 to 7.3. The attribute is
private to ipykernel: where it is missing, nothing is done.
"""

from __future__ import annotations

from typing import Any, Final

_HOOK: Final = "_reply_subshell_for"


def keep_browser_routing(widget: Any) -> None:
    """Let each message go to the shell that the browser addressed.

    Parameters
    ----------
    widget
        An ipywidget whose channel is open. It may be given twice.
    """
    channel = getattr(widget, "comm", None)
    if channel is not None and hasattr(channel, _HOOK):
        setattr(channel, _HOOK, lambda _data, default: default)
