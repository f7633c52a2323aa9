"""The methods that are compared, all run through the same `Shrinker`: one counter, one budget, one locked set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ctxshrink import PerplexityGuardrail, Shrinker
from ctxshrink.errors import ConfigError
from ctxshrink.policies import Adaptive
from ctxshrink.types import Call, ContentType, Guardrail, Kind, Trial, Verdict

_KINDS: tuple[Kind, ...] = ("instruction", "user", "assistant", "tool_call", "tool_result", "document")
_TYPES: tuple[ContentType, ...] = ("prose", "json", "log", "code", "diff", "table", "html")


def pooled_policy() -> Adaptive:
    """A policy that follows a compressor's own pooled selection and adds nothing to it.

    Floors, the claim of recent turns and whole short segments are what `ctxshrink` adds; a baseline that was run under
    them would be measured with a handicap. Without them λ·relevance is the share of each segment that the compressor
    picked when it ranked the text of the whole call together.
    """
    return Adaptive(
        kind_floors=dict.fromkeys(_KINDS, 0.0),
        type_floors=dict.fromkeys(_TYPES, 0.0),
        half_life=1e9,
        min_tokens=0,
    )


class Recorder:
    """A guardrail that remembers the first batch of every call, so that its verdicts can be held against what was lost.

    The first batch are the first attempts at all segments. Later ones are retries, which the budget may override; they
    would mix the guardrail's judgement with the remedy.

    Args:
        inner: The guardrail that judges.

    Attributes:
        name: The inner guardrail's name.
        first: Trials and verdicts of the newest call's first batch.
    """

    def __init__(self, inner: Guardrail) -> None:
        self.name = inner.name
        self.first: tuple[Sequence[Trial], Sequence[Verdict]] | None = None
        self._inner = inner

    def check(self, trials: Sequence[Trial], call: Call, /) -> Sequence[Verdict]:
        """Judge, and remember the batch if it is the first since `clear`."""
        verdicts = self._inner.check(trials, call)
        if self.first is None:
            self.first = (tuple(trials), tuple(verdicts))
        return verdicts

    def clear(self) -> None:
        """Forget the batch; call it before each shrink."""
        self.first = None


@dataclass(frozen=True, slots=True)
class Runner:
    """A method, ready to run.

    Attributes:
        method: Its name.
        shrinker: What it runs.
        recorder: Its guardrail, if it has one.
    """

    method: str
    shrinker: Shrinker
    recorder: Recorder | None = None


def _ctxshrink(guardrail: bool) -> Runner:
    recorder = Recorder(PerplexityGuardrail()) if guardrail else None
    return Runner("ctxshrink", Shrinker(guardrail=recorder), recorder)


def _baseline(name: str) -> Callable[[bool], Runner]:
    def build(guardrail: bool) -> Runner:
        del guardrail  # Baselines have none: that is part of what is compared.
        return Runner(name, Shrinker(policy=pooled_policy(), compressors=[name], guardrail=None))

    return build


METHODS: Mapping[str, Callable[[bool], Runner]] = MappingProxyType(
    {"ctxshrink": _ctxshrink, **{name: _baseline(name) for name in ("bm25", "lead", "random", "truncate")}}
)
"""How each method is built, by name. ``ctxshrink`` is the default `Shrinker`; the others are plain compressors."""


def build(names: Sequence[str], *, guardrail: bool) -> list[Runner]:
    """Runners for the named methods, in that order.

    Raises:
        ConfigError: A name is not in `METHODS`, or none is given.
    """
    unknown = [n for n in names if n not in METHODS]
    if unknown or not names:
        raise ConfigError(f"--methods must name some of {', '.join(METHODS)}; got {', '.join(unknown) or 'nothing'}")
    return [METHODS[n](guardrail) for n in dict.fromkeys(names)]
