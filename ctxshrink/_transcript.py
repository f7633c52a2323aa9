"""Old turns as one text: for the seats that hand a model a summary in the place of messages."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ctxshrink.messages.checks import to_json
from ctxshrink.policies import recent_turns
from ctxshrink.result import ShrinkResult
from ctxshrink.shrinker import Shrinker
from ctxshrink.text import content_type
from ctxshrink.types import Kind, Segment

CALL_CHARS: Final = 160
"""Characters up to which a tool call is the label of its result; a longer one stands by itself."""
_BREAK: Final = "\n\n"
_EMPTIED: Final = "…"
_COUNTED: Final = re.compile(r"\[([0-9]{1,9}) texts? left out\]")
_PASSES: Final = 4
"""Tries to meet a budget: what labels cost is known when it is known which texts stay."""


@dataclass(frozen=True, slots=True)
class Line:
    """One text of a conversation, and who said it.

    Attributes:
        label: Stands before the text; "" for none.
        text: The text.
        kind: What it is.
        lock_reason: Why it must stay exact, if it must.
    """

    label: str
    text: str
    kind: Kind
    lock_reason: str | None = None


def call_text(name: object, arguments: object) -> str:
    """A tool call as the model made it, in one line."""
    return f"{name}({arguments if isinstance(arguments, str) else to_json(arguments)})"


def lines_from(text: str) -> list[Line]:
    """What an earlier transcript holds, a paragraph each, so that each can be kept or left out by itself."""
    return [Line("", part, "user") for part in text.split(_BREAK) if part.strip()]


def left_out(what: Iterable[object]) -> list[Line]:
    """A line for each block of a message that is no text."""
    return [Line("", f"[{str(kind)[:40]}: left out]", "user", "says what was left out") for kind in what]


def shrink_transcript(
    lines: Sequence[Line],
    shrinker: Shrinker,
    *,
    query: str | None = None,
    keep: float | None = None,
    max_tokens: int | None = None,
) -> ShrinkResult[str]:
    """Old turns as one shorter text: a paragraph for each, in order, with a label that says whose it is.

    Args:
        lines: The turns, oldest first. None of them counts as recent.
        shrinker: Does the work.
        query: What the text will be read for, if known.
        keep: Share of the unlocked tokens to keep, in (0, 1].
        max_tokens: Most tokens of the whole text, labels included; give this or ``keep``.

    Returns:
        A result whose output is the text. Texts of which nothing is left are counted in it, in a line for each run of
        them. In observe mode nothing is left out. Where ``max_tokens`` has no room for what is locked, and for the
        counts, the text is longer, and a warning says so.
    """
    return shrinker.through(functools.partial(_shrink, lines, shrinker, query, keep, max_tokens))


def _shrink(
    lines: Sequence[Line], shrinker: Shrinker, query: str | None, keep: float | None, max_tokens: int | None
) -> ShrinkResult[str]:
    window = recent_turns(shrinker.policy)
    segments = [
        Segment(
            id=str(index),
            text=line.text,
            kind=line.kind,
            age=window + len(lines) - 1 - index,
            lock_reason=line.lock_reason,
            content_type=content_type(line.text),
            empty=_EMPTIED,
        )
        for index, line in enumerate(lines)
    ]

    def attempt(room: int | None) -> tuple[ShrinkResult[dict[str, str]], str, int]:
        result = shrinker.shrink_segments(segments, query=query, keep=keep, max_tokens=room)
        shown = render(lines, [d.text for d in result.decisions])
        [size] = shrinker.counter.count([shown])
        return result, shown, size

    room = max_tokens
    result, shown, size = attempt(room)
    for left in reversed(range(_PASSES)):
        if room is None or max_tokens is None or size <= max_tokens or not room:
            break
        room = max(0, min(room, result.tokens_after) - (size - max_tokens)) if left else 0
        result, shown, size = attempt(room)
    [before] = shrinker.counter.count([render(lines, [line.text for line in lines])])
    warnings = [w for w in result.warnings if not w.startswith("the output has")]
    if max_tokens is not None and size > max_tokens:
        warnings.append(f"the text has {size} tokens, over max_tokens={max_tokens}")
    output = render(lines, [line.text for line in lines]) if result.mode == "observe" else shown
    goal = replace(result.goal, max_tokens=max_tokens)
    made = replace(result, tokens_before=before, tokens_after=min(before, size), goal=goal, warnings=tuple(warnings))
    return made.with_output(output)


def render(lines: Sequence[Line], texts: Sequence[str]) -> str:
    """The lines with these texts in the place of their own."""
    parts: list[str] = []
    run = 0
    for line, text in zip(lines, texts, strict=True):
        counted = _COUNTED.fullmatch(line.text)
        if counted or text == _EMPTIED != line.text:
            run += int(counted[1]) if counted else 1
            continue
        parts += _counted(run)
        run = 0
        parts.append(f"{line.label}: {text}" if line.label else text)
    return _BREAK.join([*parts, *_counted(run)])


def _counted(run: int) -> list[str]:
    return [f"[{run} {'text' if run == 1 else 'texts'} left out]"] if run else []
