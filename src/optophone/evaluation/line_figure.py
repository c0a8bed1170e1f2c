"""Line figures as SVG that screen readers can read: a title, all values as text, no meaning by colour alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

_WIDTH, _HEIGHT = 520, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 500, 40, 320
_STYLES = {
    "solid": "",
    "dashed": ' stroke-dasharray="6 5"',
    "dotted": ' stroke-dasharray="1.5 3.5"',
    "dash-dotted": ' stroke-dasharray="9 4 1.5 4"',
    "long-dashed": ' stroke-dasharray="14 6"',
    "double-dotted": ' stroke-dasharray="9 3 1.5 3 1.5 3"',
}
_IN_LEGEND = 3  # lines that have room below the place where the legend begins


@dataclass(frozen=True)
class Line:
    """One line of a figure.

    Args:
        name: in the legend.
        points: (x, y) pairs.
        style: how it is drawn; points are marked on all lines but dashed ones.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: Literal["solid", "dashed", "dotted", "dash-dotted", "long-dashed", "double-dotted"] = "solid"


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high` with `n_ticks` marks.

    Args:
        label: what is on it, with its unit.
        low, high: its ends.
        n_ticks: marks, ends included.
        decimals: of the numbers at the marks.
        marks: (place, text) pairs instead of the numbers, for instance of a logarithm.
    """

    label: str
    low: float
    high: float
    n_ticks: int = 6
    decimals: int = 1
    marks: Sequence[tuple[float, str]] = ()

    def ticks(self) -> list[tuple[float, str]]:
        """Place and text of every mark."""
        if self.marks:
            return list(self.marks)
        values = [self.low + (self.high - self.low) * i / (self.n_ticks - 1) for i in range(self.n_ticks)]
        return [(value, f"{value:.{self.decimals}f}") for value in values]


def line_figure(title: str, description: str, x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """The text of an SVG file.

    Args:
        title: read out first, and written above.
        description: what the figure shows, for who does not see it; the values of every line are added.
        x, y: the axes.
        lines: in the order of the legend.
    """
    values = " ".join(f"{line.name}: {_spoken(line.points, x)}." for line in lines)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'aria-labelledby="title description" font-family="sans-serif" font-size="12">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(description)} {escape(values)}</desc>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="20" font-size="14" font-weight="bold">{escape(title)}</text>',
        *_axes(x, y),
    ]
    for number, line in enumerate(lines):
        parts += _drawn(line, x, y) + _legend(line, number - max(0, len(lines) - _IN_LEGEND))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _spoken(points: Sequence[tuple[float, float]], x: Axis) -> str:
    """What is marked on the axis by its mark."""
    marked = dict(x.marks)
    return ", ".join(f"{marked.get(a, f'{a:.3g}')} to {b:.3g}" for a, b in points)


def _place(value: float, axis: Axis, first: float, last: float) -> float:
    return first + (value - axis.low) / (axis.high - axis.low) * (last - first)


def _axes(x: Axis, y: Axis) -> list[str]:
    parts = [f'<path d="M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}" fill="none" stroke="black"/>']
    for value, text in x.ticks():
        at = _place(value, x, _LEFT, _RIGHT)
        parts.append(f'<path d="M{at:.1f} {_BOTTOM}v5" stroke="black"/>')
        parts.append(f'<text x="{at:.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{escape(text)}</text>')
    for value, text in y.ticks():
        at = _place(value, y, _BOTTOM, _TOP)
        parts.append(f'<path d="M{_LEFT} {at:.1f}H{_RIGHT}" stroke="#ccc"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    middle_x, middle_y = (_LEFT + _RIGHT) / 2, (_TOP + _BOTTOM) / 2
    parts.append(f'<text x="{middle_x}" y="{_BOTTOM + 38}" text-anchor="middle">{escape(x.label)}</text>')
    turned = f'transform="rotate(-90 16 {middle_y})"'
    parts.append(f'<text x="16" y="{middle_y}" text-anchor="middle" {turned}>{escape(y.label)}</text>')
    return parts


def _drawn(line: Line, x: Axis, y: Axis) -> list[str]:
    places = [(_place(a, x, _LEFT, _RIGHT), _place(b, y, _BOTTOM, _TOP)) for a, b in line.points]
    path = "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
    parts = [f'<path d="M{path}" fill="none" stroke="black" stroke-width="1.5"{_STYLES[line.style]}/>']
    if line.style != "dashed":
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in places]
    return parts


def _legend(line: Line, number: int) -> list[str]:
    at = _RIGHT - 140
    height = _BOTTOM - 40 + 18 * number
    mark = f'<path d="M{at} {height}h28" stroke="black" stroke-width="1.5"{_STYLES[line.style]}/>'
    return [mark, f'<text x="{at + 36}" y="{height + 4}">{escape(line.name)}</text>']
