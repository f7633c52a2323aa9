"""Does what a compression says still say what the original says?

For texts that are not known to be verbatim: those of language models and of third-party compressors. Whole sentences
that are gone are no matter here; what is looked for are changes inside of what is left: a number that the original
does not have or has elsewhere, a "not" that is gone, a word that was exchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ctxshrink.structure import lay_out
from ctxshrink.text import content_type as detect
from ctxshrink.types import ContentType, Trial

from ._fidelity_align import align
from ._fidelity_findings import Findings
from ._fidelity_judge import examine
from ._fidelity_rewording import examine_rewording
from ._fidelity_tokens import Kind, Tokens, is_cjk, plain, share_names, tokenize
from ._fidelity_values import places, word_key

MAX_NOVEL = 0.5
"""A text with more than this share of words that are not the original's is another text."""
MIN_WORDS = 4
"""Words that a text must have for its novel share to say anything."""
ECHO = 0.8
"""Share of a text's words that are the query's, from which on it is the query."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """What a compression changed of what it kept. All counts are of places in the text.

    Attributes:
        altered: Numbers, ids and names that the original does not have.
        swapped: Numbers and names that the original has, but beside other words.
        negations: Negations, quantifiers and conditions that are gone from a kept sentence, or new in it.
        cut: Numbers and names that are gone from a kept sentence.
        replaced: Other words that stand where the original has another.
        moved: Numbers that stand where the original has none, but has them elsewhere. Not enough to reject.
        novel: Share in [0, 1] of the text's words that the original does not have.
        echo: True when the text is the query and no piece of the original.
        reason: The worst of it, as the end of a sentence that begins with "the compression"; None where all is well.
    """

    altered: int = 0
    swapped: int = 0
    negations: int = 0
    cut: int = 0
    replaced: int = 0
    moved: int = 0
    novel: float = 0.0
    echo: bool = False
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """False rejects: something else is said than in the original."""
        return self.reason is None

    @property
    def features(self) -> Mapping[str, float]:
        """The numbers by name, for a model; counts above 5 count as 5."""
        counts = {name: float(min(5, getattr(self, name))) for name in _COUNTS}
        return {**counts, "novel": self.novel, "echo": float(self.echo)}


_COUNTS = ("altered", "swapped", "negations", "cut", "replaced", "moved")
_SAME = Fidelity()


def changes(
    original: str,
    text: str,
    query: str | None = None,
    *,
    content_type: ContentType | None = None,
    rewritten: bool = False,
) -> Fidelity:
    """What a shorter text changed of what it kept; deterministic, in about linear time.

    Order of sentences, white space, case, Unicode compatibility forms, list marks, omission markers of this library
    and left-out function words are no changes. What was left out as a whole sentence, line or member is not judged.

    Args:
        original: The text before. For a structured rendering that rendering, see `Trial.basis`.
        text: The text after.
        query: The question that it shall serve, if known.
        content_type: What the original looks like; None detects it.
        rewritten: The text says it in other words, see `Rewording`; else only few words may be others.

    Returns:
        The findings.
    """
    if rewritten:
        return Rewording(original, content_type).changes(text, query)
    if not text.strip() or text.split() == original.split():
        return _SAME
    kind = detect(original) if content_type is None else content_type
    source, short = tokenize(original, kind), tokenize(text, kind)
    if not len(short) or source.norm == short.norm:
        return _SAME
    share_names(source, short)
    origin = align(source, short)
    found = examine(source, short, origin, ordered=kind == "json")
    novel = _novel(source, short)
    echo = query is not None and _echoes(short, tokenize(query, "prose")) and not _whole(source, short, origin)
    reason = found.reason
    if echo:
        reason = "is the query, not a piece of the original"
    elif reason is None and novel[0] > MAX_NOVEL and novel[1] >= MIN_WORDS:
        reason = f"has {novel[0]:.0%} of its words not from the original"
    return _fidelity(found, round(novel[0], 4), echo, reason)


class Rewording:
    """One original, to compare with several texts that say parts of it in other words.

    Other words, merged and split sentences, another order and lists of facts are no changes. Numbers, dates, ids and
    names that were altered or invented, values that are said of something else, negations and conditions that are gone
    from what is still said or new in it, opposites, and texts of mostly other words are.

    Args:
        original: The text before.
        content_type: What it looks like; None detects it.
    """

    def __init__(self, original: str, content_type: ContentType | None = None) -> None:
        self._original = original
        self._kind: ContentType = detect(original) if content_type is None else content_type
        self._source = tokenize(original, self._kind)
        self._said = places(self._source)
        self._keys = frozenset(word_key(n) for n in self._source.norm)
        self._cjk = is_cjk(self._source)

    def changes(self, text: str, query: str | None = None) -> Fidelity:
        """What a text changed of what it says of the original; deterministic, in about linear time.

        Args:
            text: The text after.
            query: The question that it shall serve, if known.
        """
        if self._cjk or not text.strip() or text.split() == self._original.split():
            # Without spaces between words there are none to compare; the stricter rule holds.
            return changes(self._original, text, query, content_type=self._kind)
        source, short = self._source, tokenize(text, self._kind)
        if not len(short) or source.norm == short.norm:
            return _SAME
        names = frozenset(n for n, k in zip(source.norm, source.kind, strict=True) if k is Kind.NAME)
        for i, kind in enumerate(short.kind):
            if kind in (Kind.CONTENT, Kind.NAME):
                short.kind[i] = Kind.NAME if short.norm[i] in names else Kind.CONTENT
        found = examine_rewording(source, self._said, short)
        words = [n for n, k in zip(short.norm, short.kind, strict=True) if k in (Kind.CONTENT, Kind.NAME)]
        novel = sum(word_key(w) not in self._keys for w in words) / len(words) if words else 0.0
        reason = found.reason
        echo = query is not None and _echoes(short, tokenize(query, "prose"))
        if echo:
            reason = "is the query, not a piece of the original"
        elif reason is None and novel > MAX_NOVEL and len(words) >= MIN_WORDS:
            reason = f"has {novel:.0%} of its words not from the original"
        return _fidelity(found, round(novel, 4), echo, reason)


def check_trial(trial: Trial, query: str | None = None) -> Fidelity:
    """`changes` of one trial, against the text that it was selected from.

    What the library's own layouts rendered from whole units is taken as it is, once rendering them again has shown
    that the text is what its spans say.
    """
    text = trial.text
    if trial.segment.reference:
        text = text.removesuffix(trial.segment.reference).rstrip("\n")
    if trial.source is not None and trial.spans is not None and _rendered(trial, text):
        return _SAME
    content_type = trial.segment.content_type if trial.source is None else None
    return changes(trial.basis, text, query, content_type=content_type, rewritten=trial.rewritten)


def _rendered(trial: Trial, text: str) -> bool:
    """True when a text is the library's rendering of the units that its spans name."""
    layout = lay_out(trial.segment.text, trial.segment.content_type)
    if layout.text != trial.source or layout.renderer is None:
        return False
    kept = frozenset(trial.spans or ())
    chosen = [i for i, span in enumerate(layout.spans) if span in kept]
    return len(chosen) == len(kept) and any(
        layout.renderer(chosen, short).rstrip() == text.rstrip() for short in (False, True)
    )


