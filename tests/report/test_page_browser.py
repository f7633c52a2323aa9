"""The page in a browser: choosing, filtering, searching, by mouse and by keyboard."""

from __future__ import annotations

import re
from typing import Any

from . import page_data
from .conftest import Opener, expect


def rows(page: Any) -> list[str]:
    return page.locator("#list .id").all_inner_texts()


def test_summary_and_attention_come_first(show: Opener) -> None:
    page = show(page_data.rag())
    headings = page.locator("main > section:not([hidden]) > h2").all_text_contents()
    assert headings == ["Summary", "Needs attention", "Segments", "Benchmark"]
    expect(page.locator(".headline")).to_have_text(re.compile(r"889.*→.*332.*tokens", re.DOTALL))
    expect(page.locator(".figures")).to_contain_text("63 % of 889")
    expect(page.locator(".figures")).to_contain_text("an estimate for your model")
    expect(page.locator("#attention")).to_contain_text("max_tokens=200 could not be met")
    assert rows(page)[0] == "doc-invoice"  # the fallback


def test_chosen_segment_is_shown_side_by_side(show: Opener) -> None:
    data = page_data.rag()
    page = show(data)
    page.get_by_role("option", name=re.compile("^doc-0")).click()
    expect(page.locator("#detail h3")).to_have_text("doc-0")
    segment = data["segments"][0]
    original, output = data["texts"][segment["in"]], data["texts"][segment["out"]]
    kept = [original[a:b] for a, b in segment["spans"]]
    assert page.locator(".cell.left .p-kept").all_text_contents() == kept
    assert page.locator(".cell.right .p-kept").all_text_contents() == kept
    assert "".join(page.locator(".cell.left").all_text_contents()) == original
    dropped = page.locator(".cell.left del").all_text_contents()
    assert sum(map(len, [*dropped, *kept])) + len(page.locator(".cell.left .p-space").all_text_contents()) == len(
        original
    )
    assert output.split(" ")[0] in "".join(page.locator(".cell.right").all_text_contents())
    expect(page.locator(".facts")).to_contain_text("0.012")


def test_attempts_open_with_their_features(show: Opener) -> None:
    page = show(page_data.rag())
    attempts = page.locator(".attempts details")
    expect(attempts).to_have_count(2)
    expect(attempts.nth(1)).to_have_attribute("open", "")
    expect(attempts.nth(1)).to_contain_text("TimeoutError: no answer in 2 s")
    expect(attempts.nth(0).locator("table")).to_be_hidden()
    attempts.nth(0).locator("summary").click()
    expect(attempts.nth(0)).to_contain_text("drops 'Invoice INV-2291")
    assert attempts.nth(0).locator("tbody tr").all_inner_texts() == ["coverage\t0.31", "facts_lost\t2"]


def test_filters_and_their_counts(show: Opener) -> None:
    page = show(page_data.rag())
    page.locator("#actions button", has_text="compressed").click()
    expect(page.locator("#count")).to_have_text("5 of 8 segments")
    page.locator("#facet-type").select_option("json")
    expect(page.locator("#count")).to_have_text("1 of 8 segments")
    assert rows(page) == ["tool-json"]
    page.locator("#facet-type").select_option("")
    page.locator("#actions button", has_text="compressed").click()
    page.locator("#facet-verdict").select_option("failed")
    expect(page.locator("#count")).to_have_text("1 of 8 segments")
    assert rows(page) == ["doc-invoice"]
    page.locator("#q").fill("nothing holds this")
    expect(page.locator("#none")).to_be_visible()
    expect(page.locator("#count")).to_have_text("0 of 8 segments")
    page.locator("#clear").click()
    expect(page.locator("#count")).to_have_text("8 segments")


def test_search_marks_hits_in_ids_reasons_and_texts(show: Opener) -> None:
    page = show(page_data.rag())
    page.locator("#q").fill("inv-2291")
    expect(page.locator("#count")).to_have_text("1 of 8 segments")
    expect(page.locator("#list mark")).to_have_text("INV-2291")
    expect(page.locator(".texts mark")).to_have_text("INV-2291")
    page.locator("#q").fill("TOOL-")
    expect(page.locator("#list mark")).to_have_text("tool-")
    page.locator("#q").fill("(.*)+$")  # no pattern: these very characters
    expect(page.locator("#count")).to_have_text("0 of 8 segments")


