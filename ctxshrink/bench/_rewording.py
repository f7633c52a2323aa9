"""Texts in other words, made by rule, and changes of what they say.

The rules for texts in other words (`ctxshrink.guardrails.fidelity`) were written before these templates, but mended
three times after a look at what they missed here: the figures are a little better than on wording that nobody has
looked at. The templates are far from all that a language model does: what they show is that words, order and the cut
of sentences may change and facts may not.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

Damage: TypeAlias = Callable[[str, random.Random], str]

_WORDS = """
    however though; although while; therefore thus; because as; while whereas; began commenced; ended concluded;
    received obtained; showed demonstrated; shows demonstrates; allows permits; uses employs; using employing;
    created designed; built erected; located sited; large sizeable; small little; famous noted; several some; many
    lots; often regularly; usually mostly; currently presently; later subsequently; quickly swiftly; mainly chiefly;
    worked laboured; played performed; lived dwelt; moved transferred; bought acquired; won secured; made fashioned;
    wrote penned; described portrayed; considered deemed; announced declared; released launched; published brought-out;
    area zone; city municipality; town borough; company enterprise; film picture; movie picture; book tome; song tune;
    house building; road route; river waterway; money funds; job post; child youngster; children youngsters; people
    folks; population populace; illness ailment; disease malady; patients sufferers; study inquiry; method technique;
    result finding; results findings; effect impact; effects impacts; important key; different diverse; similar akin;
    popular favoured; common widespread; total overall; entire whole; near beside; across throughout; amount sum;
    government authorities; country realm; war warfare; army troops; battle clash; leader chief; member affiliate;
    members affiliates; group cluster; show programme; series sequence; version edition; type sort; types sorts;
    example case; reason cause; problem issue; way manner; end close; start outset; cost price; customers clients;
    provides offers; includes contains; including notably; based grounded; known recognised; called termed; said
    remarked; found noticed; used applied; given handed; taken seized; held staged; led steered; grew swelled
"""
_OTHER = {pair.split()[0]: pair.split()[1].replace("-", " ") for pair in _WORDS.split(";")}
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DIGITS = {w: str(n) for n, w in enumerate("two three four five six seven eight nine ten eleven twelve".split(), 2)}  # noqa: SIM905
_LOWER = re.compile(r"(?<![\w'’-])[a-z]+(?![\w'’-])")
_DATE = re.compile(rf"\b({_MONTHS}) (\d{{1,2}}), (\d{{4}})\b")
_TRAILING = re.compile(r"^([^,]{20,200}) ((?:in|on|since|until) (?:[A-Z][a-z]{2,9} )?(?:\d{1,2}, )?\d{4})\.$")
_CLAUSE = re.compile(r"^((?:[A-Z][\w'’-]* ?){1,5}), (?:who|which) ([^,]{10,160}), ([^,]{10,300})$")
_BRACKETS = re.compile(r"^((?:[A-Z][\w'’-]* ?){1,5}) \(([^()]{4,60})\) (\S[^()]{10,400})$")
_IS = re.compile(r"^((?:The |A |An )?(?:[A-Z][\w'’-]* ?){1,5}) (?:is|was|are|were) ((?:an?|the) [^,]{8,300})$")
_ARTICLES = re.compile(r"(?<![\w'’-])(?:the|an?) (?=[A-Za-z])")


def reword(facts: Sequence[str], seed: int = 0) -> list[str]:
    """Sentences in other words, about as many.

    Words are replaced, dates and small numbers are written in another way, phrases of time move to the front, clauses
    and brackets become facts of their own; by the seed, articles go, "X is a Y" becomes "X – Y", semicolons are cut at,
    two facts share a line, and all stand in reverse order.

    Args:
        facts: Sentences.
        seed: Chooses among the templates.
    """
    out: list[str] = []
    for fact in facts:
        text = _LOWER.sub(lambda m: _DIGITS.get(m.group(), _OTHER.get(m.group(), m.group())), fact)
        text = _DATE.sub(r"\2 \1 \3", text).replace(" percent", "%").replace(" per cent", "%")
        out += _cut(text, semicolons=seed % 2 == 1)
    if seed % 3 == 1:
        out = [_IS.sub(r"\1 – \2", text) for text in out]
    if seed % 3 == 2:
        out = [_ARTICLES.sub("", text) for text in out]
    if seed % 4 == 3:
        pairs = [out[i : i + 2] for i in range(0, len(out), 2)]
        out = ["; ".join([p[0].rstrip("."), *p[1:]]) if len(p) > 1 else p[0] for p in pairs]
    return out[::-1] if seed % 5 == 4 else out


def _cut(text: str, *, semicolons: bool) -> list[str]:
    """One sentence as one fact or more."""
    if m := _CLAUSE.match(text):
        return [f"{m[1].strip()} {m[3]}", f"{m[1].strip()}: {m[2]}."]
    if m := _BRACKETS.match(text):
        return [f"{m[1].strip()} {m[3]}", f"{m[1].strip()}: {m[2]}."]
    if m := _TRAILING.match(text):
        return [f"{m[2][0].upper()}{m[2][1:]}, {m[1]}."]
    return [part.strip() for part in text.split("; ")] if semicolons else [text]


_NUMBER = re.compile(r"(?<![\w.,-])\d+(?:[.,]\d+)*(?![\w-])")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{3,20}(?![\w’'-])")
_NEGATION = re.compile(r"(?<!\w)(?:not|never|no longer|no|without)(?!\w) |(?<=[a-z])n['’]t(?!\w)")
_AUXILIARY = re.compile(r"(?<=\w )(?:is|was|are|were|can|will|could|would|has|have|had|must|may)(?= (?!not\b)[a-z])")
_OPPOSITES = """
    increased/decreased increase/decrease first/last before/after largest/smallest above/below north/south east/west
    early/late more/less higher/lower won/lost older/younger black/white male/female northern/southern eastern/western
    earlier/later highest/lowest most/least always/never maximum/minimum left/right inside/outside open/closed
    accepted/rejected allowed/forbidden rose/fell positive/negative upper/lower oldest/youngest longest/shortest
    best/worst better/worse success/failure public/private same/different major/minor larger/smaller new/old
    high/low rich/poor strong/weak long/short internal/external men/women former/latter young/old easy/difficult
    profit/loss many/few safe/dangerous deep/shallow legal/illegal common/rare fast/slow winter/summer heavy/light
    wide/narrow ancient/modern
