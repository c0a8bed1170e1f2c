"""Figures are well-formed, say their values in words, and put points where they belong."""

import re
import xml.etree.ElementTree as ElementTree

from optophone.evaluation.line_figure import Axis, Line, line_figure

FIGURE = line_figure(
    "Sure & right",
    "Shares < 1.",
    Axis("confidence", 0, 1),
    Axis("right", 0, 1),
    [Line("found", [(0, 0), (0.5, 1)]), Line("perfect", [(0, 0), (1, 1)], "dashed")],
)
SPACE = {"svg": "http://www.w3.org/2000/svg"}


def test_a_screen_reader_gets_title_and_values() -> None:
    root = ElementTree.fromstring(FIGURE)
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title description"
    assert root.findtext("svg:title", namespaces=SPACE) == "Sure & right"
    description = root.findtext("svg:desc", namespaces=SPACE)
    assert description is not None
    assert description.startswith("Shares < 1.")
    assert "found: 0 to 0, 0.5 to 1." in description


def test_points_lie_on_their_values() -> None:
    circles = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', FIGURE)]
    assert circles == [(64.0, 320.0), (282.0, 40.0)]


def test_lines_differ_by_more_than_colour() -> None:
    assert FIGURE.count("stroke-dasharray") == 2  # the line and its legend


def test_many_lines_differ_and_fit() -> None:
    styles = ("solid", "dashed", "dotted", "dash-dotted", "long-dashed", "double-dotted")
    lines = [Line(style, [(0, 0), (1, 0.5)], style) for style in styles]
    figure = line_figure("", "", Axis("share", 0, 2, marks=[(0, "1 %"), (2, "100 %")]), Axis("right", 0, 1), lines)
    dashes = re.findall(r'stroke-dasharray="([\d. ]+)"', figure)
    assert len(dashes) == 10
    assert len(set(dashes)) == 5, "all but the solid one, each in its own way"
    legend = [float(y) for y, name in re.findall(r'y="([\d.]+)">([a-z-]+)</text>', figure) if name in styles]
    assert len(legend) == 6
    assert max(legend) <= 320, "above the axis"
    assert re.findall(r'text-anchor="middle">([\d]+ %)</text>', figure) == ["1 %", "100 %"]
    assert figure.count("<circle") == 10
    assert "dotted: 1 % to 0, 1 to 0.5." in figure, "what is marked is said by its mark"
