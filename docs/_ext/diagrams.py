"""Diagrams written in Mermaid, which GitHub draws: here they are shown as the text that they are.

A drawing would take 3.7 MB of script for one picture. The text reads well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class Mermaid(SphinxDirective):
    """Shows the text of a diagram."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return it as a block of text."""
        return [nodes.literal_block(text="\n".join(self.content))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("mermaid", Mermaid)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