def test_whole_walk_by_keyboard(show: Opener) -> None:
    page = show(page_data.rag())
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("doc-")
    expect(page.locator("#count")).to_have_text("6 of 8 segments")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#list")).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator("#detail h3")).to_have_text("doc-3")
    active = page.locator("#list").get_attribute("aria-activedescendant")
    expect(page.locator(f"#{active}")).to_have_attribute("aria-selected", "true")
    expect(page.locator(f"#{active}")).to_have_attribute("aria-posinset", "6")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#detail h3")).to_have_text("doc-2")
    page.keyboard.press("h")
    expect(page.locator("#heat")).to_be_checked()
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    expect(page.locator("#q")).to_have_value("")
    page.keyboard.press("Escape")
    expect(page.locator("#list")).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()


def test_heat_has_levels_without_colour(show: Opener) -> None:
    page = show(page_data.rag())
    page.get_by_role("option", name=re.compile("^doc-1")).click()
    expect(page.locator(".heated")).to_have_count(0)
    page.locator("#heat").check()
    assert page.locator(".cell.left [class^=h]").count() > 50
    expect(page.locator("#heat-legend")).to_contain_text("surprisal, embedded scorer, nats")
    high = page.evaluate(
        "['h1', 'h9'].map((c) => getComputedStyle(document.querySelector('.scale .' + c)).backgroundImage)"
    )
    assert "10%" in high[0]
    assert "100%" in high[1]  # the height of a bar, not only its colour


def test_rendering_and_original(show: Opener) -> None:
    page = show(page_data.rag())
    page.get_by_role("option", name=re.compile("^tool-json")).click()
    expect(page.locator(".texthead")).to_contain_text("Rendering it was selected from")
    assert [t.strip() for t in page.locator(".cell .p-added").all_inner_texts()] == ["[… 1 line omitted]"]
    page.locator("#base").select_option("1")
    expect(page.locator(".reading")).to_contain_text("not aligned")
    expect(page.locator(".cell.left").first).to_contain_text('"city": "Lyon"')


def test_ranges_count_characters_not_utf16_units(show: Opener) -> None:
    b = page_data.Builder()
    text = "😀😀 first. 𝒳 second 😀. third."
    start, end = text.index("𝒳"), text.index(" third")
    index = b.segment("s", text, "compressed", out=b.text(text[start:end]), spans=[[start, end]], after=3)
    page = show(b.data([b.call(0, [(index, 0)])]))
    assert page.locator(".cell .p-kept").all_inner_texts()[0] == "𝒳 second 😀."


def test_place_is_in_the_address(show: Opener) -> None:
    data = page_data.conversation(24)
    page = show(data)
    page.locator(".chart").focus()
    page.keyboard.press("Home")
    expect(page.locator("#scope")).to_contain_text("Turn 1")
    expect(page.locator("#count")).to_have_text("3 segments")
    page.locator("#list").focus()
    page.keyboard.press("End")
    address = page.evaluate("location.hash")
    assert re.fullmatch(r"#c=0&s=\d+", address)
    name = page.locator("#detail h3").inner_text()
    other = show(data, address=address)
    expect(other.locator("#detail h3")).to_have_text(name)
    expect(other.locator("#scope")).to_contain_text("Turn 1")
    broken = show(data, address="#c=99&s=%3Cscript%3E")
    expect(broken.locator("#scope")).to_contain_text("Turn 24")


def test_what_no_guardrail_judged_has_no_risk(show: Opener) -> None:
    data = page_data.rag()
    data["segments"] = [{**segment, "score": None} for segment in data["segments"]]
    data["calls"] = [{**call, "risk": 0.0} for call in data["calls"]]
    expect(show(data).get_by_text("no guardrail judged anything")).to_be_visible()
    expect(show(page_data.rag()).get_by_text("no guardrail judged anything")).to_have_count(0)
