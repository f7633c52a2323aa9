from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.report._axes import spread
from ctxshrink.report.plots import Axis, Series, bars, front_of, line_chart, pareto, percent

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '</title><script>alert("x")</script> & ]]> \u202e\x00 名前'
places = st.floats(0, 500)
points = st.tuples(st.integers(0, 6), st.integers(0, 6))


def chart(series: list[Series], title: str = "quality") -> ET.Element:
    return ET.fromstring(pareto(title, series, x_label="kept", y_label="found", y_axis=Axis(form=percent, high=1.0)))


def words(root: ET.Element) -> list[str]:
    return [e.text or "" for e in root.iter(f"{SVG}text")]


def test_a_chart_names_its_lines_and_says_its_figures() -> None:
    root = chart([Series("ours", [(0.5, 0.9), (0.1, 0.6)], strong=True), Series("bm25", [(0.5, 0.8)])])
    assert root.attrib["role"] == "img"
    assert [e.tag.removeprefix(SVG) for e in root][:2] == ["title", "desc"]
    assert "ours: 60 % at 0.1, 90 % at 0.5" in (root[1].text or "")
    assert {"ours", "bm25", "kept", "found"} <= set(words(root))
    rings = [e for e in root.iter(f"{SVG}circle") if e.attrib["fill"] == "none"]
    assert len(rings) == 2  # bm25 is beaten
    assert all(float(e.attrib["font-size"]) >= 11 for e in root.iter(f"{SVG}text"))


def test_the_same_figures_are_the_same_bytes_and_the_order_of_points_is_none() -> None:
    first, second = ([Series("a", p)] for p in ([(1.0, 2.0), (3.0, 1.0)], [(3.0, 1.0), (1.0, 2.0)]))
    made = [line_chart("t", s, x_label="x", y_label="y") for s in (first, second)]
    assert made[0] == made[1]


def test_hostile_words_are_words() -> None:
    for svg in (
        pareto(EVIL, [Series(EVIL, [(1, 1)])], x_label=EVIL, y_label=EVIL, note=EVIL),
        bars(EVIL, [(EVIL, [(EVIL, 1.0)])], lambda _: EVIL),
    ):
        root = ET.fromstring(svg)
        assert not list(root.iter(f"{SVG}script"))
        assert "\u202e" not in svg
        assert '<script>alert("x")</script>' in (root[0].text or "")


@pytest.mark.parametrize("series", [[], [Series("none", [])], [Series("nan", [(math.nan, 1), (1, math.inf)])]])
def test_without_figures_there_is_an_empty_picture(series: list[Series]) -> None:
    root = chart(series)
    assert not list(root.iter(f"{SVG}circle"))
    assert root.attrib["width"]


def test_a_logarithmic_axis_leaves_out_what_it_cannot_show() -> None:
    series = [Series("a", [(0.0, 1.0), (10.0, 1.0), (1000.0, 2.0)])]
    root = ET.fromstring(line_chart("t", series, x_label="x", y_label="y", x_axis=Axis(log=True)))
    assert {"10", "100", "1k"} <= set(words(root))
    assert "1 at 10, 2 at 1k" in (root[1].text or "")


@settings(max_examples=30)
@given(st.lists(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=3), min_size=1, max_size=40))
def test_labels_never_overlap_and_stay_in_the_picture(lines: list[list[tuple[float, float]]]) -> None:
    root = chart([Series(f"method {i}", p) for i, p in enumerate(lines)])
    labels = [e for e in root.iter(f"{SVG}text") if (e.text or "").startswith("method")]
    heights = sorted(float(e.attrib["y"]) for e in labels)
    assert len(heights) == len(lines)
    assert all(b - a > 15 for a, b in itertools.pairwise(heights))
    assert heights[0] > 0
    assert heights[-1] < float(root.attrib["height"])


@given(st.lists(places, max_size=30), st.floats(1, 30))
def test_labels_are_moved_apart_in_order(wanted: list[float], gap: float) -> None:
    found = spread(wanted, gap, 0, 500)
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    assert all(found[b] - found[a] > gap - 1e-6 for a, b in itertools.pairwise(order))
    assert all(f > -1e-6 for f in found)
    if gap * len(found) <= 500:
        assert all(f < 500 + 1e-6 for f in found)


@given(st.lists(points, max_size=20))
def test_the_front_is_what_nothing_beats(given: list[tuple[int, int]]) -> None:
    def beaten(p: tuple[int, int]) -> bool:
        return any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in given)

    assert front_of(given) == sorted({p for p in given if not beaten(p)})


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
def test_a_linear_axis_holds_its_values_between_its_ticks(values: list[float]) -> None:
    scale = Axis().scale(values, 0, 100)
    assert 2 <= len(scale.ticks) <= 12
    assert all(-1e-3 <= scale(v) <= 100.001 for v in values)


def test_bars_are_as_long_as_their_values() -> None:
    root = ET.fromstring(bars("t", [("g", [("a", 4.0), ("b", 1.0)])], str))
    wide = [float(e.attrib["width"]) for e in root.iter(f"{SVG}rect")][1:]
    assert wide[0] == pytest.approx(4 * wide[1], rel=0.01)
    assert root[1].text == "g, a: 4.0; g, b: 1.0"
