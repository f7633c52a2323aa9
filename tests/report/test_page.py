"""The page as text: self-contained, the same bytes for the same data, and nothing in it that data could end."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.report.page import embedded_json, fragment, page

from . import page_data


class Elements(HTMLParser):
    """Collects start tags with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.inside.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.inside[-1] += data


def test_same_data_same_bytes() -> None:
    assert page(page_data.rag()) == page(page_data.rag())
    assert fragment(page_data.rag()) == fragment(page_data.rag())


@pytest.mark.parametrize("name", ["rag", "hostile", "nothing"])
def test_policy_allows_its_own_script_and_style_alone(name: str) -> None:
    found = Elements(page(getattr(page_data, name)()))
    policy = next(
        a["content"] for t, a in found.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    style, data, script = found.inside
    for text, directive in ((style, "style-src"), (script, "script-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert json.loads(data)["version"] == 1
    assert [tag for tag, _ in found.tags if tag in ("script", "style")] == ["style", "script", "script"]
    assert not [a for _, a in found.tags if "src" in a or any(n.startswith("on") for n in a)]


def test_nothing_is_loaded() -> None:
    text = page(page_data.single())
    assert re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z0-9.-]+[a-z]", text) == [
        "http://www.w3.org"
    ]  # the name of SVG's namespace
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket|innerHTML|eval\(|new Function", text)


@given(st.text(st.characters(), max_size=40))
def test_embedded_json_says_what_it_was_given(value: str) -> None:
    text = embedded_json({"texts": [value]})
    text.encode()
    assert not re.search("[<>&\u2028\u2029\ud800-\udfff\u202a-\u202e]", text)
    assert json.loads(text)["texts"] == [re.sub("[\ud800-\udbff][\udc00-\udfff]", "\ufffd\ufffd", value)]


def test_numbers_that_json_lacks_become_null() -> None:
    found = json.loads(embedded_json({"a": [float("nan"), {"b": float("-inf")}, 0.5], "c": (1, float("inf"))}))
    assert found == {"a": [None, {"b": None}, 0.5], "c": [1, None]}


def test_title_is_text() -> None:
    made = page(page_data.single() | {"title": "</title><script>alert(1)</script>\u202e"})
    assert "<title>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;\ufffd</title>" in made


def test_fragment_shows_what_was_left_out() -> None:
    made = fragment(page_data.rag())
    assert "max_tokens=200 could not be met" in made
    assert "<del>" in made
    assert made.index("doc-invoice") < made.index("doc-0")  # what needs attention comes first
    assert "counted by embedded, an estimate" in made
    assert "<script" not in made


def test_fragment_is_bounded_and_counts_the_rest() -> None:
    data = page_data.conversation(40)
    made = fragment(data)
    assert made.count("<tr>") == 21
    assert f"{len(data['calls'][-1]['segments']) - 20} more segments" in made
    assert len(fragment(page_data.hostile())) < 60_000


def test_fragment_of_hostile_data_has_no_element_of_it() -> None:
    made = fragment(page_data.hostile())
    tags = {tag for tag, _ in Elements(made).tags}
    allowed = {
        "section",
        "style",
        "p",
        "strong",
        "table",
        "thead",
        "tr",
        "th",
        "tbody",
        "td",
        "bdi",
        "details",
        "summary",
    }
    assert tags <= allowed | {"pre", "del", "div"}
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\u2028\ud800-\udfff\x00]", made)


def test_fragment_without_calls() -> None:
    data: dict[str, Any] = page_data.nothing()
    assert "No calls." in fragment(data)
