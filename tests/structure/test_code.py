from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.structure import _grammars
from ctxshrink.structure.code import layout
from tests.structure.sources import CPP, GO, JAVA, PYTHON, RUST, SCRIPT
from tests.structure.test_diff import check


@pytest.fixture(params=["grammars", "outline"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "outline":
        monkeypatch.setattr(_grammars, "_grammar", lambda _: None)
    else:
        pytest.importorskip("tree_sitter")
        pytest.importorskip("tree_sitter_python")
    return request.param


def at(made, piece: str) -> int:  # type: ignore[no-untyped-def]
    return next(i for i, (s, e) in enumerate(made.spans) if piece in made.text[s:e])


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("text", "line", "label"),
    [
        (PYTHON, "return len", "Store.size"),
        (PYTHON, "raise KeyError", "Store.put"),
        (PYTHON, "store = Store()", "main"),
        (JAVA, "this.name = name", "Greeter.Greeter"),
        (JAVA, 'return "Hello', "Greeter.greet"),
        (GO, "return err", "Run"),
        (GO, "port int", "Server"),
        (CPP, "return w_", "Shape.Area"),
        (CPP, "return 2", "Shape::Perimeter"),
        (RUST, "write!", "Point.fmt"),
        (SCRIPT, "return a + b", "add"),
        (SCRIPT, "return items", "Cart.total"),
    ],
)
def test_bodies_are_named_after_what_they_are_part_of(text: str, line: str, label: str) -> None:
    made = layout(text)
    assert made is not None
    assert made.labels[at(made, line)].endswith(label)


@pytest.mark.usefixtures("way")
def test_bodies_hang_on_signatures_and_signatures_on_classes() -> None:
    made = layout(PYTHON)
    assert made is not None
    line = at(made, "raise KeyError")
    chain = []
    while line >= 0:
        chain.append(made.text[slice(*made.spans[line])].strip())
        line = made.parents[line]
    assert chain == [
        "raise KeyError(key)",
        ") -> None:",
        "value: object,",
        "key: str,",
        "self,",
        "def put(",
        "class Store:",
    ]
    assert made.parents[at(made, "@property")] == at(made, "def size")
    assert made.groups[at(made, "def put(")] == made.groups[at(made, ") -> None")]


@pytest.mark.usefixtures("way")
def test_weights() -> None:
    made = layout(PYTHON)
    assert made is not None
    order = ["Copyright", "import os", "a remark", "store.put", "raise KeyError", "LIMIT", '"""Holds', "class Store"]
    weights = [made.weights[at(made, piece)] for piece in order]
    assert weights == sorted(weights)
    assert weights[0] < 0.5 < 1 < weights[-1]


def test_a_gap_inside_a_long_line_is_counted_in_characters() -> None:
    long = "call(" + ", ".join(f"argument_{i}" for i in range(400)) + ")"
    made = layout(f"def f():\n    {long}\n    return 1\n    # end")
    assert made is not None
    assert made.renderer is not None
    (a, b), c, d = made.spans[2], made.spans[3][0], made.spans[4][1]
    out = made.renderer([i for i in range(len(made.spans)) if i not in (3, 4)], False)
    assert f" [… {d - c} characters omitted] " in out
    assert made.text[a:b] in out


def test_strings_of_three_quotes_are_told_from_code() -> None:
    inside = 'x = """\nclass No:\n    def no():\n"""\ndef yes():\n    """First.\n\n    Later."""\n    return 1\n'
    made = layout(inside)
    assert made is not None
    assert made.labels[at(made, "def no")] == ""
    assert made.labels[at(made, "return 1")] == "yes"
    assert made.weights[at(made, "First")] > made.weights[at(made, "def no")] > made.weights[at(made, "Later")]
    cut = 'the end of a docstring\n"""\nimport os\n\ndef yes():\n    """What it does."""\n    return 1\n'
    made = layout(cut)
    assert made is not None
    assert made.labels[at(made, "return 1")] == "yes"


def test_the_text_stays_and_bodies_give_way_to_one_marker() -> None:
    made = layout(PYTHON)
    assert made is not None
    assert made.renderer is not None
    keep = [at(made, "class Store"), at(made, "def size"), at(made, "raise KeyError"), at(made, "store.put")]
    assert made.renderer(keep, False) == (
        "[… 6 lines omitted]\n"
        "class Store:\n"
        "    [… 6 lines omitted]\n"
        "    def size(self) -> int:\n"
        "        [… 10 lines omitted]\n"
        "            raise KeyError(key)\n"
        "        [… 5 lines omitted]\n"
        '    store.put("a", 1)'
    )


@pytest.mark.parametrize("form", ["{}:{}", "{:6}\t{}", "{:>4}| {}", "{:>5}→{}"])
def test_line_numbers_are_seen_through(form: str) -> None:
    body = "\n".join(form.format(i, line) for i, line in enumerate(PYTHON.split("\n"), 101))
    head = "[File: /repo/pkg/store.py (210 lines total)]\n(100 more lines above)"
    text = f"{head}\n{body}\n\n(Current directory: /repo)\nbash-$"
    made = layout(text)
    assert made is not None
    assert made.text == text
    assert made.labels[at(made, "raise KeyError")] == "/repo/pkg/store.py Store.put"
    assert made.weights[0] > 1 > made.weights[-1]
    assert made.renderer is not None
    out = made.renderer([0, at(made, "if key in")], False).split("\n")
    assert out[-1] == "            [… 11 lines omitted]"


def test_parsing_that_would_cost_too_much_is_given_up() -> None:
    pytest.importorskip("tree_sitter_java")
    head = ["public class A {", "  int f() {", "    return 1;", "  }", "}"]
    assert _grammars.definitions(head, "java") is not None
    assert _grammars.definitions([*head, *["a<b, c<d, "] * 5_000], "cpp") is None
    assert _grammars.definitions([*head, *["a<"] * 20_000], "java") is None


def test_a_text_that_is_cut_anywhere_is_taken() -> None:
    for cut in range(0, len(PYTHON), 7):
        made = layout(PYTHON[cut:])
        assert made is None or made.text == PYTHON[cut:]
        made = layout(PYTHON[:cut])
        assert made is None or len(made.spans) == len(made.weights)


def test_data_with_numbers_is_not_numbered() -> None:
    text = "\n".join(f"{n} = value;" for n in (5, 3, 9, 1, 4, 2, 8))
    made = layout(text)
    assert made is not None
    assert all(w == 1.0 for w in made.weights)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 300_000,
        "(" * 100_000 + "\n" * 3,
        "{\n" * 20_000,
        "def f(\n" * 10_000,
        "\0\n\ud800\n\u2028x\ny\r\nz",
        "class A:\n" * 9_000,
        '"""\n' * 9_001,
        "\t" * 50_000 + "x\ny\nz",
        "if (" * 20_000 + "\na\nb",
        "import java.util.List;\nimport java.util.Map;\npublic class A {\n" + "a<\n" * 20_000,
        "\n".join(" " * i + "def f():" for i in range(600)),
    ],
)
def test_hostile_texts(text: str, way: str) -> None:
    made = layout(text)
    if made is not None and made.renderer is not None:
        assert made.renderer(range(len(made.spans)), False) == text
        assert made.renderer([0], False).startswith(text[slice(*made.spans[0])])
    assert way


PIECES = st.sampled_from(
    [
        *PYTHON.split("\n"),
        *JAVA.split("\n"),
        *CPP.split("\n"),
        "x" * 2500,
        "call(" + "arg, " * 500 + ")",
        "\t}",
        '"""',
        "12:foo",
        "13:bar",
    ]
)


@given(st.lists(PIECES, min_size=3, max_size=40), st.data(), st.sampled_from(["\n", "\r\n"]))
def test_any_choice_of_lines(lines: list[str], data: st.DataObject, end: str) -> None:
    text = end.join(lines)
    made = layout(text)
    if made is not None:
        check(made, text, data)
