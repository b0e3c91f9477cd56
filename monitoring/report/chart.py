"""A line chart as inline SVG, which opens offline and follows the page's light or dark colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM, _TOP = 760, 260, 72, 16, 28, 12
_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_EDGE = 280, 48, 5
_STEPS = 5
_ROUNDING = 1e-9

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """What stands below: labels at places of x. Two points that are more than `gap` apart are not joined."""

    labels: Sequence[tuple[float, str]] = ()
    gap: float = math.inf


def line_chart(
    title: str,
    line: Sequence[Point],
    axis: Axis,
    marks: Sequence[tuple[float, float, str]] = (),
    level: float | None = None,
) -> str:
    """`line` (by rising x) as paths with dots, `marks` as labelled rings, `level` as a dashed line.

    x and y are in any units; the y axis begins at 0 and has round figures. Text is escaped.
    """
    if not line:
        return "<p>No values yet.</p>"
    greatest = max([y for _, y in line] + [y for _, y, _ in marks] + [level or 0.0])
    step = round_step(greatest)
    place = _Place(line[0][0], line[-1][0], step * max(1, math.ceil(greatest / step - _ROUNDING)))
    parts = [_grid(step, place)]
    for stretch in unbroken(line, axis.gap):
        points = [place.of(x, y) for x, y in stretch]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="line" points="{path}"/>')
        parts += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points]
    if level is not None:
        _, y = place.of(line[0][0], level)
        parts.append(f'<line class="level" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for x_value, y_value, label in marks:
        x, y = place.of(x_value, y_value)
        ring = f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="6">'
        parts.append(f"{ring}<title>{escape(label)}</title></circle>")
    parts += [_label(place.of(x, 0)[0], text) for x, text in axis.labels]
    name = escape(title, quote=True)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">{"".join(parts)}</svg>'


def sparkline(title: str, line: Sequence[Point], span: tuple[float, float], since: float) -> str:
    """`line` (by rising x, in any units) without axes over the x of `span`; points from `since` on stand out.

    The line is broken where a whole unit of x has no point. Its height is that of its values alone.
    """
    low, high = min((y for _, y in line), default=0.0), max((y for _, y in line), default=0.0)

    def place(point: Point) -> Point:
        across = (point[0] - span[0]) / (span[1] - span[0]) if span[1] > span[0] else 0.5
        up = (point[1] - low) / (high - low) if high > low else 0.5
        inner = _SPARK_HEIGHT - 2 * _SPARK_EDGE
        return _SPARK_EDGE + across * (_SPARK_WIDTH - 2 * _SPARK_EDGE), _SPARK_EDGE + (1 - up) * inner

    parts = []
    for stretch in unbroken(line, 1.0):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, stretch))
        parts.append(f'<polyline class="soft" points="{path}"/>')
    recent = [point for point in line if point[0] >= since]
    for stretch in unbroken(recent, 1.0):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, stretch))
        parts.append(f'<polyline class="line" points="{path}"/>')
    for point in line:
        x, y = place(point)
        kind, radius = ("dot", 3) if point[0] >= since else ("soft-dot", 2)
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>')
    name = escape(title, quote=True)
    box = f"0 0 {_SPARK_WIDTH} {_SPARK_HEIGHT}"
    head = (
        f'<svg class="spark" viewBox="{box}" preserveAspectRatio="xMinYMid" role="img" aria-label="{name}">'
    )
    return f"{head}{''.join(parts)}</svg>"


def round_step(greatest: float) -> float:
    """The smallest of 1, 2, 2.5 or 5 times a power of ten, five of which reach `greatest`; 1 for 0."""
    if greatest <= 0:
        return 1.0
    least = greatest / _STEPS
    power = 10.0 ** math.floor(math.log10(least))
    return next(
        factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= least * (1 - _ROUNDING)
    )


def unbroken(line: Sequence[Point], gap: float) -> list[list[Point]]:
    """The stretches of `line` in which no two neighbours are more than `gap` apart."""
    stretches: list[list[Point]] = []
    for point in line:
        if not stretches or point[0] - stretches[-1][-1][0] > gap:
            stretches.append([])
        stretches[-1].append(point)
    return stretches


@dataclass(frozen=True)
class _Place:
    first: float
    last: float
    top: float

    def of(self, x: float, y: float) -> Point:
        share = (x - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        height = _HEIGHT - _TOP - _BOTTOM
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT), _TOP + height * (1 - y / self.top)


def _grid(step: float, place: _Place) -> str:
    lines = []
    # Not more digits than the step has.
    digits = max(0, -math.floor(math.log10(step))) + (1 if f"{step:e}".startswith("2.5") and step < 10 else 0)
    for number in range(round(place.top / step) + 1):
        _, y = place.of(place.first, number * step)
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text class="end" x="{_LEFT - 8}" y="{y + 4:.1f}">{number * step:,.{digits}f}</text>')
    return "".join(lines)


def _label(x: float, text: str) -> str:
    side = "end" if x > _WIDTH - _RIGHT - 50 else "start" if x < _LEFT + 50 else "middle"
    return f'<text class="{side}" x="{x:.1f}" y="{_HEIGHT - 6}">{escape(text)}</text>'
