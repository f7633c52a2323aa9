import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError, FormatError
from ctxshrink.reuse import reused, reused_in_messages
from ctxshrink.types import Kind, Segment
from tests.strategies import ODD, PROPERTY, SENTENCES


def seg(kind: Kind, text: str) -> Segment:
    return Segment(f"{kind}-{text[:20]}", text, kind=kind)


def call(name: str, **arguments: Any) -> Segment:
    return seg("tool_call", f"{name} {json.dumps(arguments)}")


def texts(segments: list[Segment], at: int, **settings: Any) -> list[str]:
    return [r.text for r in reused(segments, at, **settings)]


BOOKING = seg("tool_result", '{"booking": "QX7T2", "berth": "B-14", "fee": 1250, "owner": "Ada Quist"}')


def test_an_argument_that_was_shown_before_the_cut_is_needed() -> None:
    found = reused([seg("user", "hello"), BOOKING, call("cancel", booking="QX7T2")], 2)
    assert [(r.text, r.shown, r.used, r.by) for r in found] == [("QX7T2", (1,), 2, "tool_call")]


def test_every_showing_is_named_and_the_last_spelling_kept() -> None:
    segments = [seg("user", "It is qx7t2."), BOOKING, call("cancel", booking="Qx7T2")]
    [found] = reused(segments, 2)
    assert (found.text, found.shown) == ("QX7T2", (0, 1))


@pytest.mark.parametrize("kind", ["user", "tool_result", "document"])
def test_what_is_shown_again_before_its_use_is_not_needed(kind: Kind) -> None:
    segments = [BOOKING, seg(kind, "once more: QX7T2"), call("cancel", booking="QX7T2")]
    assert texts(segments, 1) == []
    assert texts(segments, 2) == ["QX7T2"]


def test_what_is_shown_again_after_its_first_use_was_needed() -> None:
    use = call("cancel", booking="QX7T2")
    assert texts([BOOKING, use, seg("tool_result", "QX7T2 cancelled"), use], 1) == ["QX7T2"]


def test_what_the_model_made_up_or_only_said_itself_is_not_needed() -> None:
    segments = [seg("assistant", "shall I use ZZ-901?"), BOOKING, call("cancel", booking="ZZ-901")]
    assert texts(segments, 2) == []


def test_whose_uses_count() -> None:
    segments = [BOOKING, seg("assistant", "Your berth is B-14."), call("cancel", booking="QX7T2")]
    assert texts(segments, 1) == ["B-14", "QX7T2"]
    assert texts(segments, 1, by=["tool_call"]) == ["QX7T2"]
    assert texts(segments, 1, by=["assistant"]) == ["B-14"]


@pytest.mark.parametrize(
    ("shown", "argument", "needed"),
    [
        ("the fee is 1,250 kroner", 1250, "1,250"),
        ("the fee is 1250 kroner", "1,250", "1250"),
        ("the fee is 12.50 kroner", 12.5, None),
        ("rates: 100,250,300", 250, "250"),
        ("it weighs 250.5 kg", 250, None),
        ("seen in lib/harbour/berths.py line 3", "lib/harbour/berths.py", "lib/harbour/berths.py"),
        ("seen in lib/harbour/berths.py line 3", "lib/harbour", "lib/harbour"),
        ("Ada Quist called", "ada quist", "Ada Quist"),
        ("the quay is long", "quay", None),  # a word of the language
        ("status: null or None", "None", None),
        ("全角ＱＸ７Ｔ２です", "QX7T2", "ＱＸ７Ｔ２"),
        ("码头编号B-14，今天开放", "B-14", "B-14"),
        ("7 of 9", 7, None),  # too short to tell
    ],
)
def test_what_counts_as_the_same_string(shown: str, argument: object, needed: str | None) -> None:
    found = texts([seg("tool_result", shown), call("use", value=argument)], 1)
    assert found == ([] if needed is None else [needed])


def test_long_arguments_are_read_fact_by_fact() -> None:
    command = "edit 10:12\nresult = self.tide_table.lookup(HarbourMaster, 'QX7T2')\nreturn result and more words"
    segments = [seg("tool_result", "class HarbourMaster: tide_table, QX7T2"), call("shell", command=command)]
    assert sorted(texts(segments, 1)) == ["HarbourMaster", "QX7T2", "tide_table"]


