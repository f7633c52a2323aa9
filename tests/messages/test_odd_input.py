"""What no provider would send: it survives unchanged, or is refused with what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ctxshrink.errors import ConfigError, FormatError
from ctxshrink.messages import detect
from tests.messages.cases import Case, every_format


@every_format
@pytest.mark.parametrize(
    ("pin", "match"), [([3], "index 3"), ([-4], "index -4"), ("0", "str"), ([True], "bool"), (0, "int"), (["a"], "str")]
)
def test_wrong_pins(case: Case, pin: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        case.format.parse([{"role": "user", "content": "a"}] * 3, pin=pin)


class Foreign:
    """Neither text nor JSON; copying it would be an error."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("copied")


def cyclic() -> dict[str, Any]:
    value: dict[str, Any] = {"type": "loop"}
    value["content"] = [value] * 200
    return value


def cyclic_list() -> list[Any]:
    value: list[Any] = []
    value += [value] * 200
    return value


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@every_format
@pytest.mark.parametrize("make", [lambda: 5, lambda: None, Foreign, cyclic, cyclic_list, deep, lambda: b"x"])
def test_content_of_unexpected_types_survives(case: Case, make: Callable[[], Any]) -> None:
    odd = make()
    messages = [
        {"role": "user", "content": odd},
        {"role": "assistant", "content": [odd]},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": odd}, {"type": "tool_use", "name": 3, "input": odd}],
        },
        {"role": "assistant", "content": [{"type": "tool_result", "content": odd, "tool_use_id": odd}]},
        {"role": "assistant", "content": [{"type": "document", "source": odd, "title": odd, "citations": odd}]},
        {"role": "assistant", "tool_calls": odd, "function_call": odd, "cache_control": None},
        {"role": "assistant", "tool_calls": [odd, {"id": odd, "function": {"name": odd, "arguments": odd}}]},
        {"role": "tool", "tool_call_id": odd, "content": [{"type": odd, "text": "seen"}]},
        {"role": "user", "content": "last"},
    ]
    parsed = case.format.parse(messages)
    assert parsed.segments[-1].text == "last"
    assert {s.kind for s in parsed.segments[:-1] if not s.locked} <= {"tool_call"}
    rebuilt = parsed.rebuild({"9": "x"})
    assert [list(message) for message in rebuilt] == [list(message) for message in messages]
    if not isinstance(odd, list):  # Comparing a list of this depth overflows the interpreter's own stack.
        assert rebuilt == messages
    assert type(rebuilt[0]["content"]) is type(odd)


@every_format
@pytest.mark.parametrize("text", ["\ud800 half", "a\x00b", "\udfff", "é\u0301", "\ufeff"])
def test_odd_characters_survive(case: Case, text: str) -> None:
    messages = [
        {"role": "assistant", "content": text},
        {"role": "assistant", "content": [{"type": "text", "text": text}]},
    ]
    parsed = case.format.parse(messages)
    assert [s.text for s in parsed.segments] == [text, text]
    assert parsed.rebuild({}) == messages
    assert parsed.rebuild({"0": text + text})[0]["content"] == text + text


@every_format
def test_tuples_and_mapping_types_survive(case: Case) -> None:
    message = {"role": "assistant", "content": ({"type": "text", "text": "a"}, {"type": "text", "text": "b"})}
    parsed = case.format.parse((message,))
    assert parsed.rebuild({"0.1": "x"}) == [
        {"role": "assistant", "content": ({"type": "text", "text": "a"}, {"type": "text", "text": "x"})}
    ]


@every_format
@pytest.mark.parametrize(
    ("messages", "match"),
    [
        ("hello", "got str: use shrink_text"),
        ({"role": "user", "content": "x"}, "got dict: put it in a list"),
        (None, "got NoneType"),
        ((m for m in ()), "got generator"),
        ([{"role": "user", "content": "x"}, "hi"], "message 1 .* got str"),
        ([{"content": "x"}], "message 0 has no role; it is a dict with the keys 'content'"),
        ([{"role": None}], "message 0 has no role"),
        ([{"role": 7}], "message 0 has the role 7"),
        ([{"kind": "function_call", "name": "f"}], "message 0 has no role; .*'kind', 'name'"),
    ],
)
def test_what_is_no_history_is_refused(case: Case, messages: Any, match: str) -> None:
    with pytest.raises(FormatError, match=match):
        case.format.parse(messages)
    with pytest.raises(FormatError, match=match):
        detect(messages)


@every_format
def test_an_empty_history(case: Case) -> None:
    parsed = case.format.parse([])
    assert parsed.segments == ()
    assert parsed.rebuild({}) == []


@every_format
def test_tool_results_without_calls_survive(case: Case) -> None:
    messages = [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "nobody", "content": "lost"}]},
        {"role": "tool", "tool_call_id": "nobody", "content": "lost too"},
    ]
    parsed = case.format.parse(messages)
    assert [s.text for s in parsed.segments][-1] == "lost too"
    assert parsed.rebuild({}) == messages
