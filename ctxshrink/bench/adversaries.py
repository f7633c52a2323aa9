"""Compressors that do damage on purpose, and changes that do none: what a guardrail must tell apart.

Each is a function of a text; what it gets beside it is in `Case`. All are deterministic.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from ctxshrink.text import CJK, content_type, sentences
from ctxshrink.types import Call, Candidate, Job

from .scoring import Haystack, normalize

Change: TypeAlias = Callable[["Case"], str]


@dataclass(frozen=True, slots=True)
class Case:
    """What a change is made of.

    Attributes:
        text: The original.
        query: The question.
        needed: Strings that stand in the text and that the question needs.
        seed: Another seed makes other choices.
    """

    text: str
    query: str = ""
    needed: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Adversary:
    """A compressor that makes the same change of every text.

    Args:
        change: From `DAMAGING` or `HARMLESS`.
        name: Shown in reports.
        needed: What the question needs; a change looks for it in each text.
        seed: For its choices.
    """

    change: Change
    name: str
    needed: tuple[str, ...] = ()
    seed: int = 0

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        """One candidate per job, whatever its budget; none names spans."""
        texts = (j.segment.text for j in jobs)
        return [Candidate(self.change(Case(t, call.query or "", self.needed, self.seed))) for t in texts]


_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_ITEM = re.compile(r"[.)]\s")  # The number of a list item, or one at the end of a sentence.
_NEGATION = re.compile(
    r"(?<!\w)(?:not|never|no longer|no|without|nor|neither|nicht|niemals|nie|keine?[nmrs]?|ohne|ne|pas|jamais|sans"
    r"|aucune?|nunca|jamás|sin|ningun[ao]|ningún)(?!\w)[ ]?|(?<=\w)n['’]t(?!\w)|\bn['’](?=\w)|(?<=can)not(?!\w)"
    r"|[不没沒未无無别別勿]|ません|なかった|(?<!少)ない",
    re.IGNORECASE,
)  # fmt: skip
_STOP_WORDS = """
    the a an of is are was were be been has have had this that these those and it its in on at to for with by as
    der die das den dem des ein eine einen einem einer und ist sind war im am von zu mit
    le la les un une des du de et est sont dans au aux
    el los las una unos unas del y es son en al
    的 了 は が を に の
