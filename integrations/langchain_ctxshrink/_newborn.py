"""Tool results, shrunk before they enter an agent's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langgraph.types import Command

from ctxshrink._lru import digest
from ctxshrink.expand import find_references
from ctxshrink.messages import locks
from ctxshrink.messages.checks import to_json
from ctxshrink.policies import policy_goal, recent_turns
from ctxshrink.prefix.birth import CALL_CHARS, QUERY_CHARS, Birth, decide
from ctxshrink.result import ShrinkResult
from ctxshrink.seats import METADATA_KEY, figures
from ctxshrink.shrinker import Shrinker
from ctxshrink.types import Decision, Goal, OriginalStore, Segment

from ._plain import plain
from .messages import LangChainFormat

_FORMAT = LangChainFormat()
_PASSING = (None, locks.CACHED, locks.NEWEST_USER)
_KEEP = 0.5
"""Where nobody says."""


@dataclass(frozen=True, slots=True)
class Newborn:
    """What is done to new tool results.

    Attributes:
        shrinker: Compresses and judges.
        birth: The settings.
        keep: Share of their tokens to keep, where ``birth`` does not say; None: the shrinker's own.
        exclude: Tools whose results stay as they are.
    """

    shrinker: Shrinker
    birth: Birth
    keep: float | None
    exclude: frozenset[str]

    def shrink(self, given: Any, query: str | None, tool: str) -> tuple[Any, list[ShrinkResult[Any]]]:
        """What a tool returned, with its messages shrunk: a message, a command with messages, or a list of both.

        Args:
            given: What the tool call gave; never mutated.
            query: What it was called for.
            tool: The tool that was called.

        Returns:
            The same, and a result for each message that was looked at.
        """
        if isinstance(given, ToolMessage):
            message, result = self._message(given, query, tool)
            return message, [] if result is None else [result]
        if isinstance(given, Command):
            update = given.update
            if not isinstance(update, Mapping) or "messages" not in update:
                return given, []
            messages, results = self.shrink(update["messages"], query, tool)
            return replace(given, update={**update, "messages": messages}) if results else given, results
        if isinstance(given, list):
            pairs = [self.shrink(item, query, tool) for item in given]
            return [item for item, _ in pairs], [result for _, results in pairs for result in results]
        return given, []

    def _message(self, message: ToolMessage, query: str | None, tool: str) -> tuple[ToolMessage, Any]:
        if message.status == "error" or METADATA_KEY in message.response_metadata:
            return message, None
        if (message.name or tool) in self.exclude or tool in self.exclude:
            return message, None
        parsed, keep = _FORMAT.parse([message]), self._share()
        sizes = self.shrinker.counter.count([s.text for s in parsed.segments])
        decisions = [self._decide(s, n, query, keep) for s, n in zip(parsed.segments, sizes, strict=True)]
        made = message
        if decisions:
            metadata = {**message.response_metadata, METADATA_KEY: _figures(decisions)}
            made = message.model_copy(update={"response_metadata": metadata})
        if self.shrinker.mode == "apply" and any(d.text != d.segment.text for d in decisions):
            # As they were decided: the locks of a conversation's newest turns are none of a new result.
            free = replace(parsed, segments=tuple(d.segment for d in decisions))
            [rebuilt] = free.rebuild({d.segment.id: d.text for d in decisions})
            elsewhere = None if self.shrinker.store is None else "store"
            where = "artifact" if message.artifact is None else elsewhere
            kept = message.content if message.artifact is None else message.artifact
            made = made.model_copy(update={"content": rebuilt.content, "artifact": kept})
            made.response_metadata[METADATA_KEY] |= {"original": where, "content": _key(made)}
        after, counter = sum(d.tokens_after for d in decisions), self.shrinker.counter
        goal, mode = Goal(keep=keep), self.shrinker.mode
        done = tuple(decisions)
        return made, ShrinkResult(made, done, sum(sizes), after, counter.name, counter.exact, goal, mode=mode)

    def _share(self) -> float:
        own = policy_goal(self.shrinker.policy).keep
        return next((keep for keep in (self.birth.keep, self.keep, own) if keep is not None), _KEEP)

    def _decide(self, segment: Segment, size: int, query: str | None, keep: float) -> Decision:
        if segment.lock_reason not in _PASSING:
            spans = ((0, len(segment.text)),)
            return Decision(segment, "locked", segment.lock_reason or "", segment.text, size, size, spans=spans)
        free, age = replace(segment, lock_reason=None), max(1, recent_turns(self.shrinker.policy))
        return decide(free, size, query, keep, shrinker=self.shrinker, birth=self.birth, age=age)


def _figures(decisions: Sequence[Decision]) -> dict[str, Any]:
    """The figures of one message; of several texts together where it has several."""
    shown = [d for d in decisions if d.action != "locked"] or list(decisions)
    main = next((d for d in shown if d.text != d.segment.text), shown[0])
    scores = [d.verdict.score for d in shown if d.verdict is not None]
    return figures(main) | {
        "tokens_before": sum(d.tokens_before for d in decisions),
        "tokens_after": sum(d.tokens_after for d in decisions),
        "score": round(max(scores), 4) if scores else None,
    }


def looked_at(message: BaseMessage) -> bool:
    """True for a message that was looked at before it entered the state."""
    return isinstance(message.response_metadata.get(METADATA_KEY), Mapping)


def original(message: ToolMessage, store: OriginalStore | None) -> Any:
    """The content that a tool returned, of a message that was `looked_at`; None where it cannot be had any more.

    Where somebody has changed the message since, such as a middleware that removes personal data, what it holds now is
    the original: what was there before must not come back.
    """
    found = message.response_metadata[METADATA_KEY]
    if found.get("content") != _key(message):
        return message.content
    if found["original"] == "artifact":
        return message.artifact if isinstance(message.artifact, str | list) else None
    references = find_references(message.content) if isinstance(message.content, str) else []
    return store.load(references[-1]) if store is not None and references else None


def _key(message: BaseMessage) -> str:
    return digest(to_json(plain(message).content)).hex()


def query_for(state: Any, call: Mapping[str, Any]) -> str | None:
    """What a tool result is read for: the newest user turn, and what the tool was asked."""
    messages = state if isinstance(state, list) else None
    if messages is None:
        messages = state.get("messages") if isinstance(state, Mapping) else getattr(state, "messages", None)
    asked = ""
    for message in reversed(messages if isinstance(messages, list | tuple) else ()):
        if isinstance(message, HumanMessage):
            asked = message.text[:QUERY_CHARS]
            break
    said = f"{call.get('name') or ''} {to_json(call.get('args'))}".strip()[:CALL_CHARS]
    return "\n".join(part for part in (asked, said) if part.strip()) or None
