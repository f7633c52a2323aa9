"""Runs methods over records and keeps what was seen; `summary` turns it into tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ctxshrink.errors import ConfigError
from ctxshrink.result import ShrinkResult
from ctxshrink.types import Segment, Trial, Verdict

from .data import Record
from .methods import Runner
from .peer_methods.measure import measure_peer
from .peer_methods.runner import PeerRunner
from .scoring import Haystack
from .tasks import Shrunk, Task

_WARM_UP = "The pump was replaced in May. The valve was replaced in June. Nothing else was changed that year."


@dataclass(frozen=True, slots=True)
class Judged:
    """The guardrail's first judgements of one call, held against what those texts had lost.

    Attributes:
        risk: Highest score of the call's verdicts.
        lost: Something that will be asked for was in the input and is not in the first attempt; None when it never was.
        segments: (score, lost) of every judged segment.
    """

    risk: float
    lost: bool | None
    segments: tuple[tuple[float, bool], ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """One record under one method at one keep.

    Attributes:
        set_name: The set it belongs to.
        lang: Its language.
        method: The method's name.
        keep: Asked share.
        scores: See `Task.scores`.
        tokens_before: Tokens of the whole input.
        tokens_after: Tokens of the whole output.
        free_before: Of the input, those that were not locked.
        free_after: Of the output, those that were not locked, counted again on the output itself.
        over: Tokens over the budget; 0 when it held.
        broken: Locked texts that did not come out byte for byte.
        seconds: Wall-clock time of the call, with the time that texts which a sentence encoder had already seen took
            then. Other methods' own caches are theirs: a record's second share may find what its first one computed.
        failed: Attempts that raised, and ranks that could not be had. The call goes on without them, and is then no
            longer a measurement of its method.
        at_risk: Strings that will be asked for and that stand in the unlocked text alone, see `at_risk`.
        lost: Those of them that stand nowhere in the output.
        setting: What a method of another package was asked for, in its own words.
        failure: Why it failed on the record, which is whole then.
        actions: Segments by what came out of them.
        accepted: Attempts that the guardrail accepted.
        rejected: Attempts that it rejected.
        judged: None for methods without a guardrail.
    """

    set_name: str
    lang: str
    method: str
    keep: float
    scores: Mapping[str, float]
    tokens_before: int
    tokens_after: int
    free_before: int
    free_after: int
    over: int
    broken: int
    seconds: float
    actions: Mapping[str, int] = field(default_factory=dict[str, int])
    accepted: int = 0
    rejected: int = 0
    judged: Judged | None = None
    failed: int = 0
    at_risk: int = 0
    lost: int = 0
    setting: str = ""
    failure: str = ""


def run(
    task: Task[Any],
    sets: Mapping[str, Sequence[Record]],
    runners: Sequence[Runner],
    keeps: Sequence[float],
    step: Callable[[str], None],
) -> list[Observation]:
    """Measure every record of every set with every method at every keep.

    Args:
        task: What the records are.
        sets: Records by set name.
        runners: The methods.
        keeps: Shares to keep, each in (0, 1].
        step: Called after each record with what is being done, for a progress bar.

    Returns:
        One observation per record, method and keep; for each method and keep the records are in the same order.

    Raises:
        ConfigError: A method fails on the simplest text: its packages or files do not work here.
    """
    for runner in runners:
        warm_up(runner)
    return [
        observation
        for name, records in sets.items()
        for record in records
        for observation in measure_record(task, name, record, runners, keeps, step)
    ]


def warm_up(runner: Runner) -> None:
    """Have a method load its models, which it does on first use: that is not what is measured.

    Raises:
        ConfigError: It fails on the simplest text: its packages or files do not work here.
    """
    result = runner.shrinker.shrink_text(_WARM_UP, "What was replaced in June?", keep=0.5)
    if why := _failures(result):
        raise ConfigError(f"--methods {runner.method}: {why[0]}")


def measure_record(
    task: Task[Any],
    set_name: str,
    record: Record,
    runners: Sequence[Runner | PeerRunner],
    keeps: Sequence[float],
    step: Callable[[str], None],
) -> list[Observation]:
    """One record with every method at every keep; the methods share what a sentence encoder made of it.

    Args:
        task: What the record is.
        set_name: The set it belongs to.
        record: The record.
        runners: The methods.
        keeps: Shares to keep, each in (0, 1].
        step: Called after each observation with what was done.
    """
    found = list[Observation]()
    for runner in runners:
        for keep in keeps:
            if isinstance(runner, PeerRunner):
                found.append(measure_peer(task, set_name, runner, record, keep))
            else:
                found.append(_measure(task, set_name, runner, record, keep))
            step(f"{set_name}: {runner.method} at {keep:g}")
    for runner in runners:
        if runner.encoder is not None:
            runner.encoder.forget()
    return found


def _measure(task: Task[Any], set_name: str, runner: Runner, record: Record, keep: float) -> Observation:
    if runner.recorder is not None:
        runner.recorder.clear()
    spared = runner.encoder.spared if runner.encoder is not None else 0.0
    shrunk = task.shrink(runner.shrinker, record, keep, on_reject=runner.on_reject)
    result = shrunk.result
    haystack = shrunk.haystack
    risked = at_risk(task, record, [d.segment for d in result.decisions])
    spared = runner.encoder.spared - spared if runner.encoder is not None else 0.0
    free_after = sum(runner.shrinker.counter.count(list(shrunk.bound)))
    verdicts = [a.verdict for d in result.decisions for a in d.attempts if a.verdict is not None and a.error is None]
    accepted = sum(v.ok for v in verdicts)
    return Observation(
        set_name,
        record.lang,
        runner.method,
        keep,
        task.scores(record, haystack),
        result.tokens_before,
        result.tokens_after,
        sum(d.tokens_before for d in result.decisions if not d.segment.locked),
        free_after,
        max(0, free_after - shrunk.budget),
        shrunk.broken,
        result.seconds + spared,
        dict(Counter(d.action for d in result.decisions)),  # Of a Counter, `asdict` would count the pairs.
        accepted,
        len(verdicts) - accepted,
        None if runner.recorder is None else _judged(task, record, shrunk, runner.recorder.first),
        len(_failures(result)),
        sum(risked),
        sum(r and not still for r, still in zip(risked, task.needed(record, haystack), strict=True)),
    )


def at_risk(task: Task[Any], record: Record, segments: Sequence[Segment]) -> list[bool]:
    """Which of the strings that will be asked for stand in the unlocked text and not in the locked: what can be lost.

    Args:
        task: What the record is.
        record: The record.
        segments: Every segment of its call. Tool calls are not searched: their arguments would hide that the result
            they were taken from was lost.
    """
    searched = [s for s in segments if s.kind != "tool_call"]
    free, locked = (
        task.needed(record, Haystack("\n".join(s.text for s in searched if s.locked == locked)))
        for locked in (False, True)
    )
    return [f and not also for f, also in zip(free, locked, strict=True)]


def _failures(result: ShrinkResult[Any]) -> list[str]:
    """What plug-ins raised in a call that went on without them."""
    errors = [a.error for d in result.decisions for a in d.attempts if a.error is not None and " failed: " in a.error]
    return errors + [w for w in result.warnings if w.startswith("relevance is unknown")]


def _judged(
    task: Task[Any], record: Record, shrunk: Shrunk, first: tuple[Sequence[Trial], Sequence[Verdict]] | None
) -> Judged:
    """Hold the first verdicts against the first attempts. Segments that were not tried count as they came out."""
    trials, verdicts = first or ((), ())
    tried = {t.segment.id: t.text for t in trials}
    decisions = shrunk.result.decisions
    searched = [d for d in decisions if d.segment.kind != "tool_call"]
    before = Haystack("\n".join(d.segment.text for d in searched))
    after = Haystack("\n".join(tried.get(d.segment.id, d.text) for d in searched))
    segments = tuple(
        (v.score, bool(_lost(task, record, Haystack(t.segment.text), Haystack(t.text))))
        for t, v in zip(trials, verdicts, strict=True)
    )
    return Judged(max((v.score for v in verdicts), default=0.0), _lost(task, record, before, after), segments)


def _lost(task: Task[Any], record: Record, before: Haystack, after: Haystack) -> bool | None:
    had = task.needed(record, before)
    if not any(had):
        return None
    return any(h and not still for h, still in zip(had, task.needed(record, after), strict=True))
