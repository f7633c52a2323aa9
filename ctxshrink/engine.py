"""What happens between segments and decisions: lock, count, rank, share out, climb the ladder, report."""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ._deadline import DeadlineExceeded, describe, within_deadline
from ._output import settle
from .compressors import get_compressor
from .drift import DriftMonitor, rejected_nothing
from .economics import Economics, Part
from .errors import BudgetError, ConfigError
from .ladder import Ladder
from .policies import check_keep, check_max_tokens, policy_goal, recent_turns, unlocked_budget
from .result import ShrinkResult
from .shares import checked_keeps, shares
from .types import (
    Call,
    Compressor,
    Decision,
    Goal,
    Guardrail,
    Job,
    OnReject,
    OriginalStore,
    OutputGuardrail,
    Policy,
    Ranker,
    Segment,
    TokenCounter,
)

_log = logging.getLogger("ctxshrink")

REFERRED = 100
"""Least tokens of a segment whose original is stored: for a smaller one the reference would cost a good part of it."""
ANCHOR_CHARS = 1600
"""Characters of recent turns in the anchor: a few hundred tokens, as much as a small scorer can use."""


@dataclass(frozen=True)
class Engine:
    """The settings of a `Shrinker`, checked, and the one path that every call takes."""

    policy: Policy
    compressors: tuple[Compressor, ...]
    guardrail: Guardrail | None
    counter: TokenCounter
    mode: Literal["apply", "observe"]
    deadline: float | None
    store: OriginalStore | None = None
    economics: Economics | None = None
    monitor: DriftMonitor | None = None

    def run(
        self,
        segments: Sequence[Segment],
        *,
        query: str | None = None,
        keep: float | None = None,
        max_tokens: int | None = None,
        on_reject: OnReject | None = None,
        strict: bool = False,
        of: Part = "part",
    ) -> ShrinkResult[dict[str, str]]:
        """Decide every segment; see `ctxshrink.Shrinker.shrink_segments`. ``of``: see `Economics.declined`."""
        started = time.perf_counter()
        goal = self._goal(keep, max_tokens)
        if query is not None and not isinstance(query, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"query must be a str or None; got {type(query).__name__}")
        if on_reject not in (None, "exceed", "budget"):
            raise ConfigError(f'on_reject must be "exceed" or "budget"; got {on_reject!r}')
        on_reject = on_reject or ("exceed" if goal.max_tokens is None else "budget")
        call = self._call(segments, query, goal)
        budget = unlocked_budget(goal, call)
        over = _over(call, goal, strict)
        warnings = list(over)
        decisions = self._decide(call, budget, on_reject, warnings, of)
        self._watch(decisions, call, budget, warnings)
        after = sum(d.tokens_after for d in decisions)
        forced = sum(d.action == "forced" for d in decisions)
        if forced:
            were = "segment was" if forced == 1 else "segments were"
            warnings.append(f"{forced} {were} cut by the budget without the guardrail's consent; see decisions")
        if goal.max_tokens is not None and after > goal.max_tokens and not over:
            warnings.append(f"the output has {after} tokens, over max_tokens={goal.max_tokens}")
        before = sum(call.tokens.values())
        if before and after == before:
            warnings.append("nothing was compressed: " + _why_nothing(decisions))
        output = {d.segment.id: d.segment.text if self.mode == "observe" else d.text for d in decisions}
        _log.debug("shrink: %d segments, %d -> %d tokens", len(decisions), before, after)
        return ShrinkResult(
            output,
            tuple(decisions),
            before,
            after,
            self.counter.name,
            self.counter.exact,
            goal,
            tuple(warnings),
            self.mode,
            time.perf_counter() - started,
            query,
        )

    def _goal(self, keep: float | None, max_tokens: int | None) -> Goal:
        if keep is not None and max_tokens is not None:
            raise ConfigError(
                "give keep or max_tokens, not both; for both bounds at once use a policy: "
                "Adaptive(keep=0.5) & TokenBudget(4000)"
            )
        own = policy_goal(self.policy)
        if keep is not None:
            return Goal(keep=check_keep(keep), lossless=own.lossless)
        if max_tokens is not None:
            return Goal(max_tokens=check_max_tokens(max_tokens), lossless=own.lossless)
        return own

    def _call(self, segments: Sequence[Segment], query: str | None, goal: Goal) -> Call:
        window = recent_turns(self.policy)
        locked = tuple(_lock(s, window) for s in segments)
        ids = [s.id for s in locked]
        if len(set(ids)) != len(ids):
            raise ConfigError("two segments share an id; ids must be unique within a call")
        tokens = dict(zip(ids, self.counter.count([s.text for s in locked]), strict=True))
        deadline = None if self.deadline is None else time.monotonic() + self.deadline
        query = query if query and query.strip() else None
        return Call(locked, tokens, self.counter, goal, query, _anchor(locked, window, query), deadline)

    def _decide(self, call: Call, budget: int, on_reject: OnReject, warnings: list[str], of: Part) -> list[Decision]:
        unlocked = [s for s in call.segments if not s.locked]
        total = sum(call.tokens[s.id] for s in unlocked)
        if call.goal.lossless:
            decided = self._render(unlocked, call)
            return [decided.get(s.id) or _untouched(s, call, "") for s in call.segments]
        if not total or (call.goal != Goal() and total <= budget):
            return [_untouched(s, call, "the input fits as it is") for s in call.segments]
        ranked = self._rank(unlocked, call, budget / total, warnings)
        keeps = checked_keeps(self.policy(ranked, call), ranked, self.policy)
        ranked = self._refer(ranked, call, warnings)
        marks = dict(zip((s.id for s in ranked), self.counter.count([s.empty for s in ranked]), strict=True))
        least = {i: min(n, call.tokens[i]) for i, n in marks.items()}
        share = shares(keeps, ranked, call, budget, least)
        left = {} if self.economics is None else self.economics.declined(ranked, share, call, of=of)
        jobs = [
            Job(s, share[s.id] / call.tokens[s.id], share[s.id])
            for s in ranked
            if share[s.id] < call.tokens[s.id] and s.id not in left
        ]
        whole = get_compressor("structural") if any(getattr(c, "structure", False) for c in self.compressors) else None
        ladder = Ladder(self.compressors, self.guardrail, on_reject, get_compressor("lead"), whole=whole)
        decided = self._settle(ladder.run(jobs, call), jobs, ladder, call, warnings)
        if self.economics is not None:
            undone = self.economics.undone(tuple(decided.values()), call, of=of)
            decided = {i: _restored(d, undone[i]) if i in undone else d for i, d in decided.items()}
        kept = "the policy keeps it whole"
        return [decided.get(s.id) or _untouched(s, call, left.get(s.id, kept)) for s in call.segments]

    def _settle(
        self, decided: Mapping[str, Decision], jobs: Sequence[Job], ladder: Ladder, call: Call, warnings: list[str]
    ) -> Mapping[str, Decision]:
        """The decisions once the guardrail has judged the whole output."""
        if not isinstance(self.guardrail, OutputGuardrail):
            return decided
        settled = settle(decided, jobs, ladder, self.guardrail, call, ladder.on_reject == "exceed")
        if settled.last is not None and not settled.last.ok:
            warnings.append(f"the budget imposed an output that the guardrail rejects: it {settled.last.reason}")
        return settled.decisions

    def _watch(self, decisions: Sequence[Decision], call: Call, budget: int, warnings: list[str]) -> None:
        """Compare what the guardrail accepts with what it accepted when it was calibrated."""
        accepted = None if self.monitor is None else rejected_nothing(decisions)
        if self.monitor is None or accepted is None:
            return
        unlocked = sum(call.tokens[s.id] for s in call.segments if not s.locked)
        mode = "query" if call.query else "blind"
        if warning := self.monitor.observe(accepted, mode=mode, keep=budget / max(1, unlocked)):
            warnings.append(warning)

    def _render(self, unlocked: Sequence[Segment], call: Call) -> dict[str, Decision]:
        """Every segment with as few tokens as lose nothing."""
        jobs = [Job(s, 1.0, call.tokens[s.id]) for s in unlocked]
        structural = get_compressor("structural")
        return Ladder([structural], self.guardrail, "exceed", structural, softer_steps=0).run(jobs, call)

    def _refer(self, segments: list[Segment], call: Call, warnings: list[str]) -> list[Segment]:
        """The segments with the line that a shortened text of them ends with; their originals are stored by then."""
        if self.store is None or self.mode == "observe":
            return segments
        from .expand import reference_line

        large = [s for s in segments if call.tokens[s.id] >= REFERRED]
        try:
            ids = self.store.save([s.text for s in large])
        except Exception as error:  # noqa: BLE001  fail open: what is left out is then counted, and cannot be had again
            warnings.append(f"the store failed ({describe(error)}): what was left out cannot be expanded")
            return segments
        lines = {s.id: reference_line(i) for s, i in zip(large, ids, strict=True)}
        return [
            replace(s, reference=lines[s.id], empty=lines[s.id] if s.empty else "") if s.id in lines else s
            for s in segments
        ]

    def _rank(self, unlocked: list[Segment], call: Call, keep: float, warnings: list[str]) -> list[Segment]:
        """Segments with their relevance from the first compressor that ranks without failing; as they are without."""
        rankers = [c for c in self.compressors if isinstance(c, Ranker)]
        failed: list[str] = []
        for ranker in rankers:
            try:
                found = within_deadline(functools.partial(ranker.relevance, unlocked, keep, call), call)
                if len(found) == len(unlocked) and all(math.isfinite(r) for r in found):
                    warnings += [f"{why}: {ranker.name} ranked instead" for why in failed]
                    scores = [min(1.0, max(0.0, float(r))) for r in found]
                    return [replace(s, relevance=r) for s, r in zip(unlocked, scores, strict=True)]
                why = "its answer was not one finite number per segment"
            except DeadlineExceeded:
                failed.append("the deadline passed")
                break
            except Exception as error:  # noqa: BLE001  fail open: the next one ranks, or nobody does
                why = describe(error)
            failed.append(f"{ranker.name} could not rank ({why})")
        if failed:
            reasons = "; ".join(failed)
            warnings.append(f"relevance is unknown ({reasons}): the budget was shared out by age and kind alone")
        return unlocked


