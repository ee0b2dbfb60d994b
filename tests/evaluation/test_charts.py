"""Charts are well-formed SVG whose marks lie where the numbers say."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from hamer.evaluation import reliability, reliability_svg
from hamer.evaluation.charts import Chart, side_by_side, ticks

SVG = "{http://www.w3.org/2000/svg}"


def circles(svg: str) -> np.ndarray:
    root = ElementTree.fromstring(svg)
    return np.array([[float(c.get("cx")), float(c.get("cy"))] for c in root.iter(f"{SVG}circle")])


def test_points_lie_on_the_axes() -> None:
    chart = Chart("t", x_label="x", y_label="y", x_range=(0, 1), y_range=(0, 10), width=300, height=200)
    chart.line([0, 0.5, 1], [0, 5, 10], dots=True)
    found = circles(chart.svg())
    np.testing.assert_allclose(found[1], found[[0, 2]].mean(0), atol=0.11)  # pixels are written with one decimal
    assert found[0, 0] < found[2, 0]
    assert found[0, 1] > found[2, 1]  # up is a smaller row
    np.testing.assert_array_equal(found[0], [64, 148])


def test_texts_are_escaped_and_gaps_left() -> None:
    chart = Chart("a < b & c", x_label="<x>", y_label="y")
    chart.line([0, 1, 2, 3, 4], [1, 2, np.nan, 3, 4], "with <gap>")
    chart.band([0, 1], [0, 0], [1, 1], "band")
    svg = chart.svg()
    root = ElementTree.fromstring(svg)
    assert root.find(f"{SVG}title").text == "a < b & c"
    assert {"<x>", "with <gap>", "band"} <= {t.text for t in root.iter(f"{SVG}text")}
    assert (
        sum(p.get("stroke-width") == "2" and p.get("d").startswith("M0") is False for p in root.iter(f"{SVG}path")) == 2
    )
    assert "nan" not in svg.lower()


def test_bars_and_charts_side_by_side() -> None:
    chart = Chart("bars", x_label="", y_label="mm", y_range=(0, 10), height=192)
    chart.bars(["a", "b"], [5, np.nan])
    chart.bars(["a", "b"], [10, 2.5], "other")
    both = side_by_side([chart, Chart("empty", x_label="x", y_label="y")])
    root = ElementTree.fromstring(both)
    assert [c.get("x") for c in root.findall(f"{SVG}svg")] == ["0", "520"]
    columns = [float(r.get("height")) for r in root.iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]
    np.testing.assert_allclose(columns, [50, 100, 25])  # the axis is 100 pixels high


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0.31, 0.93, [0.4, 0.6, 0.8]), (-3, 27, [0, 5, 10, 15, 20, 25]), (2, 2, [2])],
)
def test_ticks_are_round(low, high, expected) -> None:
    assert ticks(low, high) == expected


@pytest.mark.parametrize("n", [1, 2, 500])
def test_reliability_is_drawn_for_any_number_of_hands(n: int) -> None:
    rng = np.random.default_rng(n)
    svg = reliability_svg(reliability(rng.random(n), rng.random(n)), error="mm", score="score")
    assert len(list(ElementTree.fromstring(svg))) == 2
    assert "nan" not in svg.lower()


def test_chart_names_what_is_wrong() -> None:
    chart = Chart("t", x_label="x", y_label="y")
    with pytest.raises(ValueError, match=r"of one length, got \(2,\) and \(3,\)"):
        chart.line([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="as many names as heights"):
        chart.bars(["a"], [1, 2])
