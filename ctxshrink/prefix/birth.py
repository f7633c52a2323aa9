"""Deciding a text when it first enters a conversation, before it was ever sent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ctxshrink.errors import ConfigError
from ctxshrink.policies import check_keep
from ctxshrink.shrinker import Shrinker
from ctxshrink.structure import lay_out
from ctxshrink.structure.failures import reports_failure
from ctxshrink.structure.repeats import Folded
from ctxshrink.types import Decision, Segment

QUERY_CHARS = 600
"""Characters of a user turn that are read as a query: its start, where people say what they want."""
CALL_CHARS = 400
"""Characters of a tool call's arguments that are read as a query."""


@dataclass(frozen=True, slots=True)
class Birth:
    """What is done to a tool result or a retrieved chunk when it first enters a conversation.

    A rendering with fewer tokens that loses nothing is always used. Leaving something out needs a text of some size and
    the guardrail's consent.

    Args:
        keep: Share of its tokens to keep, in (0, 1]; 1 leaves nothing out. None: the call's ``keep``, else the
            shrinker's own.
        min_tokens: Shorter texts stay as they are.
        lossy_tokens: Shorter texts are never cut.
        repeats: Refer to lines that an earlier tool result of the conversation shows instead of repeating them.
        failure_tokens: Output that reports a failure and has at most this many tokens stays as it is.
    """

    keep: float | None = None
    min_tokens: int = 40
    lossy_tokens: int = 400
    failure_tokens: int = 4000
    repeats: bool = True

    def __post_init__(self) -> None:
        if self.keep is not None:
            check_keep(self.keep, "Birth.keep")
        if min(self.min_tokens, self.lossy_tokens, self.failure_tokens) < 0:
            raise ConfigError(f"sizes must be 0 or more tokens; got {self!r}")


def decide(
    segment: Segment,
    tokens: int,
    query: str | None,
    keep: float,
    *,
    shrinker: Shrinker,
    birth: Birth,
    age: int,
    folded: Folded | None = None,
) -> Decision:
    """What becomes of one new text. Never raises for what the text holds.

    Args:
        segment: The text; its lock and age are those of its place in the conversation.
        tokens: Its size.
        query: What it was fetched for, if known.
        keep: Share of its tokens to keep.
        shrinker: Compresses and judges.
        birth: The settings.
        age: An age that the shrinker's policy may compress.
        folded: The text with what earlier texts show referred to.
    """
    whole = Decision(segment, "kept", "", segment.text, tokens, tokens, spans=((0, len(segment.text)),))
    if tokens < max(1, birth.min_tokens):
        return replace(whole, reason="too short to be worth shrinking")
    if tokens <= birth.failure_tokens and reports_failure(segment.text, segment.content_type):
        return replace(whole, reason="it reports a failure")
    said = None if folded is None else _folded(whole, folded, shrinker)
    if said is not None and said.tokens_after <= keep * tokens:
        return said
    made = _compressed(whole, query, keep, shrinker, birth, age)
    return made if said is None or made.tokens_after < said.tokens_after else said


def _compressed(
    whole: Decision, query: str | None, keep: float, shrinker: Shrinker, birth: Birth, age: int
) -> Decision:
    segment, tokens = whole.segment, whole.tokens_before
    if keep < 1 and tokens >= birth.lossy_tokens:
        free = replace(segment, age=age, lock_reason=None, empty=segment.empty or "…")
        result = shrinker.shrink_segments([free], query=query, keep=keep, on_reject="exceed")
        found = replace(result.decisions[0], segment=segment)
        if found.action == "compressed":
            return replace(found, reason=f"when it was new: {found.reason}")
        whole = replace(found, action="fallback" if found.action == "fallback" else "kept", text=segment.text)
        whole = replace(whole, tokens_after=tokens, spans=((0, len(segment.text)),))
    return _lossless(whole, shrinker) or replace(whole, reason=whole.reason or "nothing could be said shorter")


def _folded(whole: Decision, folded: Folded, shrinker: Shrinker) -> Decision | None:
    [size] = shrinker.counter.count([folded.text])
    if size >= whole.tokens_before:
        return None
    lines = "1 line stands" if folded.lines == 1 else f"{folded.lines} lines stand"
    reason = f"when it was new: {lines} in an earlier tool result"
    return replace(whole, action="compressed", reason=reason, text=folded.text, tokens_after=size, spans=folded.spans)


def _lossless(whole: Decision, shrinker: Shrinker) -> Decision | None:
    segment = whole.segment
    layout = lay_out(segment.text, segment.content_type)
    if not (layout.form and layout.exact):
        return None
    [size] = shrinker.counter.count([layout.text])
    if size >= whole.tokens_before:
        return None
    reason = f"when it was new: nothing left out, as {layout.form}"
    return replace(whole, action="compressed", reason=reason, text=layout.text, tokens_after=size, spans=None)
