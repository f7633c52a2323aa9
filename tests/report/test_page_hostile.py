"""Whatever the texts hold: no script runs, nothing is loaded, nothing reorders or hides; and large data stays light."""

from __future__ import annotations

from typing import Any

from . import page_data
from .conftest import Opener, expect


def walk(page: Any) -> None:
    """Chooses every segment and opens everything that can be opened."""
    opened = "document.querySelectorAll('details').forEach((details) => { details.open = true; })"
    page.locator("#list").focus()
    page.keyboard.press("Home")
    for _ in range(page.evaluate("Number(document.querySelector('[role=option]').getAttribute('aria-setsize'))")):
        page.evaluate(opened)
        if page.locator("#heat").count() and not page.locator("#heat").is_checked():
            page.locator("#heat").check()
            page.locator("#list").focus()
        page.keyboard.press("ArrowDown")


def test_hostile_texts_are_inert(show: Opener) -> None:
    # `show` fails the test on any request, script error, violation of the policy or dialog.
    page = show(page_data.hostile())
    walk(page)
    page.locator("#q").fill("</script>")
    expect(page.locator("#list mark").first).to_have_text("</script>")
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("Object.prototype.polluted") is None
    page.evaluate("history.replaceState(null, '', '#c=0&s=1');dispatchEvent(new HashChangeEvent('hashchange'))")
    ours = {"header", "main", "footer", "dialog", "script", "a"}
    assert set(page.evaluate("[...document.body.children].map((e) => e.localName)")) <= ours
    assert page.locator("main iframe, main script, main object, main embed, main base, main meta, main b").count() == 0
    assert page.evaluate("[...document.images].every((image) => image.src.startsWith('data:image/svg+xml,'))")


def test_injected_markup_could_not_run(show: Opener) -> None:
    page = show(page_data.single(), refusals=True)
    page.evaluate("""() => {
      const script = document.createElement("script");
      try { script.textContent = "window.hacked = 1"; } catch (error) { window.refused = error.name; }
      const image = "<img src=x onerror='window.hacked = 2'>";
      try { document.body.innerHTML += image; } catch (error) { window.refused += error.name; }
    }""")
    assert page.evaluate("window.refused") == "TypeErrorTypeError"
    assert page.evaluate("window.hacked") is None


def test_invisible_characters_are_visible(show: Opener) -> None:
    page = show(page_data.hostile())
    shown = page.evaluate("document.body.innerText")
    for symbol in ("⟨RLO⟩", "⟨ZWSP⟩", "⟨LSEP⟩", "␀", "␛", "⟨U+D83D⟩", "⟨BOM⟩"):
        assert symbol in shown
    raw = page.evaluate("document.body.innerText.match(/[\\u202a-\\u202e\\u2066-\\u2069\\u200b\\u2028\\ufeff]/g)")
    assert raw is None
    assert "👩\u200d👧" in shown  # a joiner that makes one picture stays


def test_one_line_of_a_megabyte_is_shown_in_parts(show: Opener) -> None:
    page = show(page_data.hostile())
    page.locator("#q").fill("long line")
    expect(page.locator("#detail h3")).to_have_text("long line")
    assert page.evaluate("document.querySelectorAll('*').length") < 6000
    assert page.evaluate("document.querySelector('.texts').textContent.length") < 80_000
    before = page.locator(".textrow").count()
    page.get_by_role("button", name="Show more").click()
    assert before < page.locator(".textrow").count() < 3 * before + 3


def test_five_megabytes_keep_few_nodes(show: Opener) -> None:
    data = page_data.large()
    assert sum(map(len, data["texts"])) > 5_000_000
    page = show(data)
    expect(page.locator("#count")).to_have_text("6,000 segments")
    nodes = "document.querySelectorAll('*').length"
    assert page.evaluate(nodes) < 1500
    page.locator("#q").fill("record 4711.")
    expect(page.locator("#count")).to_have_text("1 of 6,000 segments")
    page.locator("#q").fill("")
    expect(page.locator("#count")).to_have_text("6,000 segments")
    page.locator("#list").focus()
    page.keyboard.press("End")
    expect(page.locator("#list [aria-selected=true]")).to_have_attribute("aria-posinset", "6000")
    page.evaluate("document.getElementById('list').scrollTop = 100000")
    expect(page.locator("#list [role=option]").nth(7)).to_be_in_viewport()
    page.locator("#facet-type").select_option("log")
    expect(page.locator("#count")).to_have_text("2,000 of 6,000 segments")
    assert page.evaluate(nodes) < 1500


def test_timeline_of_many_turns_is_a_few_paths(show: Opener) -> None:
    page = show(page_data.conversation(300))
    expect(page.locator("#scope")).to_contain_text("Turn 300")
    assert page.locator("#timeline svg *").count() < 80
    assert page.evaluate("document.querySelectorAll('*').length") < 1500