def test_a_whole_that_was_shown_stands_for_its_parts() -> None:
    path = "lib/tide_table/berth_list.py"
    used = call("open", path=f"cat {path}")
    assert texts([seg("tool_result", f"found {path}"), used], 1) == [path]
    assert texts([seg("tool_result", "found tide_table"), used], 1) == ["tide_table"]


def test_a_capital_alone_makes_no_name_of_a_word() -> None:
    answer = seg("assistant", "I told Harbour and Quist.")
    assert texts([seg("user", "the Harbour called, and Quist"), answer], 1) == ["Harbour", "Quist"]
    segments = [seg("user", "the Harbour called, and Quist; our harbour is small"), answer]
    assert texts(segments, 1) == ["Quist"]


OPENAI: list[dict[str, Any]] = [
    {"role": "system", "content": "You serve a harbour."},
    {"role": "user", "content": "My booking is QX7T2."},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "get", "arguments": '{"booking": "QX7T2"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": '{"berth": "B-14"}'},
    {"role": "assistant", "content": "It is berth B-14."},
]
ANTHROPIC: list[dict[str, Any]] = [
    {"role": "user", "content": "My booking is QX7T2."},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "get", "input": {"booking": "QX7T2"}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": '{"berth": "B-14"}'}]},
    {"role": "assistant", "content": "It is berth B-14."},
]


@pytest.mark.parametrize(("messages", "first"), [(OPENAI, 1), (ANTHROPIC, 0)])
def test_messages_by_their_own_positions(messages: list[dict[str, Any]], first: int) -> None:
    [early] = reused_in_messages(messages, first + 1)
    assert (early.text, early.shown, early.used, early.by) == ("QX7T2", (first,), first + 1, "tool_call")
    [late] = reused_in_messages(messages, first + 3)
    assert (late.text, late.shown, late.used, late.by) == ("B-14", (first + 2,), first + 3, "assistant")
    assert reused_in_messages(messages, len(messages)) == ()


@pytest.mark.parametrize("at", [-1, 6])
def test_a_cut_outside_is_an_error(at: int) -> None:
    with pytest.raises(ConfigError, match="at must be in 0 to 5"):
        reused_in_messages(OPENAI, at)
    with pytest.raises(ConfigError, match="at must be in 0 to 5"):
        reused([BOOKING] * 5, at)


def test_messages_of_no_known_shape_are_an_error() -> None:
    with pytest.raises(FormatError):
        reused_in_messages([3, 4], 1)


@pytest.mark.parametrize(
    "text",
    ["a" * 100_000, "7" * 20_000, "A1 " * 10_000, "_/" * 20_000, "1," * 20_000, '{"a": ' * 5_000, *ODD],
    ids=lambda text: repr(text[:6]),
)
def test_odd_and_large_texts(text: str) -> None:
    segments = [seg("tool_result", text), call("use", value=text), seg("tool_call", text), seg("assistant", text)]
    assert all(r.text in text for r in reused(segments, 1))
    assert all(r.text in json.dumps({"value": text}, ensure_ascii=False) or r.text in text for r in reused(segments, 0))


CONVERSATIONS = st.lists(
    st.tuples(
        st.sampled_from(["user", "assistant", "tool_call", "tool_result"]),
        st.lists(st.sampled_from([*SENTENCES, *ODD, "QX7T2", "B-14"]), max_size=3).map(" ".join),
    ),
    max_size=8,
)


@PROPERTY
@given(CONVERSATIONS, st.integers(0, 8))
def test_what_is_found_was_shown_before_and_used_after(turns: list[tuple[Kind, str]], at: int) -> None:
    segments = [Segment(str(i), text, kind=kind) for i, (kind, text) in enumerate(turns)]
    at = min(at, len(segments))
    for found in reused(segments, at):
        assert found.used >= at
        assert segments[found.used].kind == found.by
        assert list(found.shown) == sorted(set(found.shown))
        assert all(p < at and segments[p].kind in ("user", "tool_result") for p in found.shown)
        assert found.text in segments[found.shown[-1]].text
        assert not any(found.text in s.text for s in segments[at : found.used] if s.kind in ("user", "tool_result"))
