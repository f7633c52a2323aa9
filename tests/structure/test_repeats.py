from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError
from ctxshrink.structure.repeats import MIN_LINES, Folded, RepeatIndex

CODE = "\n".join(f"value_{i} = compute_the_thing({i}, {i * 7})" for i in range(1, 41))


def numbered(text: str, first: int = 1) -> str:
    return "\n".join(f"{i}:{line}" for i, line in enumerate(text.split("\n"), first))


def padded(text: str, first: int = 1) -> str:
    return "\n".join(f"{i:6}\t{line}" for i, line in enumerate(text.split("\n"), first))


def seen(earlier: Sequence[tuple[str, str]], min_lines: int = MIN_LINES) -> RepeatIndex:
    index = RepeatIndex(min_lines=min_lines)
    for label, text in earlier:
        index.add(label, text)
    return index


def fold_repeats(text: str, earlier: Sequence[tuple[str, str]], min_lines: int = MIN_LINES) -> Folded:
    return seen(earlier, min_lines).fold(text)


def unfold_repeats(text: str, earlier: Sequence[tuple[str, str]]) -> str:
    return seen(earlier).unfold(text)


def test_a_whole_repeat_becomes_one_line() -> None:
    folded = fold_repeats(CODE, [("tool result 3", CODE)])
    assert folded.text == "[… lines 1-40 are the same as in tool result 3]"
    assert folded.lines == 40
    assert unfold_repeats(folded.text, [("tool result 3", CODE)]) == CODE


def test_a_long_single_line_may_be_a_whole_repeat() -> None:
    line = " ".join(f"word{i}" for i in range(80))
    folded = fold_repeats(line, [("chunk 1", line)])
    assert folded.text == "[… line 1 is the same as in chunk 1]"
    assert unfold_repeats(folded.text, [("chunk 1", line)]) == line


def test_runs_are_referred_to_and_the_rest_stays_verbatim() -> None:
    new = "a header that is new\n" + CODE + "\na last line"
    folded = fold_repeats(new, [("view 1", CODE)])
    assert folded.text == ("a header that is new\n[… lines 2-41 are the same as lines 1-40 of view 1]\na last line")
    assert [new[s:e].strip("\n") for s, e in folded.spans] == ["a header that is new", "a last line"]
    assert unfold_repeats(folded.text, [("view 1", CODE)]) == new


def test_an_edited_view_keeps_the_changed_line_only() -> None:
    old = CODE.split("\n")
    new = "\n".join([*old[:20], "value_x = edited()", *old[21:]])
    folded = fold_repeats(new, [("view 1", CODE)])
    assert folded.text.split("\n") == [
        "[… lines 1-20 are the same as in view 1]",
        "value_x = edited()",
        "[… lines 22-40 are the same as in view 1]",
    ]


@pytest.mark.parametrize("number", [numbered, padded])
def test_line_numbers_may_have_moved(number) -> None:  # type: ignore[no-untyped-def]
    old = CODE.split("\n")
    before = number(CODE)
    after = number("\n".join([*old[:8], "inserted = 1", "inserted = 2", *old[8:]]))
    folded = fold_repeats(after, [("view 1", before)])
    assert folded.text.split("\n")[-1] == (
        "[… lines 11-42 are the same as lines 9-40 of view 1, line numbers 2 higher]"
    )
    assert len(folded.text.split("\n")) == 4
    assert unfold_repeats(folded.text, [("view 1", before)]) == after


def test_times_of_day_are_not_line_numbers() -> None:
    old = "\n".join(f"12:{m:02}:07 the worker {m} has sent its heartbeat" for m in (3, 9, 11, 17, 28, 40))
    new = old.replace("12:", "13:")
    assert fold_repeats(new, [("log", old)]).runs == ()


def test_short_and_cheap_runs_stay() -> None:
    old = "\n".join(["}"] * 9)
    assert fold_repeats(old, [("a", old + "\nx")]).text == old
    three = "\n".join(CODE.split("\n")[:3])
    assert fold_repeats("x\n" + three, [("a", CODE)]).runs == ()
    assert fold_repeats("x\n" + three, [("a", CODE)], min_lines=3).lines == 3


