"""Plain documents: strings and dicts, there and back."""

from __future__ import annotations

import copy
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.documents import parse_documents
from ctxshrink.errors import ConfigError, FormatError
from tests.strategies import PROPERTY, documents


def text_of(doc: Any) -> str:
    return doc if isinstance(doc, str) else doc["text"]


@PROPERTY
@given(documents())
def test_one_segment_per_document_and_the_same_back(docs: list[Any]) -> None:
    before = copy.deepcopy(docs)
    parsed = parse_documents(docs)
    assert [s.text for s in parsed.segments] == [text_of(doc) for doc in docs]
    assert [s.id for s in parsed.segments] == [str(i) for i in range(len(docs))]
    assert {(s.kind, s.age, s.empty) for s in parsed.segments} <= {("document", 0, "")}
    assert parsed.rebuild({s.id: s.text for s in parsed.segments}) == before
    assert docs == before


@PROPERTY
@given(documents(), st.data())
def test_outputs_replace_only_unlocked_texts(docs: list[Any], data: st.DataObject) -> None:
    before = copy.deepcopy(docs)
    parsed = parse_documents(docs)
    outputs = {s.id: data.draw(st.sampled_from(("", "short"))) for s in parsed.segments}
    rebuilt = parsed.rebuild(outputs)
    assert docs == before
    for doc, new, segment in zip(docs, rebuilt, parsed.segments, strict=True):
        assert type(new) is type(doc)
        assert text_of(new) == (segment.text if segment.locked else outputs[segment.id])
        if isinstance(doc, dict):
            assert {**new, "text": doc["text"]} == doc
            assert list(new) == list(doc)


def test_repeated_ids_do_not_collide() -> None:
    docs = [{"id": "a", "text": "one"}, {"id": "a", "text": "two"}, "two"]
    parsed = parse_documents(docs)
    assert parsed.rebuild({"1": "x"}) == [docs[0], {"id": "a", "text": "x"}, "two"]


def test_titles_types_and_pins() -> None:
    docs = [
        {"text": '{"a": [1, 2, 3], "b": {"c": null}}', "title": "Prices"},
        {"text": "Kept.", "pin": True},
        {"text": "Not kept.", "pin": False, "title": 4},
        "Last.",
    ]
    segments = parse_documents(docs, pin=[-1]).segments
    assert [s.title for s in segments] == ["Prices", "", "", ""]
    assert segments[0].content_type == "json"
    assert [s.lock_reason for s in segments] == [None, "pinned by the caller", None, "pinned by the caller"]
    called = parse_documents(docs, pin=lambda doc: doc == "Last.").segments
    assert [s.locked for s in called] == [False, True, False, True]


def test_mapping_types_survive_and_results_share_nothing() -> None:
    ordered = OrderedDict(text="a", tags=["t"])
    frozen = MappingProxyType({"text": "b", "n": 1})
    plain = {"text": "c", "tags": ["t"]}
    rebuilt = parse_documents((ordered, frozen, plain)).rebuild({"0": "x", "1": "y"})
    assert rebuilt == [OrderedDict(text="x", tags=["t"]), {"text": "y", "n": 1}, plain]
    assert type(rebuilt[0]) is OrderedDict
    rebuilt[2]["tags"].append("more")
    assert (ordered["text"], frozen["text"], plain["tags"]) == ("a", "b", ["t"])


@pytest.mark.parametrize("text", ["", " ", "\ud800", "a\x00b", "x" * 200_000])
def test_odd_texts_survive(text: str) -> None:
    parsed = parse_documents([text, {"text": text}])
    assert parsed.rebuild({}) == [text, {"text": text}]


@pytest.mark.parametrize(
    ("docs", "match"),
    [
        ("one text", "got str: use shrink_text"),
        (None, "got NoneType"),
        ({"text": "x"}, "got dict: pass a list"),
        ([3], "document 0 must be .* got int"),
        (["x", {"id": 1}], "document 1 has no text"),
        ([{"text": b"x"}], "document 0 has a text of type bytes"),
    ],
)
def test_what_is_no_document_is_refused(docs: Any, match: str) -> None:
    with pytest.raises(FormatError, match=match):
        parse_documents(docs)


def test_a_pin_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="index 1"):
        parse_documents(["x"], pin=[1])


def test_no_documents() -> None:
    assert parse_documents([]).rebuild({}) == []