def _fidelity(found: Findings, novel: float, echo: bool, reason: str | None) -> Fidelity:
    counts = found.counts
    return Fidelity(
        counts["altered"],
        counts["swapped"],
        counts["negations"],
        counts["cut"],
        counts["replaced"],
        counts["moved"],
        novel,
        echo,
        reason,
    )


def verbatim(basis: str, text: str, spans: tuple[tuple[int, int], ...]) -> bool:
    """True when a text holds the pieces of ``basis`` that it says it holds, in order, and nothing else but markers."""
    pos = 0
    rest: list[str] = []
    for start, end in spans:
        piece = basis[start:end].strip()
        at = text.find(piece, pos)
        if at < 0:
            return False
        rest.append(text[pos:at])
        pos = at + len(piece)
    rest.append(text[pos:])
    return not plain(" ".join(rest)).replace("\ue000", " ").strip()


def _novel(source: Tokens, text: Tokens) -> tuple[float, int]:
    """Share of the text's words of content that the original does not have, and their number."""
    known = frozenset(source.norm)
    stems = frozenset(word[:5] for word in known if len(word) > 5)
    words = [n for n, k in zip(text.norm, text.kind, strict=True) if k in (Kind.CONTENT, Kind.NAME)]
    new = sum(w not in known and not (len(w) > 5 and w[:5] in stems) for w in words)
    return (new / len(words) if words else 0.0), len(words)


def _whole(source: Tokens, text: Tokens, origin: list[int]) -> bool:
    """True when a text is one piece of the original, from the start of a unit to the end of one."""
    first, last = origin[0], origin[-1]
    if first < 0 or last - first != len(text) - 1 or any(q - first != i for i, q in enumerate(origin)):
        return False
    return source.starts(first) and (last + 1 == len(source) or source.starts(last + 1))


def _echoes(text: Tokens, query: Tokens) -> bool:
    """True when a text says what the query says and little else."""
    asked = frozenset(n for n, k in zip(query.norm, query.kind, strict=True) if k is not Kind.FUNCTION)
    said = [n for n, k in zip(text.norm, text.kind, strict=True) if k is not Kind.FUNCTION]
    if not said or len(text) > 1.5 * len(query) + 2 or sum(n in asked for n in said) < ECHO * len(said):
        return False
    return len(asked.intersection(said)) >= ECHO * len(asked)
