"""A small line chart as inline SVG, which opens offline and follows the page's light or dark colours."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 760, 260, 56, 28, 12

Point = tuple[float, float]


def line_chart(
    title: str,
    line: Sequence[Point],
    marks: Sequence[tuple[float, float, str]] = (),
    level: float | None = None,
    x_labels: tuple[str, str] = ("", ""),
) -> str:
    """`line` as a path with dots, `marks` as labelled anomalies, `level` as a dashed line.

    x and y are in any units; the y axis begins at 0. Text is escaped.
    """
    if not line:
        return "<p>No values yet.</p>"
    first, last = line[0][0], line[-1][0]
    top = max([y for _, y in line] + [y for _, y, _ in marks] + [level or 0.0]) * 1.1 or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        share = (x - first) / (last - first) if last > first else 0.5
        height = _HEIGHT - _TOP - _BOTTOM
        return _LEFT + share * (_WIDTH - _LEFT - 16), _TOP + height * (1 - y / top)

    points = [place(x, y) for x, y in line]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts = [_grid(top), f'<polyline class="line" points="{path}"/>']
    parts += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points]
    if level is not None:
        _, y = place(first, level)
        parts.append(f'<line class="level" x1="{_LEFT}" x2="{_WIDTH - 16}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for x_value, y_value, label in marks:
        x, y = place(x_value, y_value)
        parts.append(
            f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="6"><title>{escape(label)}</title></circle>'
        )
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">{escape(x_labels[0])}</text>')
    parts.append(f'<text class="end" x="{_WIDTH - 16}" y="{_HEIGHT - 6}">{escape(x_labels[1])}</text>')
    name = escape(title, quote=True)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">{"".join(parts)}</svg>'


def _grid(top: float) -> str:
    lines = []
    for quarter in range(5):
        y = _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - quarter / 4)
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 16}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text class="end" x="{_LEFT - 8}" y="{y + 4:.1f}">{top * quarter / 4:,.0f}</text>')
    return "".join(lines)