def test_the_longest_run_is_chosen() -> None:
    head = "\n".join(f"# licence line {i} of the usual text" for i in range(10))
    a, b = head + "\nonly in a", head + "\n" + CODE
    folded = fold_repeats(b + "\nnew", [("a", a), ("b", b)])
    assert folded.text == "[… lines 1-50 are the same as in b]\nnew"


@pytest.mark.parametrize(
    "hostile",
    [
        "[… lines 1-40 are the same as in a]",
        "[… line 1 is the same as in a]",
        "[… lines 1-3 are the same as lines 2-4 of a]",
        "[… the next line stands as written]",
        "[… the next line stands as written]\n[… the next line stands as written]\n[… line 3 is the same as in a]",
    ],
)
def test_marker_look_alikes_survive(hostile: str) -> None:
    for text in (hostile, hostile + "\n" + CODE, hostile + "\n" + hostile):
        assert unfold_repeats(fold_repeats(text, [("a", CODE)]).text, [("a", CODE)]) == text


def test_look_alikes_that_no_reader_could_follow_stay_as_they_are() -> None:
    text = "[… lines 5-9 are the same as in nowhere]\nx"
    assert fold_repeats(text, [("a", CODE)]).text == text


def test_bad_labels_are_refused() -> None:
    for label in ("", "two\nlines", "x, line numbers 2 higher"):
        with pytest.raises(ConfigError):
            RepeatIndex().add(label, "text")
    with pytest.raises(ConfigError, match="two texts"):
        fold_repeats("x", [("a", "1"), ("a", "2")])
    with pytest.raises(ConfigError, match="min_lines"):
        fold_repeats("x", [], min_lines=0)


def test_the_index_grows() -> None:
    index = RepeatIndex()
    assert index.fold(CODE).text == CODE
    index.add("turn 1", CODE)
    folded = index.fold("x\n" + CODE)
    assert folded.lines == 40
    assert index.unfold(folded.text) == "x\n" + CODE


def test_long_hostile_texts() -> None:
    for text in ("\n" * 60_000, "ab\n" * 40_000, "x" * 500_000, "1:\n2:\n" * 20_000):
        earlier = [("a", text + "y"), ("b", "z\n" + text)]
        assert unfold_repeats(fold_repeats(text, earlier).text, earlier) == text


LINES = st.sampled_from(
    [
        "",
        "a",
        "}",
        "the same long line of text, again and again, that is worth its tokens",
        "other line of words: 17 apples",
    ]
    + [f"{i}:body {b} with some words in it" for i in range(1, 6) for b in "xy"]
    + [f"{i:6}\tbody {b} with some words in it" for i in (8, 9, 10, 11) for b in "xy"]
    + [
        "[… lines 1-4 are the same as in a]",
        "[… line 2 is the same as in b]",
        "[… the next line stands as written]",
        "t\r",
    ]
)
TEXTS = st.lists(LINES, max_size=24).map("\n".join)


@given(TEXTS, TEXTS, TEXTS, st.integers(1, 5))
def test_round_trip(text: str, a: str, b: str, min_lines: int) -> None:
    earlier = [("a", a), ("b", b)]
    folded = fold_repeats(text, earlier, min_lines=min_lines)
    assert unfold_repeats(folded.text, earlier) == text
    assert all(s < e <= len(text) or s == e for s, e in folded.spans)
    for s, e in folded.spans:
        assert text[s:e].split("\n")[0] in folded.text


@given(st.text(max_size=200), st.text(max_size=200))
def test_round_trip_of_any_text(text: str, old: str) -> None:
    earlier = [("a", old), ("b", text[:100])]
    assert unfold_repeats(fold_repeats(text, earlier, min_lines=1).text, earlier) == text


@given(st.lists(st.integers(0, 60), max_size=6), st.integers(1, 30))
def test_round_trip_of_edited_views(edits: list[int], first: int) -> None:
    lines = [f"line {i} of a source file with enough words" for i in range(60)]
    before = numbered("\n".join(lines), first)
    for at in sorted(edits, reverse=True):
        lines[at:at] = ["inserted"]
    after = numbered("\n".join(lines), first)
    folded = fold_repeats(after, [("v", before)])
    assert unfold_repeats(folded.text, [("v", before)]) == after
    assert len(folded.text) < len(after)
