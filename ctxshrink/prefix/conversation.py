"""One conversation, shrunk turn by turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ctxshrink._twins import async_twin
from ctxshrink.errors import ConfigError
from ctxshrink.messages import Pin
from ctxshrink.policies import check_keep, check_max_tokens, policy_goal
from ctxshrink.prefix.birth import Birth
from ctxshrink.prefix.epochs import Epochs
from ctxshrink.prefix.memo import Guarded, Memory
from ctxshrink.prefix.rewriting import FROZEN, LOST, WAITING, Born, Request
from ctxshrink.prefix.steps import Steps
from ctxshrink.providers import CacheRules, cache_rules
from ctxshrink.result import ShrinkResult
from ctxshrink.shrinker import Shrinker
from ctxshrink.types import Decision, Goal


class Conversation:
    """One conversation, shrunk turn by turn so that providers' prompt caches stay warm.

    **Born small.** A tool result, or a retrieved chunk in a message, is compressed when it first enters the
    conversation, before it was ever sent, with the newest user turn and the tool call (or ``query``) as what it is read
    for. This is the one exception to the rule that recent turns stay exact; ``birth=None`` switches it off.

    **Frozen.** What was sent is sent again byte for byte. Each call is taken as one request.

    **Rewritten rarely.** User and assistant turns are sent exact, and a provider has them in its cache by the time they
    are old. They are compressed later, many at once, when that is expected to pay (with ``keep``, see
    `ctxshrink.prefix.epochs`), or when ``max_tokens`` forces it, then down to a lower mark that leaves room for later
    turns. The result's warnings say when this happened and why; `epochs` counts.

    **Marks.** A ``cache_control`` of the caller's may move from message to message: that is no change, and what this
    object sent is rewritten as without it. Only in the first call, and with ``provider=None``, nobody here knows what
    rewriting would cost: what stands before a mark is not rewritten to save money then.

    **Originals.** Results of the expand tool (`ctxshrink.expand`) stay exact until ``max_tokens`` forces otherwise.

    What was never sent costs nothing to change: in the first call all turns that are no longer recent are compressed.
    Where an earlier message was edited, everything from there on is decided anew; a result's warning says so. Safe to
    share between threads. The memory is bounded by the conversation itself.

    Args:
        shrinker: Holds the settings.
        provider: Whose prompt cache the messages go to: a name from `ctxshrink.providers.RULES`, rules of one's own, or
            None for none (rewriting costs nothing then: each turn is compressed as it leaves the recent ones).
        birth: What is done to new tool results and chunks; None leaves them exact while they are recent.
        headroom: Share of the unlocked budget that a step under ``max_tokens`` leaves free for later turns, in [0, 1).
        expected_turns: Turns that the conversation is expected to have in all. None: as many again as it has had, and
            no step costs more than 1 % of the bill so far and what was saved until then; where the shrinker has
            economics, sent text is then rewritten only to meet ``max_tokens`` or once the provider has forgotten it.
        prefix_tokens: Tokens that every request has before these messages: tool definitions, a system prompt that is
            passed beside them.
        memo: Keeps decisions beyond this object, so that after a restart the same messages give the same bytes: a
            `Memo`, or a store. It may be shared between conversations.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        shrinker: Shrinker,
        *,
        provider: str | CacheRules | None = "anthropic",
        birth: Birth | None = Birth(),  # noqa: B008  frozen
        headroom: float = 0.3,
        expected_turns: int | None = None,
        prefix_tokens: int = 0,
        memo: Memory | None = None,
    ) -> None:
        if not 0 <= headroom < 1:
            raise ConfigError(f"headroom must be a share in [0, 1); got {headroom!r}")
        if prefix_tokens < 0:
            raise ConfigError(f"prefix_tokens must be 0 or more; got {prefix_tokens!r}")
        policy = shrinker.policy
        self._shrinker, self._policy = shrinker, policy
        self._steps = Steps(
            shrinker,
            policy,
            birth=birth,
            plan=Epochs(cache_rules(provider), expected_turns, strict=shrinker.economics is not None),
            headroom=headroom,
            prefix_tokens=prefix_tokens,
            memo=(guarded := Guarded(memo)),
        )
        self._memo = guarded
        self._lock = threading.Lock()

    @property
    def epochs(self) -> int:
        """How often text that had been sent was rewritten."""
        return self._steps.epochs

    def extend(
        self,
        messages: Sequence[Any],
        query: str | None = None,
        *,
        keep: float | None = None,
        max_tokens: int | None = None,
        idle: float | None = None,
        born: Born | None = None,
    ) -> ShrinkResult[list[Any]]:
        """Add messages and give the whole conversation back; costs work in proportion to what is new.

        Where the new messages have ``cache_control`` marks, those that came with earlier ones are taken off, but for
        those of the first call: a request may have few.

        Args:
            messages: What came since the last call, in the caller's format.
            query: What the next answer is about, if it is not in the recent turns.
            keep: Share of the tokens of new tool results and of old turns to keep, in (0, 1].
            max_tokens: Most tokens of the text of all messages. May be given beside ``keep``.
            idle: Seconds since the last call, if known: once the provider's cache has expired, rewriting is free.
            born: For texts that were decided before they came here, such as a tool result that middleware shrank:
                given a new text and its message it returns what the text came out as, or None. ``messages`` hold the
                original, which is what is counted, and what a step under ``max_tokens`` starts from.

        Returns:
            A result whose output is the whole conversation (messages that did not change are the same objects as in the
            output before, unless these were edited), and whose decisions are those on the new texts and on what
            was rewritten.

        Raises:
            FormatError: The messages have no known shape.
            ConfigError: An argument is wrong.
        """

        def work() -> ShrinkResult[list[Any]]:
            with self._lock:
                self._steps.history.supersede_marks(messages)
                new, touched, result = self._advance(messages, self._request(query, keep, max_tokens, idle, born))
                shown = sorted({*touched, *new})
                return replace(result, decisions=tuple(self._decision(p, touched) for p in shown))

        return self._shrinker.through(work)

    def shrink(
        self,
        messages: Sequence[Any],
        query: str | None = None,
        *,
        keep: float | None = None,
        max_tokens: int | None = None,
        pin: Pin = None,
        idle: float | None = None,
        born: Born | None = None,
    ) -> ShrinkResult[list[Any]]:
        """Shrink the conversation so far, given as a whole in its original form; see `extend`.

        What is known is recognised by comparing messages; one may also be given as it came out before. A message that
        was sent shrunk and is pinned now comes out exact from then on, with a warning.
        """

        def work() -> ShrinkResult[list[Any]]:
            with self._lock:
                history, request = self._steps.history, self._request(query, keep, max_tokens, idle, born)
                at = history.known(messages)
                if at < len(history):
                    if at < len(messages):
                        self._steps.warnings.append(f"message {at} was changed: {LOST.format(at)}")
                    self._steps.cut(at)
                _, touched, result = self._advance(messages[at:], request, (pin,))
                decisions = tuple(self._decision(p, touched) for p in range(len(history.entries)))
                output = list(messages) if self._shrinker.mode == "observe" else result.output
                return replace(result, decisions=decisions, output=output)

        return self._shrinker.through(work)

    aextend = async_twin(extend)
    ashrink = async_twin(shrink)

    def _advance(
        self, messages: Sequence[Any], request: Request, pins: tuple[Pin, ...] = ()
    ) -> tuple[range, dict[int, Decision], ShrinkResult[list[Any]]]:
        """One request: the positions of new texts, what was decided, by position, and the result without decisions."""
        started, steps, history = time.perf_counter(), self._steps, self._steps.history
        length = len(history)
        try:
            fed, touched = self._decide(messages, request, pins)
        except Exception:  # raised again
            if len(history) > length:
                steps.cut(length)  # The caller may give the same messages again: they are still new then.
            raise
        output = history.originals() if self._shrinker.mode == "observe" else history.output()
        warnings = [*steps.warnings, *self._memo.warnings()]
        steps.warnings.clear()
        if history.before and history.after == history.before:
            warnings.append("nothing was compressed so far; see decisions")
        counter = self._shrinker.counter
        return (
            fed,
            touched,
            ShrinkResult(
                output,
                (),
                history.before,
                history.after,
                counter.name,
                counter.exact,
                Goal(request.keep, request.limit),
                tuple(warnings),
                self._shrinker.mode,
                time.perf_counter() - started,
                request.query,
            ),
        )

    def _decide(
        self, messages: Sequence[Any], request: Request, pins: tuple[Pin, ...]
    ) -> tuple[range, dict[int, Decision]]:
        steps, history = self._steps, self._steps.history
        request = replace(request, first=not history.sent and not history.gone)
        turns = history.builder.turns if len(history) else 0
        fed = history.feed(messages)
        if fed.start == 0:
            turns = 0  # Also where all was read anew as another format.
        new = steps.replay(fed)
        request = replace(request, first=request.first and not history.sent)  # Another object may have sent it.
        touched: dict[int, Decision] = {}
        for pin in pins:
            touched |= steps.pin(pin)
        touched |= steps.adopt(request, new)
        touched |= steps.settle(request, new)
        touched |= steps.bear(request, fed, new)
        steps.age(turns)
        touched |= steps.rewrite(request)
        touched |= steps.fit(request)
        steps.freeze(touched)
        return fed, touched

    def _request(
        self, query: str | None, keep: float | None, limit: int | None, idle: float | None, born: Born | None
    ) -> Request:
        goal = policy_goal(self._policy)
        if keep is not None or limit is not None:
            goal = Goal(None if keep is None else check_keep(keep), None if limit is None else check_max_tokens(limit))
        if query is not None and not isinstance(query, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"query must be a str or None; got {type(query).__name__}")
        if idle is not None and not idle >= 0:
            raise ConfigError(f"idle must be 0 or more seconds, or None; got {idle!r}")
        return Request(query if query and query.strip() else None, goal.keep, goal.max_tokens, idle, True, born)

    def _decision(self, p: int, touched: Mapping[int, Decision]) -> Decision:
        """What happened to a text, in this turn or before."""
        history = self._steps.history
        entry, segment = history.entries[p], history.builder.segment(p)
        if p in touched:
            return replace(touched[p], segment=segment)
        made = Decision(segment, "frozen", FROZEN, entry.text, entry.before, entry.after)
        if entry.settled:
            old = entry.decision
            return made if old is None else replace(made, keep=old.keep, attempts=old.attempts, verdict=old.verdict)
        if segment.lock_reason is not None:
            return replace(made, action="locked", reason=segment.lock_reason)
        if segment.age < self._steps.window and segment.kind != "document":
            return replace(made, action="locked", reason=f"among the {self._steps.window} newest turns")
        return replace(made, reason=WAITING)
