"""Directories that many lines of a log name, written once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ctxshrink.structure._log_templates import ENTRY, LONGEST_LINE, SIGIL, cost

__all__ = ["directories", "shorten"]

MAX_ALIASES = 9
_CANDIDATES = 60
"""Directories that are weighed against each other."""

_PATH = re.compile(r"(?<![\w/.])(?:[A-Za-z]:|\w{2,10}:/|~)?(?:/[\w.@+%-]{1,100}){2,30}(?=/)")


def directories(lines: Sequence[str]) -> list[str]:
    """The directories whose short names save most."""
    found: Counter[str] = Counter()
    for line in lines:
        found.update(m.group() for m in _PATH.finditer(line[:LONGEST_LINE]))
    held = {path: 0.0 for path, _ in found.most_common(2_000)}
    candidates: Counter[str] = Counter()
    for path in held:
        cuts = [i for i, c in enumerate(path) if c == "/" and i > 1][1:]
        for cut in (*cuts, len(path)):
            candidates[path[:cut]] += found[path]
    costs = {p: cost(p) for p in sorted(candidates, key=lambda p: (-(candidates[p] - 1) * len(p), p))[:_CANDIDATES]}
    chosen: list[str] = []
    for _ in range(MAX_ALIASES):
        best, most = "", 2 * ENTRY
        for p, full in costs.items():
            gain = sum(
                n * max(0.0, full - 3 - held[path])
                for path, n in found.items()
                if path in held and (path == p or path.startswith(p + "/"))
            )
            gain -= full + ENTRY
            if gain > most:
                best, most = p, gain
        if not best:
            break
        chosen.append(best)
        saved = costs.pop(best) - 3
        for path in held:
            if path == best or path.startswith(best + "/"):
                held[path] = max(held[path], saved)
    return chosen


def shorten(lines: list[str], paths: Sequence[str]) -> list[str]:
    """The lines with §1, §2, … in the place of these directories."""
    if not paths:
        return lines
    ranked = sorted(range(len(paths)), key=lambda i: -len(paths[i]))

    def shorter(m: re.Match[str]) -> str:
        found = m.group()
        for i in ranked:
            p = paths[i]
            if found == p or found.startswith(p + "/"):
                return f"{SIGIL}{i + 1}{found[len(p) :]}"
        return found

    return [_PATH.sub(shorter, line) for line in lines]