"""
_STOPS = frozenset(_STOP_WORDS.split())
_WORD = re.compile(rf"[^\W_{CJK}]+(?:['’][^\W_{CJK}]+)*")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,20}(?: [A-Z][a-z]{2,20}){0,3}")
_SYNONYMS = (
    ("large", "big"), ("began", "started"), ("film", "movie"), ("often", "frequently"), ("also", "additionally"),
)  # fmt: skip
_NAMES = ("Marlow", "Ostrava", "Henriksen", "Tadeusz", "Bramley", "Corvella")
_OPPOSITES = (
    ("increased", "decreased"), ("first", "last"), ("before", "after"), ("largest", "smallest"), ("above", "below"),
    ("north", "south"), ("east", "west"), ("early", "late"), ("more", "less"), ("higher", "lower"), ("won", "lost"),
    ("older", "younger"), ("red", "blue"), ("black", "white"), ("Monday", "Thursday"), ("male", "female"),
)  # fmt: skip


def drop_numbers(case: Case) -> str:
    """Leaves out every number, also the digits of ids."""
    return _NUMBER.sub("", case.text)


def swap_numbers(case: Case) -> str:
    """Exchanges two numbers: one of what is needed, where there is one, with the nearest other one."""
    found = [m for m in _NUMBER.finditer(case.text) if not _ITEM.match(case.text, m.end())]
    values = {m.group() for m in found}
    if len(values) < 2:
        return case.text
    first = next((m for m in found if _inside(m, case)), None)
    first = random.Random(case.seed).choice(found) if first is None else first
    others = [m for m in found if m.group() != first.group()]
    other = min(others, key=lambda m: (abs(m.start() - first.start()), m.start()))
    (a, b), text = sorted((first, other), key=lambda m: m.start()), case.text
    return text[: a.start()] + b.group() + text[a.end() : b.start()] + a.group() + text[b.end() :]


def drop_negations(case: Case) -> str:
    """Leaves out every word that negates."""
    return _NEGATION.sub("", case.text)


def first_sentence(case: Case) -> str:
    """The first sentence, whatever it says."""
    spans = sentences(case.text)
    return case.text[spans[0][0] : spans[0][1]] if spans else ""


def filler(case: Case) -> str:
    """The sentences with the fewest numbers, capitals and words of the question, up to a quarter of the text."""
    asked = set(normalize(case.query).split())
    spans = sentences(case.text)

    def worth(span: tuple[int, int]) -> float:
        text = case.text[span[0] : span[1]]
        words = normalize(text).split()
        facts = len(_NUMBER.findall(text)) + sum(map(str.isupper, text)) / 2 + 3 * sum(w in asked for w in words)
        return facts / max(1, len(text))

    kept: list[tuple[int, int]] = []
    left = len(case.text) / 4
    for span in sorted(spans, key=lambda s: (worth(s), s)):
        if span[1] - span[0] <= left:
            left -= span[1] - span[0]
            kept.append(span)
    return " ".join(case.text[s:e] for s, e in sorted(kept))


def return_query(case: Case) -> str:
    """The question itself."""
    return case.query


def return_empty(case: Case) -> str:
    """Nothing."""
    return ""


def change_fact(case: Case) -> str:
    """The needed sentence and its neighbours in slightly other words, with one number or name changed.

    The needed string is changed where it holds a number or is a name, else the nearest number or name is.
    """
    s, e = _passage(case)
    text = case.text[s:e]
    changed = _change_one(text, case)
    return changed if changed == text else _reword(changed)


def change_word(case: Case) -> str:
    """All of the text, with one word turned into its opposite."""
    for a, b in _OPPOSITES:
        for old, new in ((a, b), (b, a)):
            m = re.search(rf"(?<!\w){old}(?!\w)", case.text)
            if m:
                return case.text[: m.start()] + new + case.text[m.end() :]
    return case.text


def identity(case: Case) -> str:
    """The text itself."""
    return case.text


def white_space(case: Case) -> str:
    """Other white space between the same words."""
    pick = random.Random(case.seed)
    return re.sub(r"\s+", lambda _: pick.choice((" ", "  ", "\n", " \n")), case.text)


def drop_stops(case: Case) -> str:
    """Without articles, auxiliaries and prepositions, as token pruners leave them out."""
    text = re.sub(r"[のはがを的了](?=[\u3400-\u9fff])", "", case.text)
    return _WORD.sub(lambda m: "" if m.group().casefold() in _STOPS else m.group(), text)


def answer_extract(case: Case) -> str:
    """The sentence that is needed and one on either side, word for word."""
    s, e = _passage(case)
    return case.text[s:e]


def bullets(case: Case) -> str:
    """Every sentence as an item of a list."""
    return "\n".join("- " + " ".join(case.text[s:e].split()) for s, e in sentences(case.text))


def lower_case(case: Case) -> str:
    """In lower case."""
    return case.text.lower()


def reorder(case: Case) -> str:
    """The sentences in another order, each on a line of its own; text that is no prose as it is."""
    if content_type(case.text) != "prose":
        return case.text
    parts = [" ".join(case.text[s:e].split()) for s, e in sentences(case.text)]
    random.Random(case.seed).shuffle(parts)
    return "\n".join(parts)


DAMAGING: Mapping[str, Change] = MappingProxyType(
    {
        "drop numbers": drop_numbers,
        "swap numbers": swap_numbers,
        "drop negations": drop_negations,
        "first sentence": first_sentence,
        "filler": filler,
        "query": return_query,
        "empty": return_empty,
        "change a fact": change_fact,
        "change a word": change_word,
    }
)
"""By name. See `damaged` for where a change did what it is meant to do."""

HARMLESS: Mapping[str, Change] = MappingProxyType(
    {
        "identity": identity,
        "white space": white_space,
        "stop words dropped": drop_stops,
        "answer sentence": answer_extract,
        "bullets": bullets,
        "lower case": lower_case,
        "other order": reorder,
    }
)
"""By name."""


def damaged(name: str, case: Case, changed: str) -> bool:
    """Whether the damage of a change from `DAMAGING` matters.

    A change that takes text away matters where a needed string is gone. Numbers that were exchanged, negations that are
    gone and changed words matter wherever there were any: the text that is left says something else.
    """
    if changed == case.text:
        return False
    if name in ("swap numbers", "drop negations", "change a word", "change a fact"):
        return normalize(changed) != normalize(case.text) and changed.strip() not in case.text
    before, after = Haystack(case.text), Haystack(changed)
    return any(before.contains(n) and not after.contains(n) for n in case.needed)


def _inside(match: re.Match[str], case: Case) -> bool:
    """True for a match that is a part of the first place of something needed."""
    for needed in case.needed:
        at = case.text.find(needed)
        if at >= 0 and at <= match.start() and match.end() <= at + len(needed):
            return True
    return False


def _passage(case: Case) -> tuple[int, int]:
    """The sentence with the first needed string, and one on either side; the whole text where there is none."""
    spans = sentences(case.text)
    at = min((p for n in case.needed if (p := case.text.casefold().find(n.casefold())) >= 0), default=-1)
    k = next((i for i, (s, e) in enumerate(spans) if s <= at < e), -1)
    return (spans[max(0, k - 1)][0], spans[min(len(spans) - 1, k + 1)][1]) if k >= 0 else (0, len(case.text))


def _change_one(text: str, case: Case) -> str:
    pick = random.Random(case.seed)
    at = min((p for n in case.needed if (p := text.find(n)) >= 0), default=0)
    facts = [*_NUMBER.finditer(text), *_NAME.finditer(text)]
    if not facts:
        return text
    m = min(facts, key=lambda m: (abs(m.start() - at), m.start()))
    value = m.group()
    new = _other_number(value, pick) if value[0].isdigit() else pick.choice([n for n in _NAMES if n not in case.text])
    return text[: m.start()] + new + text[m.end() :]


def _other_number(value: str, pick: random.Random) -> str:
    """A number of the same form: one digit is another one."""
    places = [i for i, c in enumerate(value) if c in "0123456789"]
    if not places:
        return "7"
    i = pick.choice(places)
    return value[:i] + pick.choice([d for d in "123456789" if d != value[i]]) + value[i + 1 :]


def _reword(text: str) -> str:
    """A few synonyms, and the sentences in reverse order."""
    for old, new in _SYNONYMS:
        text = re.sub(rf"(?<!\w){old}(?!\w)", new, text)
    parts = [text[s:e] for s, e in sentences(text)]
    return " ".join(reversed(parts))
