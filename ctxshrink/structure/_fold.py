"""Long prefixes that many strings share, named once and then referred to as ``&1``, ``&2``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ctxshrink.structure._json_words import bare

MAX_FOLDS = 9
MIN_LENGTH = 16
"""Shorter strings cost few tokens."""
_MIN_WORDS = 40
"""Shorter texts of several words read better where they belong."""
_MAX_WHOLE = 300
_BOUNDARIES = 10
_ENDS = frozenset("/?#{")
_NAME_COST = 7
"""Characters that cost as many tokens as a name does."""
_MIN_GAIN = 20
_NAME = re.compile(r"&([1-9])(?![0-9])")


class Folds:
    """Named prefixes.

    Args:
        prefixes: The prefixes; the first is ``&1``.
    """

    def __init__(self, prefixes: Sequence[str] = ()) -> None:
        self.prefixes = tuple(prefixes)
        self.asked: Counter[str] = Counter()
        self._longest = sorted(((p, f"&{i}") for i, p in enumerate(prefixes, 1)), key=lambda pair: -len(pair[0]))

    def fold(self, value: str) -> str | None:
        """``value`` with its longest named prefix replaced, None where it has none."""
        if len(value) < MIN_LENGTH:
            return None
        if not self._longest:
            self.asked[value] += 1
            return None
        for prefix, name in self._longest:
            if value.startswith(prefix):
                rest = value[len(prefix) :]
                if not rest or (rest[0] in _ENDS and bare(value)):
                    return name + rest
        return None

    def definitions(self, body: str) -> str:
        """The lines that say what the names used in ``body`` stand for."""
        if not self.prefixes:
            return ""
        used = {int(m.group(1)) for m in _NAME.finditer(body)}
        return "".join(f"&{i}={p}\n" for i, p in enumerate(self.prefixes, 1) if i in used)


def worth_naming(counts: Mapping[str, int]) -> Folds:
    """The prefixes of these strings whose names save more than their definitions cost, greedily."""
    options: list[tuple[int, list[str]]] = []
    for value, n in counts.items():
        if not bare(value):
            continue
        url = "://" in value[:16]
        found = list(_prefixes(value)) if url else []
        if not url and len(value) < _MIN_WORDS and " " in value:
            continue
        if (url or n > 1) and len(value) <= _MAX_WHOLE and value not in found:
            found.append(value)
        if found:
            options.append((n, found))
    covered = [0] * len(options)
    chosen: list[str] = []
    while len(chosen) < MAX_FOLDS:
        gain: Counter[str] = Counter()
        for have, (n, found) in zip(covered, options, strict=True):
            for prefix in found:
                if len(prefix) > have:
                    gain[prefix] += n * (len(prefix) - (have or _NAME_COST))
        best = max(gain, key=lambda p: (gain[p] - len(p), p), default="")
        if not best or gain[best] - len(best) - _NAME_COST < _MIN_GAIN:
            break
        chosen.append(best)
        for i, (_, found) in enumerate(options):
            if best in found:
                covered[i] = max(covered[i], len(best))
    # A prefix whose strings all have a longer one by now names nothing.
    longest = {p for (_, found), size in zip(options, covered, strict=True) for p in found if len(p) == size}
    return Folds([p for p in chosen if p in longest])


def unfold(word: str, prefixes: Mapping[str, str]) -> str | None:
    """The string that a bare word stands for; None where it begins with no name."""
    found = _NAME.match(word)
    prefix = prefixes.get(found.group(1)) if found else None
    return None if found is None or prefix is None else prefix + word[found.end() :]


def _prefixes(value: str) -> Iterator[str]:
    at = value.find("/", value.find("://") + 3)
    for _ in range(_BOUNDARIES):
        if at < 0:
            return
        if at >= MIN_LENGTH:
            yield value[:at]
        at = value.find("/", at + 1)
