"""The facts of one section: asked for, checked, asked for again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ctxshrink.guardrails.fidelity import Rewording
from ctxshrink.types import ContentType

from ._answer import normal_form, read_answer
from ._prompt import SYSTEM, question
from ._values import Coverage, Values, coverage, values_of

ANSWERS = 2
"""Answers that are asked for: a second one where the first cannot be used or leaves values out."""
_ROOM, _LEAST_ROOM = 1.5, 256
"""Tokens of an answer for each of its section, and beside them: quotes and commas count, and tokenizers differ."""
_LARGER = 1.5
"""An answer with more characters than this for each of its section is not looked at: it is no list of dense facts."""

Ask = Callable[[str, str, int], str]
"""Instruction, text and most tokens to an answer; raises `Unanswered`."""


class Unanswered(Exception):
    """A request that has no answer, with the reason. Never leaves this package."""


@dataclass(frozen=True, slots=True)
class Task:
    """A section to find the facts of.

    Attributes:
        text: The section with its overlap.
        own: The section alone: what must be covered.
        title: The document's.
        kind: What the text looks like.
        tokens: Tokens of the section.
        keep: Share of its tokens that the facts may have; None leaves it to the model.
        floor: Least coverage.
    """

    text: str
    own: str
    title: str
    kind: ContentType
    tokens: int
    keep: float | None
    floor: float


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a section.

    Attributes:
        facts: Its facts, in order; none where it failed.
        coverage: Of its values by the facts.
        dropped: Facts of the model that were dropped.
        why: Why the first one was; "" where none was.
        failure: Why its facts cannot be used; "" where they can.
        reached: False where the model gave no answer: a later try may do better.
    """

    facts: tuple[str, ...]
    coverage: Coverage
    dropped: int
    why: str
    failure: str
    reached: bool


def find_facts(task: Task, ask: Ask) -> Found:
    """The facts of one section. Never raises for what the model does."""
    work = _Work(task)
    failure, missing = "", tuple[str, ...]()
    most = math.ceil(task.tokens * _ROOM) + _LEAST_ROOM
    words = None if task.keep is None else max(8, math.floor(task.keep * len(task.own.split())))
    for _ in range(ANSWERS):
        request = question(task.text, task.title, words=words, problem=failure, missing=missing)
        try:
            answer = ask(SYSTEM, request, most)
        except Unanswered as error:
            return work.found(str(error), reached=False)
        failure = work.read(answer)
        if not failure:
            return work.found("", reached=True)
        missing = work.coverage.missing if work.facts else ()
    return work.found(failure, reached=True)


class _Work:
    """The facts of a section so far."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._values, self._wording = Values(task.text), Rewording(task.text, task.kind)
        self._wanted = values_of(task.own)
        self.facts: dict[tuple[str, ...], str] = {}
        self.coverage = coverage(self._wanted, "")
        self._seen = set[tuple[str, ...]]()
        self._dropped, self._why = 0, ""

    def read(self, text: str) -> str:
        """Take in an answer; returns what is wrong, "" where the facts can be used."""
        if not text.strip():
            return "it is empty"
        if len(text) > _LARGER * len(self._task.text) + 2000:
            return "it is longer than the document"
        answer = read_answer(text)
        if not answer.facts:
            return "it holds no JSON list of facts" if not answer.whole else "its list of facts is empty"
        for fact in answer.facts:
            self._take(fact)
        self.coverage = coverage(self._wanted, "\n".join(self.facts.values()))
        if not self.facts:
            return "none of its facts stands in the document"
        if self.coverage.share < self._task.floor:
            share = f"{self.coverage.covered} of {self.coverage.total} values"
            cut = "" if answer.whole else ", and its JSON is cut off"
            return f"its facts hold {share} of the document, fewer than {self._task.floor:.0%}{cut}"
        return ""

    def found(self, failure: str, *, reached: bool) -> Found:
        """The outcome."""
        # Why is for the record only: it quotes the answer, and a request holds nothing of that beside its markers.
        if failure and not self.facts and self._why:
            failure += f" ({self._why})"
        facts = () if failure else tuple(self.facts.values())
        return Found(facts, self.coverage, self._dropped, self._why, failure, reached)

    def _take(self, fact: str) -> None:
        key = normal_form(fact)
        if not key or key in self._seen:
            return
        self._seen.add(key)
        invented = self._values.invented(fact)
        why = f"a fact says {invented}, which the document does not" if invented else self._wording.changes(fact).reason
        if why:
            self._dropped += 1
            self._why = self._why or why
        else:
            self.facts[key] = fact
