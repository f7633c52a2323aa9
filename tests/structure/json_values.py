"""JSON values that are hard to write and to read back: strings that look like marks, nearly uniform records."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ctxshrink.structure._json_tree import Literal

_HOSTILE = st.sampled_from(
    [
        "",
        " ",
        " a",
        "a ",
        "- a",
        "-1",
        "007",
        "1.0",
        "null",
        "true",
        "…",
        "…3",
        "[…",
        "[…3]",
        "[… 3 rows omitted]",
        "a […2] b",
        "a|b",
        "a, b",
        "a: b",
        "a:1",
        'a, "b:c": d',
        "a, b: c",
        "a:b",
        "a:",
        ":",
        "{a}",
        "[b]",
        '"',
        'a"',
        "&1",
        "&1/x",
        "#x",
        "# x",
        "*a",
        "@3 b",
        "a=b",
        "a.b",
        "same as a",
        "all rows: a=1",
        "3 rows: a|b",
        "3 rows",
        "3 pairs:",
        "12 pairs",
        "a\nb",
        "a\r\nb",
        "\u2028",
        "\ud800",
        "\x00",
        "\u00a0x",
        "🙂",
        "https://example.org/a/b/c",
        "https://example.org/a/b/d",
        "long words " * 20,
        "One sentence here. Another one there […2]! " * 6,
        "[" + "… and so on. " * 20,
    ]
)
_STRINGS = st.one_of(_HOSTILE, st.text(max_size=12), st.sampled_from("abcdef"))
_LITERALS = st.sampled_from(
    [
        "0",
        "-0",
        "1.0",
        "1.00",
        "1e5",
        "-2E-3",
        "123456789012345678901234567890",
        "true",
        "false",
        "null",
        "NaN",
        "-Infinity",
    ]
).map(Literal)
_SCALARS: st.SearchStrategy[Any] = st.one_of(_STRINGS, _LITERALS)
_KEYS = st.one_of(st.sampled_from(["id", "name", "a", "b", "c d", "status"]), _STRINGS)


@st.composite
def _records(draw: st.DrawFn, children: st.SearchStrategy[Any]) -> list[Any]:
    """Nearly uniform objects."""
    keys = draw(st.lists(_KEYS, min_size=1, max_size=4, unique=True))
    fixed = draw(children)
    rows: list[Any] = []
    for _ in range(draw(st.integers(1, 5))):
        lost = draw(st.integers(0, 8))
        rows.append({k: fixed if i == 1 else draw(children) for i, k in enumerate(keys) if i != lost})
    return rows


def _grow(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(children, max_size=4),
        st.dictionaries(_KEYS, children, max_size=5),
        _records(children),
        _records(children).map(lambda rows: {str(i): row for i, row in enumerate(rows)}),
        _records(children).map(lambda rows: {f"x{i}": {"id": f"x{i}", **row} for i, row in enumerate(rows)}),
        st.lists(_records(children), min_size=1, max_size=3),
        st.lists(_records(_SCALARS), min_size=1, max_size=3),
        st.lists(_SCALARS, min_size=12, max_size=14).map(lambda v: {f"identifier{i}": x for i, x in enumerate(v)}),
        children.map(lambda c: {"first": c, "second": {"again": c}}),
    )


VALUES: st.SearchStrategy[Any] = st.recursive(_SCALARS, _grow, max_leaves=25)
