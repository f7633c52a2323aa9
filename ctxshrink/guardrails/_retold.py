"""Which units of an original a text in other words still says.

For extracts the spans tell what was kept. Here each unit (sentence, line, record) of the original is aligned with the
few units of the text that share most of its words and values. It counts as kept where these have all of its values and
names and nearly all of its words, words that the original does not have standing for as many of its own. What is kept
so goes into the same features as the kept units of an extract, so that the same models judge both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ctxshrink.text._substrings import contained
from ctxshrink.text.wordlists import COUNTED

from ._fidelity_tokens import SIGNS, Kind, Tokens, is_cjk, tokenize
from ._fidelity_values import places

Floats = NDArray[np.float64]

SLIGHT: Final = 0.15
"""Share of a unit's words, by weight, that may be missing from what counts as kept."""
REPLACED: Final = 0.5
"""Most of a unit's words, as a share by weight, that other words can stand for."""
ALIGNED: Final = 0.34
"""Least share of a unit's words and values, by weight, that one unit of the text must have to tell of it."""
PARTS: Final = 3
"""Units of the text that one unit of the original may be spread over."""
CANDIDATES: Final = 8
"""Units of the text that are compared with a unit of the original."""
COMMON: Final = 32
"""Where more units of the text than these have a word, it does not say which of them tells of a unit."""


@dataclass(frozen=True, slots=True)
class Retold:
    """What a text in other words says of the units of an original.

    Attributes:
        missing: For each unit how far it is not said, in [0, 1]; 0 is kept, shape (units,).
        lost: Whether a value or name of it stands nowhere in the text, shape (units,).
        words: The original's words that the text has, in whatever form, joined by spaces.
    """

    missing: Floats
    lost: NDArray[np.bool_]
    words: str


def retell(units: Sequence[str], text: str) -> Retold:
    """Align the units of an original with a text in other words; deterministic, in about linear time.

    Args:
        units: The texts of the units, in order.
        text: The text that says them in other words.
    """
    parsed = [tokenize(unit, "prose") for unit in units]
    names = frozenset(n for t in parsed for n, k in zip(t.norm, t.kind, strict=True) if k is Kind.NAME)
    keys = [_keys(tokens) for tokens in parsed]
    held = Counter(key for found in keys for key in frozenset(found) if key)
    said = _Said(tokenize(text, "prose"), held)
    missing, lost = np.zeros(len(units)), np.zeros(len(units), dtype=bool)
    for i, (tokens, found) in enumerate(zip(parsed, keys, strict=True)):
        wanted = {key: norm in names for key, norm in zip(found, tokens.norm, strict=True) if key}
        if wanted and tuple(tokens.norm) not in said.units:
            missing[i], lost[i] = said.missing(wanted, held)
    # Between signs that are written without spaces no word can be told from the next: what is kept stands as it was.
    dense = [i for i, tokens in enumerate(parsed) if is_cjk(tokens)]
    for i, stands in zip(dense, contained([units[i] for i in dense], text), strict=True) if dense else ():
        missing[i], lost[i] = float(not stands), False
    pairs = (pair for t, found in zip(parsed, keys, strict=True) for pair in zip(t.norm, found, strict=True))
    return Retold(missing, lost, " ".join(dict.fromkeys(norm for norm, key in pairs if key in said.where)))


class _Said:
    """The units of a text in other words, by their words and values.

    Args:
        tokens: The text.
        held: In how many units of the original each key stands.

    Attributes:
        units: Normal forms of the units.
        where: Units by key, ascending.
    """

    def __init__(self, tokens: Tokens, held: Counter[str]) -> None:
        found = _keys(tokens)
        self.units = frozenset(tuple(tokens.norm[a:b]) for a, b in pairwise(tokens.bounds))
        self.where: dict[str, list[int]] = {}
        self._inside: list[frozenset[str]] = []
        self._new: list[int] = []  # Words of each unit that the original does not have, and that stand for none yet.
        for unit, (a, b) in enumerate(pairwise(tokens.bounds)):
            inside = dict.fromkeys(key for key in found[a:b] if key)
            self._inside.append(frozenset(inside))
            self._new.append(sum(key not in held and key[0] != "#" for key in inside))
            for key in inside:
                self.where.setdefault(key, []).append(unit)

    def missing(self, wanted: Mapping[str, bool], held: Counter[str]) -> tuple[float, bool]:
        """How far a unit is not said, and whether a value or name of it is nowhere.

        Args:
            wanted: The unit's keys, and whether each is a name.
            held: As above.
        """
        lost = any(key not in self.where for key, name in wanted.items() if name or key[0] == "#")
        # A word of every sentence tells little of any one: each weighs by the share of it that this one has.
        weight = {key: 1 / held[key] for key in wanted}
        total = sum(weight.values())
        parts, unsaid = self._parts(weight, total)
        if not parts or lost or any(key[0] == "#" for key in unsaid):
            return 1.0, lost
        gone = sum(weight[key] for key in unsaid)
        gone -= self._replaced([weight[key] for key in unsaid if not wanted[key]], parts, total)
        return (gone / total if gone > SLIGHT * total else 0.0), lost

    def _parts(self, weight: dict[str, float], total: float) -> tuple[list[int], list[str]]:
        """The units that say most of some keys, best first, and the keys that are still unsaid."""
        votes: dict[int, float] = {}
        there = {key: places for key in weight if (places := self.where.get(key))}
        telling = {key: places for key, places in there.items() if len(places) <= COMMON} or there
        for key, places in telling.items():
            for unit in places[:COMMON]:
                votes[unit] = votes.get(unit, 0.0) + weight[key]
        likely = sorted(votes, key=lambda unit: (-votes[unit], unit))[:CANDIDATES]
        parts: list[int] = []
        unsaid: list[str] = list(weight)
        while likely and len(parts) < PARTS and unsaid:
            gains = [sum(weight[key] for key in unsaid if key in self._inside[unit]) for unit in likely]
            best = max(range(len(likely)), key=gains.__getitem__)
            if gains[best] < (ALIGNED if not parts else SLIGHT / 2) * total:
                break
            parts.append(likely.pop(best))
            said = self._inside[parts[-1]]
            unsaid = [key for key in unsaid if key not in said]
        return parts, unsaid

    def _replaced(self, weights: Sequence[float], parts: Sequence[int], total: float) -> float:
        """The weight of the words that new words of some units stand for; each of these stands for one."""
        out = 0.0
        for weight in sorted(weights, reverse=True):
            unit = next((unit for unit in parts if self._new[unit] > 0), None)
            if unit is None or out + weight > REPLACED * total:
                break
            self._new[unit] -= 1
            out += weight
        return out


def _keys(tokens: Tokens) -> list[str]:
    """For each token what it is compared by: "#" and its form for a part of a value, its stem for a word, else ""."""
    found = places(tokens)
    out: list[str] = []
    for norm, key, value in zip(tokens.norm, found.keys, found.value, strict=True):
        out.append(key if value < 0 else "" if norm in SIGNS else f"#{COUNTED.get(norm, norm)}")
    return out
