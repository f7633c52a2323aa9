"""The values of a text (numbers, dates, names, ids, URLs): what a fact may not invent, and what must not get lost."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from ctxshrink.facts import FactKind, facts, folded
from ctxshrink.text.wordlists import GERMAN, NUMBER_WORDS, OTHERS

_KINDS: frozenset[FactKind] = frozenset({"number", "date", "id", "name"})
_NUMBER = re.compile(r"(?<![^\W_])\d+(?:[.,]\d+)*")
_CODE = re.compile(r"(?<![^\W_])(?:[^\W\d_]+\d|\d+[^\W\d_])[^\W_]*")
_DIGITS = re.compile(r"\d+")
_WORD = re.compile(r"[^\W\d_]+")
_JOINED = re.compile(r"(?<!\w)\w++(?:[-.@#/:+=&?~%]{1,3}+\w++)++")
_COUNTED = re.compile(r"\d+(?:[.,]\d+)?-[^\W\d_]+")
_SIGNS = frozenset("$€£¥₹%‰°")
_QUOTED = 60
_AMOUNTS = """
    thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
    hundred thousand million billion trillion dozen half third quarter double triple twice thrice
    zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig hundert tausend millionen milliarden hälfte drittel
    viertel doppelt zweimal vingt trente quarante cinquante soixante cent mille milliard milliards moitié tiers quart
    deux trois quatre cinq veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa cien mil millón millones
    mitad tercio cuarto doble
"""
_CALENDAR = """
    january february march april may june july august september october november december
    monday tuesday wednesday thursday friday saturday sunday
    januar februar märz mai juni juli oktober dezember montag dienstag mittwoch donnerstag freitag samstag sonntag
    janvier février mars avril juin juillet août septembre octobre novembre décembre
    lundi mardi mercredi jeudi vendredi samedi dimanche
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    lunes martes miércoles jueves viernes sábado domingo
"""
_EXACT = frozenset((_AMOUNTS + _CALENDAR).split())
"""Words that are as good as numbers."""


class Values:
    """The values of one text, to compare facts with.

    Args:
        text: The text that the facts are of.
    """

    def __init__(self, text: str) -> None:
        plain = unicodedata.normalize("NFKC", text)
        self._folded = folded(text)
        self._found: dict[str, bool] = {}
        words = [m.group() for m in _WORD.finditer(plain)]
        self._words = frozenset(w.casefold() for w in words)
        self._stems = frozenset(_stem(w) for w in words if not w[0].isupper())

    def invented(self, fact: str) -> str | None:
        """The first value of a fact that the text does not have, in quotes; None where it has all of them."""
        low = folded(fact)
        return next((repr(v[:_QUOTED]) for v in self._unknown(fact, low)), None)

    def _has(self, value: str) -> bool:
        """Looked for once: a value may be said a thousand times, and the whole text is gone through for it."""
        if value not in self._found:
            self._found[value] = occurs(value, self._folded)
        return self._found[value]

    def _unknown(self, fact: str, low: str) -> Iterator[str]:
        for m in _NUMBER.finditer(low):
            if not self._has(m.group()):
                yield m.group()
        for m in _CODE.finditer(low):  # Warden07, 17x5; 17m of "17 m"
            if not self._has(m.group()):
                parts = _DIGITS.findall(m.group()) if m.group()[0].isdigit() else []
                if not parts or not all(self._has(part) for part in parts):
                    yield m.group()
        for m in _JOINED.finditer(low):
            joined = m.group()
            if _COUNTED.fullmatch(joined) or (joined.replace("-", "").isalpha() and "-" in joined):
                continue  # 30-day, well-known: words of the language, judged as such
            if not self._has(joined) and not self._listed(joined):
                yield joined
        for sign in _SIGNS.intersection(low):
            if sign not in self._folded:
                yield sign
        for m in _WORD.finditer(unicodedata.normalize("NFKC", fact)):
            word = m.group()
            known = word.casefold() in self._words
            if known:
                continue
            low_word = word.casefold()
            value = NUMBER_WORDS.get(low_word)
            amount = low_word in _EXACT or (value not in (None, "1") and not self._has(value or ""))
            if amount or (word[0].isupper() and _stem(word) not in self._stems):
                yield word

    def _listed(self, joined: str) -> bool:
        """True where a value was joined to a word by a colon or a slash: ``total:48`` of ``total`` and ``48``."""
        parts = re.split(r"[:/=]+", joined)
        return len(parts) > 1 and "//" not in joined and all(p and self._has(p) for p in parts)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of a text's values another text holds.

    Attributes:
        covered: Values that it holds.
        total: Values of the text.
        missing: The others, in normal form, in order.
    """

    covered: int
    total: int
    missing: tuple[str, ...]

    @property
    def share(self) -> float:
        """Share in [0, 1]; 1 where there is nothing to cover."""
        return self.covered / self.total if self.total else 1.0


def values_of(text: str) -> tuple[tuple[FactKind, str], ...]:
    """The values of a text in normal form, in a fixed order. German nouns have a capital, and are no names here."""
    words = [m.group() for m in _WORD.finditer(text.casefold())]
    german = sum(w in GERMAN for w in words) > sum(w in OTHERS for w in words)
    return tuple(sorted(facts(text, _KINDS - {"name"} if german else _KINDS)))


def coverage(wanted: tuple[tuple[FactKind, str], ...], text: str) -> Coverage:
    """How much of some values a text holds.

    Args:
        wanted: From `values_of`.
        text: Where they are looked for.
    """
    low = folded(text)
    words = frozenset(m.group() for m in _WORD.finditer(low))
    missing = tuple(value for kind, value in wanted if not _holds(kind, value, low, words))
    return Coverage(len(wanted) - len(missing), len(wanted), missing)


def occurs(value: str, text: str) -> bool:
    """True where a value stands in a text, both folded, and is not a part of a longer word or number."""
    at = text.find(value)
    while at >= 0:
        end = at + len(value)
        before, after = text[max(0, at - 2) : at], text[end : end + 2]
        if not (_joins(before[::-1], value[:1]) or _joins(after, value[-1:])):
            return True
        at = text.find(value, at + 1)
    return False


def _joins(beside: str, edge: str) -> bool:
    """True where what stands beside a value belongs to it: letters and digits, or a decimal mark with a digit."""
    if not beside or not edge.isalnum():
        return False
    if beside[0].isalnum() and not (ord(beside[0]) > 0x2E80 or ord(edge) > 0x2E80):
        return True
    if edge.isdigit() and beside[0].isdigit():
        return True
    return edge.isdigit() and beside[0] in ".," and beside[1:].isdigit()


def _holds(kind: FactKind, value: str, low: str, words: frozenset[str]) -> bool:
    if occurs(value, low):
        return True
    if kind == "name":
        parts = [m.group() for m in _WORD.finditer(value)]
        return bool(parts) and words.issuperset(parts)
    if kind == "id":
        return False
    numbers = [m.group() for m in _NUMBER.finditer(value)]
    return bool(numbers) and all(occurs(n, low) for n in numbers)


def _stem(word: str) -> str:
    """The beginning of a word without a usual ending, for inflections of the same word."""
    low = word.casefold()
    for ending in ("ments", "ment", "ings", "ing", "ers", "ies", "ed", "es", "er", "s", "y"):
        if low.endswith(ending) and len(low) - len(ending) >= 3:
            low = low[: -len(ending)]
            break
    return low[:6]
