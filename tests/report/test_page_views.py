"""Every view without a violation of axe's accessibility rules, light and dark, wide, narrow and printed."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest

from . import page_data
from .conftest import Axe, Opener, expect

PLOT = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><title>Front &amp; share</title></svg>'


def check(page: Any, part: str | None = None) -> None:
    """No violation in the page, or in a part of it: the whole of a large page takes seconds."""
    found = Axe().run(page, part)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_documents(show: Opener, theme: str) -> None:
    page = show(page_data.rag(), color_scheme=theme)
    page.get_by_role("option", name=re.compile("^doc-0")).click()
    page.locator("#heat").check()
    page.locator("#q").fill("crane")
    expect(page.locator(".texts mark").first).to_be_visible()
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    check(page)
    page.locator("#q").fill("")
    page.locator("#help-open").click()
    check(page, "#help")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_conversation(show: Opener, theme: str) -> None:
    page = show(page_data.conversation(14), color_scheme=theme)
    page.locator("#timeline summary").click()
    page.locator("#stack").select_option("age")
    check(page, "#timeline")
    page.locator("#timeline summary").click()
    page.get_by_role("button", name="All turns").click()
    expect(page.locator("#scope")).to_contain_text("each record once")
    check(page)


@pytest.mark.parametrize("name", ["single", "nothing", "hostile"])
def test_other_views(show: Opener, name: str) -> None:
    check(show(getattr(page_data, name)()))


def test_theme_switch_wins_over_the_system(show: Opener) -> None:
    page = show(page_data.single(), color_scheme="light")
    shade = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(shade)
    page.locator("#theme").select_option("dark")
    dark = page.evaluate(shade)
    assert light != dark
    page.emulate_media(color_scheme="dark")
    page.locator("#theme").select_option("light")
    assert page.evaluate(shade) == light
    page.locator("#theme").select_option("")
    assert page.evaluate(shade) == dark


@pytest.mark.parametrize("name", ["rag", "conversation", "hostile"])
def test_narrow_screens_do_not_scroll_sideways(show: Opener, name: str) -> None:
    data = page_data.conversation(30) if name == "conversation" else getattr(page_data, name)()
    page = show(data, viewport={"width": 360, "height": 740})
    expect(page.locator("#list [role=option]").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.locator("#list [role=option]").nth(1).click()
    expect(page.locator("#detail h3")).to_be_in_viewport()
    if name == "rag":
        check(page, "#explorer")
    page.get_by_role("button", name="Back to the list").click()
    expect(page.locator("#list")).to_be_focused()
    expect(page.locator("#list")).to_be_in_viewport()


def test_twice_the_size_is_usable(show: Opener) -> None:
    # 200 % zoom of a 1280 x 900 window is a viewport of half the size at twice the density.
    page = show(page_data.rag(), viewport={"width": 640, "height": 450}, device_scale_factor=2)
    assert page.evaluate("document.documentElement.scrollWidth") == 640
    page.evaluate("document.documentElement.style.fontSize = '32px'")
    page.get_by_role("option", name=re.compile("^doc-empty")).click()
    expect(page.locator("#detail h3")).to_have_text("doc-empty")
    boxes = [row.bounding_box() for row in page.locator("#list [role=option]").all()]
    assert all(a["y"] + a["height"] <= b["y"] + 1 for a, b in pairwise(boxes))


def test_print_shows_the_figures_and_no_controls(show: Opener) -> None:
    page = show(page_data.rag())
    page.locator("#theme").select_option("dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    paper = "['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name])"
    assert page.evaluate(paper) == ["rgb(28, 32, 36)", "rgb(255, 255, 255)"]
    expect(page.locator(".paper tbody tr")).to_have_count(8)
    expect(page.locator("button:visible")).to_have_count(0)
    expect(page.locator(".headline")).to_be_visible()
    expect(page.locator("#attention")).to_be_visible()
    for control in (".filters", ".tools", ".listpane"):
        expect(page.locator(control)).to_be_hidden()


def test_timeline_is_a_slider_and_a_table(show: Opener) -> None:
    page = show(page_data.conversation(60))
    slider = page.get_by_role("slider", name="Turn")
    expect(slider).to_have_attribute("aria-valuenow", "60")
    slider.focus()
    page.keyboard.press("PageDown")
    expect(slider).to_have_attribute("aria-valuenow", "50")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^Turn 50: .* tokens, "))
    box = slider.bounding_box()
    slider.click(position={"x": 46, "y": box["height"] / 2})
    expect(slider).to_have_attribute("aria-valuenow", "1")
    expect(page.locator("#scope")).to_contain_text("Turn 1")
    page.locator("#timeline summary").click()
    expect(page.locator("#timeline tbody tr")).to_have_count(50)
    page.get_by_role("button", name="Later turns").click()
    expect(page.locator("#timeline tbody tr")).to_have_count(10)
    page.get_by_role("button", name="Turn 60", exact=True).click()
    expect(slider).to_have_attribute("aria-valuenow", "60")
    expect(page.locator(".rewrote")).to_have_attribute("d", re.compile("(M.*){5}"))


def test_what_became_of_a_segment(show: Opener) -> None:
    page = show(page_data.conversation(40))
    page.locator("#actions button", has_text="frozen").click()
    expect(page.locator("#count")).to_have_text(re.compile(" of "))
    past = page.locator(".past tbody tr")
    said = past.all_inner_texts()
    assert any("rewritten" in row for row in said)
    assert said[-1].endswith("same bytes")
    past.first.get_by_role("button").click()
    expect(page.locator("#scope strong").first).to_have_text(re.compile(r"^Turn \d+$"))


def test_bench_alone(show: Opener) -> None:
    data = page_data.nothing()
    left = {"title": "rag, keep 0.25", "caption": "20 records", "columns": ["method", "set", "kept"], "left": 2}
    data["bench"] = {"tables": [left | {"rows": [["ctxshrink", "squad", "82.1"]]}], "plots": {"front": PLOT}}
    page = show(data)
    expect(page.locator("main > section:not([hidden])")).to_have_count(1)
    expect(page.get_by_role("img", name="Front & share")).to_be_visible()
    expect(page.locator("#bench")).to_contain_text("20 records")
    assert page.locator("#bench tbody .number").all_inner_texts() == ["82.1"]
    check(page)


def test_questions_over_documents_are_calls_and_not_turns(show: Opener) -> None:
    b = page_data.Builder()
    calls = []
    for i in range(3):
        sentences = ["The crane lifts.", f"Permit {i}.", "Rain."]
        entry = b.extract(f"doc-{i}", sentences, [1])
        calls.append(b.call(i + 1, [(entry, 0)], query=b.text(f"Which permit is {i}?"), conversation=None))
    page = show(b.data(calls))
    slider = page.get_by_role("slider", name="Call")
    expect(page.locator("#scope")).to_contain_text("Which permit is 2?")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^Call 2: "))
    expect(page.locator("#scope")).to_contain_text("Which permit is 1?")
    expect(page.locator("#detail h3")).to_have_text("doc-1")
