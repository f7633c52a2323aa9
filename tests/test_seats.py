"""What the seats share."""

import json
from typing import Any

import pytest

from ctxshrink.errors import ConfigError, FormatError
from ctxshrink.seats import check_goal, emptied, figures, parse_any
from ctxshrink.types import Attempt, Decision, Segment, Verdict


def _decision(before: str, after: str, **more: Any) -> Decision:
    return Decision(Segment("0", before), "compressed", "why", after, len(before), len(after), **more)


def test_figures_are_json_and_hold_no_text() -> None:
    verdict = Verdict(True, 0.123456, "fine")
    attempt = Attempt("extractive", 0.5, 2, verdict)
    expected = {"action": "compressed", "reason": "why", "tokens_before": 6, "tokens_after": 2, "score": 0.1235}
    note = figures(_decision("secret", "se", attempts=(attempt,), verdict=verdict))
    assert json.loads(json.dumps(note)) == note == expected
    assert figures(_decision("secret", "se"))["score"] is None


def test_only_what_lost_its_text_is_emptied() -> None:
    assert emptied(_decision("text", ""))
    assert not emptied(_decision("text", "t"))
    assert not emptied(_decision("", ""))


def test_goals() -> None:
    check_goal(None, None)
    check_goal(1, None)
    check_goal(None, 0)
    for keep, max_tokens in ((0.5, 10), (0, None), (True, None), (1.1, None), (None, -1), (None, 2.5)):
        with pytest.raises(ConfigError):
            check_goal(keep, max_tokens)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("value", "kinds", "texts"),
    [
        (None, [], []),
        ([], [], []),
        ("one", ["document"], ["one"]),
        (["a", {"text": "b"}, {"text": "c", "role": "note"}], ["document"] * 3, ["a", "b", "c"]),
        ([{"type": "text", "text": "block"}], ["document"], ["block"]),
        (
            (
                {"role": "user", "content": "q"},
                {"role": "assistant", "tool_calls": []},
                {"role": "user", "content": "r"},
            ),
            ["user", "user"],
            ["q", "r"],
        ),
        ([{"role": "assistant", "tool_calls": []}], [], []),
        (
            [
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "found"},
            ],
            ["tool_call", "tool_result"],
            ["look {}", "found"],
        ),
    ],
)
def test_shapes(value: Any, kinds: list[str], texts: list[str]) -> None:
    parsed = parse_any(value)
    assert [s.kind for s in parsed.segments] == kinds
    assert [s.text for s in parsed.segments] == texts
    assert parsed.rebuild({}) == ([value] if isinstance(value, str) else list(value or []))


@pytest.mark.parametrize("value", [1, {"text": "a"}, [None], [{"id": 1}], ["a", 1], [{"role": 1}], iter(["a"]), {"a"}])
def test_other_shapes_are_refused(value: Any) -> None:
    with pytest.raises(FormatError):
        parse_any(value)