def _lock(segment: Segment, window: int) -> Segment:
    if segment.locked or segment.kind == "document" or segment.age >= window:
        return segment
    return replace(segment, lock_reason=f"among the {window} newest turns")


def _anchor(segments: Sequence[Segment], window: int, query: str | None) -> str | None:
    """The query and the newest turns, newest last, within `ANCHOR_CHARS`."""
    room, parts = ANCHOR_CHARS - len(query or ""), list[str]()
    for segment in reversed(segments):
        if room <= 0:
            break
        if segment.kind in ("user", "assistant", "tool_result") and segment.age < window and segment.text:
            parts.append(segment.text[-room:])
            room -= len(segment.text)
    if query:
        parts.insert(0, query)
    return "\n".join(reversed(parts)) or None


def _over(call: Call, goal: Goal, strict: bool) -> list[str]:
    locked = sum(call.tokens[s.id] for s in call.segments if s.locked)
    if goal.max_tokens is None or locked <= goal.max_tokens:
        return []
    message = f"locked text alone has {locked} tokens, {locked - goal.max_tokens} over max_tokens={goal.max_tokens}"
    if strict:
        raise BudgetError(f"{message}; raise max_tokens, lower the policy's recent_turns, or unpin something")
    return [message]


def _untouched(segment: Segment, call: Call, reason: str) -> Decision:
    action, reason = ("locked", segment.lock_reason) if segment.lock_reason is not None else ("kept", reason)
    tokens = call.tokens[segment.id]
    return Decision(segment, action, reason, segment.text, tokens, tokens, spans=((0, len(segment.text)),))


def _restored(decision: Decision, why: str) -> Decision:
    """The original in the place of what came out; the attempts stay on record."""
    text = decision.segment.text
    whole = replace(decision, action="kept", reason=why, text=text, tokens_after=decision.tokens_before)
    return replace(whole, spans=((0, len(text)),), source=None, rewritten=False)


def _why_nothing(decisions: Sequence[Decision]) -> str:
    if all(d.action == "locked" for d in decisions):
        return "all of it is locked (" + ", ".join(sorted({d.reason for d in decisions})) + ")"
    reasons: Mapping[str, None] = dict.fromkeys(d.reason for d in decisions if d.action != "locked")
    return "; ".join(list(reasons)[:3])
