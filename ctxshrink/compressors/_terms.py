"""Words as index terms: case-folded, lightly stemmed, CJK as character bigrams."""

from __future__ import annotations

import re
import unicodedata

from ctxshrink.text import CJK

_WORD = re.compile(rf"[{CJK}]{{1,400}}|[^\W_{CJK}]{{1,400}}")
_CAMEL = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{2,}(?![a-z])|\d+")
_IS_CJK = re.compile(f"[{CJK}]")
# Inflections of English, German, French and Spanish, longest first. Over-stemming costs a little precision, missing an
# inflection costs the sentence.
_SUFFIX = re.compile(
    r"(?:isations?|izations?|ations?|ements?|ments?|ungen|ung|heiten|keiten|heit|keit|mente|ciones|cion|idades|idad|"
    r"ings?|edly|ingly|ives?|ers?|ors?|ies|ied|ed|es|en|em|ern|eln|eurs?|euses?|aux|eux|ees?|ales|al|ly|e|s|n|a|o|y|os|as)$"
)
MIN_STEM = 4
"""Letters that a stem keeps at least."""


def stem(word: str) -> str:
    """A case-folded word without accents and without its inflection."""
    if not word.isascii():
        word = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    if len(word) <= MIN_STEM or word[-1].isdigit():
        return word
    m = _SUFFIX.search(word, MIN_STEM)
    base = word[: m.start()] if m else word
    if len(base) > MIN_STEM and base[-1] == base[-2] and base[-1] not in "aeiouls":
        base = base[:-1]  # stopped, running
    return base


def words(text: str) -> list[str]:
    """The raw words of a text: runs of letters and digits, and runs of CJK characters."""
    return _WORD.findall(text)


def word_terms(word: str) -> tuple[str, ...]:
    """The terms of one raw word: its stem, the parts of a camel-case name, the bigrams of a CJK run."""
    if _IS_CJK.match(word):
        return tuple(word[i : i + 2] for i in range(len(word) - 1)) or (word,)
    low = word.casefold()
    if word.isascii() and word != low and not word.istitle() and not word.isupper():
        parts = _CAMEL.findall(word)
        if len(parts) > 1:
            return (low, *(stem(p.casefold()) for p in parts))
    return (stem(low),)


class Vocabulary:
    """Numbers terms, and remembers the terms of each raw word."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self._memo: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def encode(self, text: str) -> list[int]:
        """Term ids of a text in order; new terms get new ids."""
        memo = self._memo
        out: list[int] = []
        for word in _WORD.findall(text):
            known = memo.get(word)
            if known is None:
                known = tuple(self.ids.setdefault(t, len(self.ids)) for t in word_terms(word))
                memo[word] = known
            out += known
        return out

    def lookup(self, text: str) -> list[int]:
        """Term ids of a text in order; unknown terms are left out and none is added."""
        return [self.ids[t] for word in _WORD.findall(text) for t in word_terms(word) if t in self.ids]
