"""The chart of a report: round figures that reach the greatest value, and no line across a gap."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from monitoring.report.chart import Axis, line_chart, round_step, sparkline, unbroken

_VALUES = st.floats(1e-3, 1e12)


@given(_VALUES)
def test_five_steps_reach_the_greatest_value_and_four_smaller_ones_do_not(greatest: float) -> None:
    """The step is 1, 2, 2.5 or 5 times a power of ten."""
    step = round_step(greatest)
    assert f"{step:.6e}"[:4] in {"1.00", "2.00", "2.50", "5.00"}
    assert step * 5 >= greatest * (1 - 1e-6)
    assert step * 5 <= greatest * 2.6


@given(_VALUES)
def test_the_figures_of_the_axis_rise_from_nought_by_the_same_step(greatest: float) -> None:
    """As they are read: grouped, with no more digits than they need, and no two alike."""
    drawn = line_chart("t", [(0, 0), (1, greatest)], Axis())
    figures = [float(text.replace(",", "")) for text in re.findall(r'class="end"[^>]*>([\d.,]+)<', drawn)]
    steps = {round((b - a) / round_step(greatest), 3) for a, b in pairwise(figures)}
    assert figures[0] == 0
    assert steps == {1.0}
    assert figures[-1] >= greatest * (1 - 1e-6)
    assert len(figures) <= 6


@given(st.lists(st.integers(0, 60), unique=True, min_size=1).map(sorted), st.integers(1, 10))
def test_no_line_leads_across_a_gap(days: list[int], gap: int) -> None:
    """And every point is in exactly one stretch."""
    stretches = unbroken([(day, 1.0) for day in days], gap)
    assert [x for stretch in stretches for x, _ in stretch] == days
    for stretch in stretches:
        assert all(b[0] - a[0] <= gap for a, b in pairwise(stretch))
    for before, after in pairwise(stretches):
        assert after[0][0] - before[-1][0] > gap


def test_what_people_wrote_is_text() -> None:
    """In the name, in labels, in marks."""
    evil = "<script>alert(1)</script>"
    drawn = line_chart(evil, [(0, 1)], Axis([(0, evil)]), [(0, 1, evil)], 1.0)
    assert "<script" not in drawn
    assert "<script" not in sparkline(evil, [(0, 1)], (0, 1), 0)


@given(st.dictionaries(st.integers(0, 13), st.floats(-1e9, 1e9), max_size=14), st.integers(0, 14))
def test_a_small_line_has_each_point_in_its_place(values: dict[int, float], since: int) -> None:
    """Inside the picture, later ones to the right, greater ones above; recent ones stand out."""
    line = sorted((float(day), value) for day, value in values.items())
    drawn = sparkline("t", line, (0, 13), since)
    width, height = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', drawn)[0])
    dots = re.findall(r'class="([a-z-]+)" cx="([-\d.]+)" cy="([-\d.]+)"', drawn)
    assert len(dots) == len(line)
    for (day, _), (kind, x, y) in zip(line, dots, strict=True):
        assert 0 <= float(x) <= width
        assert 0 <= float(y) <= height
        assert (kind == "dot") == (day >= since)
        # Missing days keep their room.
        assert abs(float(x) - (5 + day / 13 * (width - 10))) < 0.06
    for (a, dot), (b, other) in pairwise(zip(line, dots, strict=True)):
        assert float(dot[1]) < float(other[1])
        # y grows downwards; near values may share a place.
        assert (b[1] - a[1]) * (float(dot[2]) - float(other[2])) >= 0
    for path in re.findall(r'polyline[^>]*points="([^"]*)"', drawn):
        xs = [float(point.partition(",")[0]) for point in path.split()]
        assert all(b - a < 1.5 * (width - 10) / 13 for a, b in pairwise(xs))
