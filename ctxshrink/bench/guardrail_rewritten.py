"""What a guardrail makes of retrieved text in other words: lists of facts that are whole, lack what is needed, or lie.

Every document of a record is reworded by rule (`_rewording`), as if a language model had distilled it offline, and
judged for the record's question. Lists with a changed fact are judged one document at a time: the rest of an output
says nothing of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ctxshrink.guardrails.fidelity import Rewording
from ctxshrink.text import content_type, units
from ctxshrink.tokens import EmbeddedCounter
from ctxshrink.types import Call, Goal, OutputGuardrail, Segment, Trial

from ._rewording import DAMAGES, reword
from .data import RagRecord
from .scoring import Haystack
from .stats import clopper_pearson

LIES: Final = 3
"""Documents of each record in which facts are changed."""
LEAST, MOST = 80, 6000
"""Characters of a document that is reworded; longer ones would take all of the time."""
COMPLETE: Final = "all said"
TEXTS: Final = "all said, single texts"
FACTS: Final = "all said, single facts"
WITHOUT: Final = "needed sentence left out"
EXTRACTS: Final = "needed sentence left out, extracts"


@dataclass(frozen=True, slots=True)
class Retelling:
    """One text or output in other words.

    Attributes:
        what: What was done: one of the names above, or of `DAMAGES`.
        harmful: It should be rejected.
        source: The set.
        rejected: It was.
        reason: Of the verdict that decided.
    """

    what: str
    harmful: bool
    source: str
    rejected: bool
    reason: str


@dataclass(frozen=True, slots=True)
class RetellingRow:
    """What a guardrail makes of one sort of texts.

    Attributes:
        what: See `Retelling`.
        harmful: Whether they should be rejected.
        cases: How many.
        right: Those of them that were judged so.
        share: Share of them.
        interval: Its exact 95 % interval (Clopper and Pearson).
    """

    what: str
    harmful: bool
    cases: int
    right: int
    share: float
    interval: tuple[float, float]


def retell_all(
    source: str, records: Sequence[RagRecord], guardrail: OutputGuardrail, step: Callable[[], None] = lambda: None
) -> list[Retelling]:
    """Reword the documents of records, with and without loss, and judge them.

    Args:
        source: The set's name.
        records: Its records.
        guardrail: The guardrail.
        step: Called after each record.
    """
    out = list[Retelling]()
    for seed, record in enumerate(records):
        out += _outputs(source, record, guardrail, seed)
        out += _lies(source, record, seed)
        step()
    return out


def summarize(found: Sequence[Retelling]) -> list[RetellingRow]:
    """A row for each sort of texts, those that should be accepted first."""
    rows = list[RetellingRow]()
    for harmful, what in sorted(dict.fromkeys((r.harmful, r.what) for r in found), key=lambda key: key[0]):
        group = [r for r in found if (r.harmful, r.what) == (harmful, what)]
        right = sum(r.rejected == harmful for r in group)
        rows.append(
            RetellingRow(what, harmful, len(group), right, right / len(group), clopper_pearson(right, len(group)))
        )
    return rows


def _outputs(source: str, record: RagRecord, guardrail: OutputGuardrail, seed: int) -> Iterator[Retelling]:
    call, documents = _call(record)
    if not documents:
        return
    whole = [_retold(s, facts, seed + i) for i, (s, facts) in enumerate(documents)]
    verdicts = guardrail.check(whole, call)
    for verdict in verdicts:
        yield Retelling(TEXTS, False, source, not verdict.ok, verdict.reason)
    # A text that is rejected comes out otherwise: the output is made of the others.
    accepted = [t for t, v in zip(whole, verdicts, strict=True) if v.ok]
    if accepted:
        verdict = guardrail.check_output(accepted, call)
        yield Retelling(COMPLETE, False, source, not verdict.ok, verdict.reason)
    needed = [min(spellings, key=len) for spellings in _needed(record)]
    gone = [[f for f in facts if any(Haystack(f).contains(n) for n in needed)] for _, facts in documents]
    if not any(gone):
        return
    # Only the documents that lose something are changed: what is judged is that loss.
    lossy = [(s, facts, lost, i) for i, ((s, facts), lost) in enumerate(zip(documents, gone, strict=True)) if lost]
    told = [_retold(s, [f for f in facts if f not in lost], seed + i) for s, facts, lost, i in lossy]
    cut = [_extract(s, frozenset(lost)) for s, _, lost, _ in lossy]
    for what, trials in ((WITHOUT, told), (EXTRACTS, cut)):
        bad = [v for v in guardrail.check(trials, call) if not v.ok]
        verdict = bad[0] if bad else guardrail.check_output(trials, call)
        yield Retelling(what, True, source, not verdict.ok, verdict.reason)


def _lies(source: str, record: RagRecord, seed: int) -> Iterator[Retelling]:
    _, documents = _call(record)
    pick = random.Random(f"{source}:{record.id}")
    for segment, facts in pick.sample(documents, min(LIES, len(documents))):
        wording, honest = Rewording(segment.text, segment.content_type), reword(facts, seed)
        for fact in honest:
            reason = wording.changes(fact, record.query).reason
            yield Retelling(FACTS, False, source, reason is not None, reason or "")
        for what, damage in DAMAGES.items():
            changed = [damage(fact, pick) for fact in facts]
            able = [i for i, fact in enumerate(facts) if changed[i] != fact]
            if not able:
                continue
            at = pick.choice(able)
            lie = reword([*facts[:at], changed[at], *facts[at + 1 :]], seed)
            if lie != honest:
                reason = wording.changes("\n".join(lie), record.query).reason
                yield Retelling(what, True, source, reason is not None, reason or "")


def _call(record: RagRecord) -> tuple[Call, list[tuple[Segment, list[str]]]]:
    """The call of a record, and its documents in prose with their sentences, each on one line."""
    texts = [str(d["text"]) for d in record.docs]
    titles = [str(d.get("title") or "") for d in record.docs]
    segments = tuple(
        Segment(str(i), text, content_type=content_type(text), title=title)
        for i, (text, title) in enumerate(zip(texts, titles, strict=True))
    )
    counter = EmbeddedCounter()
    tokens = dict(zip((s.id for s in segments), counter.count(texts), strict=True))
    call = Call(segments, tokens, counter, Goal(), record.query, record.query)
    prose = [s for s in segments if s.content_type == "prose" and LEAST <= len(s.text) <= MOST]
    return call, [(s, [f for _, f in _sentences(s)]) for s in prose]


def _sentences(segment: Segment) -> list[tuple[tuple[int, int], str]]:
    spans = units(segment.text, segment.content_type)
    return [((a, b), fact) for a, b in spans if (fact := " ".join(segment.text[a:b].split()))]


def _retold(segment: Segment, facts: Sequence[str], seed: int) -> Trial:
    return Trial(segment, "\n".join(reword(facts, seed)), rewritten=True)


def _extract(segment: Segment, lost: frozenset[str]) -> Trial:
    spans = tuple(span for span, fact in _sentences(segment) if fact not in lost)
    return Trial(segment, "\n".join(segment.text[a:b] for a, b in spans), spans)


def _needed(record: RagRecord) -> list[tuple[str, ...]]:
    """The needed strings of a record in all of their spellings."""
    return [record.answers] if record.answers else [(s,) for s in record.facts or record.support]
