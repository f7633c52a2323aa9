"""Distillation to dense facts by a language model, every one of which is checked against its source."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from ctxshrink._deadline import describe
from ctxshrink.errors import ConfigError, MissingExtraError
from ctxshrink.guardrails import PerplexityGuardrail
from ctxshrink.policies import check_keep
from ctxshrink.text import content_type
from ctxshrink.types import Call, Goal, Guardrail, Segment, Trial, Verdict

from ._answer import normal_form
from ._prompt import PROMPT
from ._recipes import describe_guardrail, last_part, package_version
from ._section_facts import Found, Task, find_facts
from ._sections import Section, sections
from ._threads import in_threads
from .extractive import ExtractiveDistiller
from .limits import Limits, Usage
from .llms import LLM, as_llm
from .types import Distillate, Setting, Source, recipe_key

__all__ = ["FactsDistiller"]

_log = logging.getLogger("ctxshrink")

_LEAST = 40
"""Tokens below which a text is not worth a request: its facts with what surrounds them would not be shorter."""
_TOO_LARGE = 1.5
"""A section of more tokens than this for each that was asked for has no boundary to cut it at."""
_NO_FACTS = frozenset({"code", "diff"})
"""Contents whose every character is meant: facts in words would stand for none of it."""


class FactsDistiller:
    """Texts as lists of dense facts in the words of a language model; implements `Distiller`.

    The text is data to the model, not an instruction: it stands between markers that cannot occur in it, and nothing
    of an answer is used but the facts that pass. A fact is dropped where it holds a number, date, name, id or URL that
    its section does not, exchanges numbers, or loses or adds a negation (`ctxshrink.guardrails.fidelity`, the rule for
    other words). A section whose facts then hold less than ``coverage`` of its values is asked for once more and else
    stands as the extractive distiller makes it. The guardrail judges the whole text. Where that fails, or it is not
    shorter than the source, the extractive result stands, else the source; the reason says which and why. Where the
    model could not be reached, or its limits are spent, the distillate is not ``final``.

    Sections are asked for several at a time; the order and content of what comes back does not depend on it, as far
    as the model gives the same answer to the same request. Safe to share between threads.

    Args:
        llm: A language model: an `OpenAIEndpoint`, a LangChain chat model, a LlamaIndex LLM, or your own `LLM`.
        keep: Share of each text's tokens that its facts may have, in (0, 1], told to the model and then required. None:
            any number fewer than the text's.
        coverage: Least share in [0, 1] of a section's numbers, dates, names and ids that its facts must hold.
        guardrail: Judges the whole: ``"perplexity"`` is `PerplexityGuardrail()`; None checks nothing beyond the rules.
        fallback: What stands where facts cannot; default ``ExtractiveDistiller(keep or 0.5)``. Its token counter is
            the one in use here.
        limits: Bounds on requests, rates and costs.
        section_tokens: Most tokens of a section.
        overlap_tokens: Tokens of the section before that the model reads again, about.

    Raises:
        ConfigError: An argument is wrong.
        MissingExtraError: tenacity is not installed.
    """

    name = "facts"

    def __init__(
        self,
        llm: object,
        *,
        keep: float | None = None,
        coverage: float = 0.8,
        guardrail: Guardrail | Literal["perplexity"] | None = "perplexity",
        fallback: ExtractiveDistiller | None = None,
        limits: Limits | None = None,
        section_tokens: int = 2000,
        overlap_tokens: int = 100,
    ) -> None:
        self.llm: LLM = as_llm(llm)
        self.keep = None if keep is None else check_keep(keep)
        if not 0 <= coverage <= 1:
            raise ConfigError(f"coverage must be a share in [0, 1]; got {coverage!r}")
        if guardrail is not None and guardrail != "perplexity" and not hasattr(guardrail, "check"):
            raise ConfigError(f'guardrail must be "perplexity", None or have a check method; got {guardrail!r}')
        if section_tokens < 100 or not 0 <= overlap_tokens < section_tokens:
            raise ConfigError(
                "section_tokens must be >= 100 and overlap_tokens fewer than that, 0 or more; "
                f"got {section_tokens!r} and {overlap_tokens!r}"
            )
        self.coverage = coverage
        self.guardrail = PerplexityGuardrail() if isinstance(guardrail, str) else guardrail
        self.fallback = ExtractiveDistiller(self.keep or 0.5) if fallback is None else fallback
        self.limits = Limits() if limits is None else limits
        self.section_tokens, self.overlap_tokens = section_tokens, overlap_tokens
        self._counter = self.fallback.shrinker.counter
        try:
            from ._calls import Caller
        except ImportError as error:
            raise MissingExtraError("distilling with a language model", "distill") from error
        self._caller = Caller(self.llm, self._counter, self.limits)

    def __repr__(self) -> str:
        return f"FactsDistiller({self.llm!r}, keep={self.keep}, coverage={self.coverage}, limits={self.limits!r})"

    @property
    def recipe(self) -> Mapping[str, Setting]:
        """The model's name and every setting that the facts depend on; the limits are none."""
        return {
            "method": self.name,
            "llm": self.llm.name,
            "prompt": PROMPT,
            "keep": self.keep,
            "coverage": self.coverage,
            "guardrail": describe_guardrail(self.guardrail),
            "section_tokens": self.section_tokens,
            "overlap_tokens": self.overlap_tokens,
            "fallback": recipe_key(self.fallback.recipe),
            "counter": last_part(self._counter.name),
            "version": package_version(),
        }

    @property
    def counter_name(self) -> str:
        """The token counter of the fallback."""
        return self.fallback.counter_name

    @property
    def usage(self) -> Usage:
        """Requests and tokens so far."""
        return self._caller.usage

    def distill(self, sources: Sequence[Source], /) -> list[Distillate]:
        """One distillate per source, in order. Never raises for what the model does."""
        plans = [self._plan(source) for source in sources]
        tasks = [task for plan in plans for task in plan.tasks]
        found = iter(self._ask(tasks))
        return [self._finish(plan, [next(found) for _ in plan.tasks]) for plan in plans]

    def _plan(self, source: Source) -> _Plan:
        kind = source.content_type or content_type(source.text)
        [tokens] = self._counter.count([source.text])
        segment = Segment("0", source.text, content_type=kind, title=source.title)
        why = ""
        if kind in _NO_FACTS:
            why = f"a text that is {kind} is not told in facts"
        elif tokens < _LEAST:
            why = f"a text of fewer than {_LEAST} tokens is not worth a request"
        if why:
            return _Plan(source, segment, tokens, (), (), why)
        pieces = sections(source.text, kind, self._counter, self.section_tokens, self.overlap_tokens)
        if not pieces or max(p.tokens for p in pieces) > _TOO_LARGE * self.section_tokens:
            why = "the text has no boundaries to cut it into sections at"
            return _Plan(source, segment, tokens, (), (), why)
        tasks = tuple(
            Task(
                source.text[p.lead : p.end],
                source.text[p.start : p.end],
                source.title,
                kind,
                p.tokens,
                self.keep,
                self.coverage,
            )
            for p in pieces
        )
        return _Plan(source, segment, tokens, tuple(pieces), tasks, "")

    def _ask(self, tasks: Sequence[Task]) -> list[Found]:
        """What the model finds in each section, in order."""
        if len(tasks) < 2 or self.limits.concurrency == 1:
            return [self._find(task) for task in tasks]
        return in_threads(self._find, tasks, self.limits.concurrency)

    def _find(self, task: Task, stop: threading.Event | None = None) -> Found:
        return find_facts(task, partial(self._caller.ask, stop=stop))

    def _finish(self, plan: _Plan, found: Sequence[Found]) -> Distillate:
        if not plan.tasks:
            return self._fall_back(plan, plan.why, found)
        failed = [f.failure for f in found if f.failure]
        if len(failed) == len(found):
            return self._fall_back(plan, f"no facts: {failed[0]}", found)
        text, facts = self._merge(plan, found)
        [tokens] = self._counter.count([text])
        most = plan.tokens - 1 if self.keep is None else min(plan.tokens - 1, int(self.keep * plan.tokens))
        if tokens > most:
            return self._fall_back(plan, f"the facts have {tokens} tokens, of which {most} were allowed", found)
        verdict = self._judge(plan, text)
        if verdict is not None and not verdict.ok:
            return self._fall_back(plan, f"the facts were rejected: {verdict.reason}", found)
        scores = {"coverage": _share(found), "facts": float(facts), "dropped": float(sum(f.dropped for f in found))}
        scores |= {"sections": float(len(found)), "sections_failed": float(len(failed))}
        scores |= {} if verdict is None else {"risk": verdict.score}
        return Distillate(
            text, self.name, _reason(found, facts), plan.tokens, tokens, scores, final=all(f.reached for f in found)
        )

    def _merge(self, plan: _Plan, found: Sequence[Found]) -> tuple[str, int]:
        """Facts of all sections, each once, and the number of them; sections without stand as the fallback has them."""
        seen = set[tuple[str, ...]]()
        parts: list[str] = []
        facts = 0
        for section, outcome in zip(plan.sections, found, strict=True):
            if outcome.failure:
                piece = plan.source.text[section.start : section.end].strip()
                [made] = self.fallback.distill([replace(plan.source, text=piece)])
                parts.append(made.text)
                continue
            for fact in outcome.facts:
                if (key := normal_form(fact)) not in seen:
                    seen.add(key)
                    parts.append(fact)
                    facts += 1
        return "\n".join(parts), facts

    def _judge(self, plan: _Plan, text: str) -> Verdict | None:
        """The guardrail's verdict on the whole; a guardrail that fails rejects.

        By its rule for one segment: what a whole output may leave out depends on the question, which nobody knows yet.
        """
        guardrail = self.guardrail
        if guardrail is None:
            return None
        call = Call((plan.segment,), {plan.segment.id: plan.tokens}, self._counter, Goal())
        trial = Trial(plan.segment, text, rewritten=True)
        try:
            [verdict] = guardrail.check([trial], call)
        except Exception as error:  # noqa: BLE001  fail open: what nobody could judge does not stand, with this reason
            _log.warning("guardrail %s failed: %s", guardrail.name, type(error).__name__)
            return Verdict(False, 1.0, f"guardrail {guardrail.name} failed: {describe(error)}")
        return verdict

    def _fall_back(self, plan: _Plan, why: str, found: Sequence[Found]) -> Distillate:
        [made] = self.fallback.distill([plan.source])
        dropped = sum(f.dropped for f in found)
        scores = {**made.scores, **({"coverage": _share(found), "dropped": float(dropped)} if found else {})}
        final = made.final and all(f.reached for f in found)
        return replace(made, reason=f"{why}; {made.method} instead: {made.reason}", scores=scores, final=final)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is asked for one source: nothing where ``why`` says so."""

    source: Source
    segment: Segment
    tokens: int
    sections: tuple[Section, ...]
    tasks: tuple[Task, ...]
    why: str


def _share(found: Sequence[Found]) -> float:
    """Coverage of all sections together."""
    total = sum(f.coverage.total for f in found)
    return round(sum(f.coverage.covered for f in found) / total, 4) if total else 1.0


def _reason(found: Sequence[Found], facts: int) -> str:
    total = sum(f.coverage.total for f in found)
    covered = sum(f.coverage.covered for f in found)
    said = (
        f"{facts} facts of {len(found)} {'section' if len(found) == 1 else 'sections'} hold {covered} of {total} values"
    )
    dropped = sum(f.dropped for f in found)
    if dropped:
        said += f"; {dropped} dropped, the first because: {next(f.why for f in found if f.dropped)}"
    if failed := [f.failure for f in found if f.failure]:
        said += f"; {len(failed)} sections stand as extracts, the first because: {failed[0]}"
    return said
