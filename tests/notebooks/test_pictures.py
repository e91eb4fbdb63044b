"""The look of the notebooks' pictures, which have to suit a light theme and a dark one."""

from __future__ import annotations

from typing import Final

import pytest

pytest.importorskip("matplotlib")

from matplotlib import style
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure

LUMINANCE: Final = (0.299, 0.587, 0.114)
"""Weights of red, green and blue, by which Jupyter's backend tells light labels from dark."""


def test_a_picture_has_no_ground_and_gets_no_card_behind_it() -> None:
    with style.context("kitepolars.charts"):
        figure = Figure()
        axes = figure.add_subplot()
        axes.plot([1, 3, 2])
        x, y = (axis.get_ticklabels()[0].get_color() for axis in (axes.xaxis, axes.yaxis))
    assert {to_rgba(each.get_facecolor())[3] for each in (figure, axes)} == {0}
    lightness = [
        sum(w * part for w, part in zip(LUMINANCE, to_rgb(c), strict=True)) for c in (x, y)
    ]
    assert 0.45 < lightness[1] < 0.5 < lightness[0] < 0.55