"""
_OPPOSITE = {a: b for pair in _OPPOSITES.split() for a, b in (pair.split("/"), pair.split("/")[::-1])}
_OPPOSED = re.compile(rf"(?<![\w'’-])(?:{'|'.join(_OPPOSITE)})(?![\w'’-])")


def change_number(text: str, pick: random.Random) -> str:
    """One digit of one number is another one."""
    m = _any(_NUMBER, text, pick)
    if m is None:
        return text
    at = pick.choice([i for i in range(m.start(), m.end()) if text[i].isdecimal()])
    return text[:at] + pick.choice([d for d in "123456789" if d != text[at]]) + text[at + 1 :]


def exchange_numbers(text: str, pick: random.Random) -> str:
    """Two different numbers of a sentence stand in each other's place."""
    found = list(_NUMBER.finditer(text))
    pairs = [(a, b) for i, a in enumerate(found) for b in found[i + 1 :] if a.group() != b.group()]
    if not pairs:
        return text
    a, b = pick.choice(pairs)
    return text[: a.start()] + b.group() + text[a.end() : b.start()] + a.group() + text[b.end() :]


def change_name(text: str, pick: random.Random) -> str:
    """A name stands in the place of another one of the sentence, which is gone."""
    found = list(_NAME.finditer(text))
    pairs = [(a, b) for a in found for b in found if a.group() != b.group()]
    if not pairs:
        return text
    gone, other = pick.choice(pairs)
    return text[: gone.start()] + other.group() + text[gone.end() :]


def drop_negation(text: str, pick: random.Random) -> str:
    """One word that negates is gone."""
    m = _any(_NEGATION, text, pick)
    return text if m is None else text[: m.start()] + text[m.end() :]


def add_negation(text: str, pick: random.Random) -> str:
    """A "not" behind an auxiliary."""
    m = _any(_AUXILIARY, text, pick)
    return text if m is None else f"{text[: m.end()]} not{text[m.end() :]}"


def change_word(text: str, pick: random.Random) -> str:
    """One word says the opposite."""
    m = _any(_OPPOSED, text, pick)
    return text if m is None else text[: m.start()] + _OPPOSITE[m.group()] + text[m.end() :]


DAMAGES: Mapping[str, Damage] = MappingProxyType(
    {
        "a digit changed": change_number,
        "two numbers exchanged": exchange_numbers,
        "a name exchanged": change_name,
        "a negation dropped": drop_negation,
        "a negation added": add_negation,
        "an opposite word": change_word,
    }
)
"""Changes of one sentence by name; each returns the sentence itself where it finds nothing to change."""


def _any(pattern: re.Pattern[str], text: str, pick: random.Random) -> re.Match[str] | None:
    found = list(pattern.finditer(text))
    return pick.choice(found) if found else None
