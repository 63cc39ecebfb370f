"""Charts are well-formed SVG with their points where they belong."""

from xml.etree import ElementTree

import numpy as np

from llmkit.report import charts


def test_a_curve_goes_from_corner_to_corner_and_names_are_escaped() -> None:
    ends = np.array([0.0, 1.0])
    svg = ElementTree.fromstring(charts.curves([("<a>", ends, ends), ("b", ends, 1 - ends)], "x & y", "y"))
    lines = [line.get("points") for line in svg.iter("polyline")]
    assert lines == ["46.0,300.0 346.0,0.0", "46.0,0.0 346.0,300.0"]
    assert {"<a>", "x & y"} <= {text.text for text in svg.iter("text")}


def test_a_heat_map_has_its_patches_where_they_are() -> None:
    patch = {"row": 0, "column": 4, "height": 4, "width": 3, "contribution": -0.5}
    svg = ElementTree.fromstring(charts.heat_map([patch, patch | {"column": 0, "contribution": 0.25}], 4, 7))
    assert svg.get("viewBox") == "0 0 7 4"
    assert [(one.get("x"), one.get("fill-opacity")) for one in svg.iter("rect")] == [("4", "1.000"), ("0", "0.500")]


def test_points_and_bars() -> None:
    svg = ElementTree.fromstring(charts.points(np.array([0.0, 10.0]), np.array([5.0, 10.0]), "true", "predicted"))
    assert [(dot.get("cx"), dot.get("cy")) for dot in svg.iter("circle")] == [("46.0", "150.0"), ("346.0", "0.0")]
    svg = ElementTree.fromstring(charts.bars([("up", 2.0), ("down", -1.0)]))
    assert [(bar.get("x"), bar.get("width")) for bar in svg.iter("rect")] == [("250.0", "70.0"), ("215.0", "35.0")]
    assert ElementTree.fromstring(charts.bars([])) is not None
