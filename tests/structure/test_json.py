"""JSON layouts: nothing is lost, every choice of units reads back as what it is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.structure._json_read import read
from ctxshrink.structure._json_scan import Omitted
from ctxshrink.structure._json_tree import Node, parse, same
from ctxshrink.structure.decode import decode
from ctxshrink.structure.json import compact, layout
from ctxshrink.structure.layout import Layout
from tests.structure.json_values import VALUES


@given(VALUES)
@settings(max_examples=250, deadline=None)
def test_reads_back_exactly(root: Node) -> None:
    made = compact(root)
    if made is None:
        assert not isinstance(root, dict | list) or not root
        return
    assert same(read(made.text), root)
    _well_formed(made)
    again = compact(root)
    assert again is not None
    assert again == made


@given(VALUES, st.data())
@settings(max_examples=250, deadline=None)
def test_every_choice_shows_what_it_keeps_and_that_it_is_not_all(root: Node, data: st.DataObject) -> None:
    made = compact(root)
    if made is None:
        return
    n = len(made.spans)
    kept = sorted(data.draw(st.sets(st.integers(0, n - 1))))
    assert made.renderer is not None
    for short in (False, True):
        text = made.renderer(kept, short)
        if len(kept) == n:
            assert text == made.text
            continue
        for i in kept:
            s, e = made.spans[i]
            assert made.text[s:e] in text
        if text == made.text:
            # The keys of kept rows come along: they may be all that is not chosen.
            continue
        if kept:
            found = read(text)
            assert _omitted(found) > 0
            _agrees(found, root)
        assert "…" in text


def _agrees(found: Any, root: Any, lost: bool = False) -> None:
    """Whatever a pruned form says stands at the same path in the whole; what it does not say is marked and counted."""
    if isinstance(found, Omitted):
        at = 0
        for piece in re.split(r" ?\[… ?[0-9]+(?: [a-z]+ omitted)?\] ?", found.text) if found.text else ():
            at = root.index(piece, at) + len(piece)
    elif isinstance(root, dict):
        lost = lost or ... in found
        assert lost or found.keys() == root.keys()
        for key in found.keys() - {...}:
            _agrees(found[key], root[key], lost)
    elif isinstance(root, list):
        at = 0
        for item in found:
            gone = isinstance(item, Omitted) and not item.text
            if not gone:
                _agrees(item, root[at], lost)
            at += item.count if gone else 1
        assert at == len(root)
    else:
        assert same(found, root)


def _well_formed(made: Layout) -> None:
    n = len(made.spans)
    assert n
    assert len(made.parents) == len(made.weights) == len(made.labels) == len(made.groups) == n
    assert list(made.groups) == sorted(made.groups)
    assert all(w >= 0 for w in made.weights)
    end = 0
    for s, e in made.spans:
        assert end <= s < e
        end = e
    assert end <= len(made.text)


def _omitted(value: Any) -> int:
    if isinstance(value, Omitted):
        return value.count
    if isinstance(value, dict):
        return sum(map(_omitted, value.values()))
    return sum(map(_omitted, value)) if isinstance(value, list) else 0


FLIGHTS = json.dumps(
    [
        {
            "number": f"HA{i:03d}",
            "status": "available",
            "date": "2024-05-24",
            "zip": f"0{i}123",
            "prices": {"economy": 100 + i, "business": 300.50 + i},
        }
        for i in range(6)
    ]
)


def test_a_uniform_array_is_a_table_with_every_name_once() -> None:
    made = layout(FLIGHTS)
    assert made is not None
    assert made.text.startswith(
        "6 rows: number|zip|prices.economy|prices.business\n"
        "all rows: @2 status=available|date=2024-05-24\n"
        "HA000|00123|100|300.5\n"
    )
    assert decode(made.text) == json.loads(FLIGHTS)
    assert "number" in made.labels
    assert len(set(made.groups)) == 7


def test_a_pruned_table_counts_rows_and_columns_in_place() -> None:
    made = layout(FLIGHTS)
    assert made is not None
    assert made.renderer is not None
    kept = [i for i, (s, e) in enumerate(made.spans) if made.text[s:e] in ("HA001", "HA004", "101", "status=available")]
    text = made.renderer(kept, False)
    assert text == (
        "6 rows: number|prices.economy|…3\nall rows: @2 status=available\n[…1]\nHA001|101\n[…2]\nHA004|…\n[…1]"
    )
    rows = decode(text)
    assert rows[0] == Omitted(1)
    assert rows[1] == {"number": "HA001", "status": "available", "prices": {"economy": 101}, ...: Omitted(3)}
    assert rows[3]["prices"]["economy"] == Omitted(1)


def test_an_object_of_objects_is_a_table_with_keys() -> None:
    value = {f"card_{i}": {"source": "card", "id": f"card_{i}", "last": f"000{i}"} for i in range(4)}
    made = layout(json.dumps({"methods": value}))
    assert made is not None
    assert "methods: 4 rows by id: id|last\n all rows: source=card\n card_0|0000\n" in made.text
    assert decode(made.text) == {"methods": value}


def test_missing_null_and_empty_differ() -> None:
    rows = [{"a": 1, "b": None}, {"a": 2}, {"a": 3, "b": ""}, {"a": 4, "b": "null"}, {"a": 5, "b": "x"}]
    made = layout(json.dumps(rows))
    assert made is not None
    assert made.text == '5 rows: a|b\n1|null\n2|\n3|""\n4|"null"\n5|x'
    assert decode(made.text) == rows


def test_numbers_keep_their_spelling() -> None:
    text = '{"a": 1.00, "b": 1e5, "c": 123456789012345678901234567890, "d": "007", "e": "12"}'
    made = layout(text)
    assert made is not None
    assert made.text == 'a:1.00\nb:1e5\nc:123456789012345678901234567890\nd:007\ne:"12"'
    assert decode(made.text) == json.loads(text)


def test_shared_prefixes_and_equal_objects_are_written_once() -> None:
    user = {
        "login": "ada",
        "url": "https://api.example.org/users/ada",
        "repos": "https://api.example.org/users/ada/repos",
        "gists": "https://api.example.org/users/ada/gists{/id}",
    }
    value = {"sender": user, "repository": {"id": 7, "owner": user}}
    made = layout(json.dumps(value))
    assert made is not None
    assert made.text == (
        "&1=https://api.example.org/users/ada\n"
        "sender:\n login: ada\n url: &1\n repos: &1/repos\n gists: &1/gists{/id}\n"
        "repository:\n id:7\n owner: same as sender"
    )
    assert decode(made.text) == value
    refers = next(i for i, (s, e) in enumerate(made.spans) if "same as" in made.text[s:e])
    target = made.parents[refers]
    assert made.text[slice(*made.spans[target])] == "login: ada"
    assert all(p == -1 for i, p in enumerate(made.parents) if i != refers)


def test_long_strings_lose_sentences_and_say_so() -> None:
    body = "The build failed on step 3. " + "Nothing else happened that day. " * 8 + "See ticket AB-1234."
    made = layout(json.dumps({"id": 12345, "body": body, "other": None}))
    assert made is not None
    assert made.renderer is not None
    first = next(i for i, (s, e) in enumerate(made.spans) if "step 3" in made.text[s:e])
    text = made.renderer([0, first], False)
    assert text.startswith("id:12345\nbody: The build failed on step 3. […9]\n[…1]")
    found = decode(text)
    assert found["id"] == 12345
    assert found["body"].count == 9
    assert found[...] == Omitted(1)


def test_many_ids_are_pairs() -> None:
    value = {f"7f3a11c2-{i:04d}": f"9e0b4d5a-{i * 7:04d}" for i in range(15)}
    made = layout(json.dumps({"keys": value}))
    assert made is not None
    assert made.text.startswith("keys: 15 pairs:\n 7f3a11c2-0000 9e0b4d5a-0000\n")
    assert decode(made.text) == {"keys": value}
    assert made.renderer is not None
    text = made.renderer([3], True)
    assert text == "keys: 15 pairs:\n […3]\n 7f3a11c2-0003 9e0b4d5a-0021\n […11]"
    assert decode(text) == {"keys": {"7f3a11c2-0003": "9e0b4d5a-0021", ...: Omitted(14)}}


def test_json_lines_are_a_table() -> None:
    lines = "\n".join(json.dumps({"level": "info", "n": i}) for i in range(5)) + "\n"
    made = layout(lines)
    assert made is not None
    assert decode(made.text) == [json.loads(line) for line in lines.splitlines()]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a": 1',
        '{"a": 1, "a": 2}',
        '{"a": 1} {"b": 2}',
        "3",
        '"words"',
        "[]",
        "{}",
        "words",
        "[" * 100_000,
        "[" * 100 + "]" * 100,
        '{"a":' * 100 + "1" + "}" * 100,
    ],
)
def test_what_cannot_be_told_back_stands_as_it_is(text: str) -> None:
    assert layout(text) is None


def test_parse_keeps_kinds_apart() -> None:
    root = parse('{"a": "1", "b": 1}')
    assert isinstance(root, dict)
    assert not same(root["a"], root["b"])
