"""Line templates of a log: what lines of one shape share, and the values in which they differ.

Lines are cut into words and separators. Lines with the same separators are compared word by word: a word that enough
of them have at its place belongs to the template, any other is a gap (Vaarandi 2003, "A data clustering algorithm for
mining patterns from event logs"). How many are enough is tried from few to many, and per shape of line the number
whose templates and values are shortest together is taken. All of it is exact, deterministic and linear in the text.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["SIGIL", "Template", "cost", "mine", "tokens"]

SIGIL = "\u00a7"
"""Marks everything in a short form that is not the log's own."""
STAMP_COST = 8.0
"""About how many tokens a time costs less when it is written as its difference."""
ENTRY = 6.0
"""Tokens that a template costs beside its text: its name, its line, and the reader's attention."""
EVENT = 3.0
"""Tokens of a line that names its template, beside the values."""
CLEAR = 8.0
"""Fewest constant tokens of a template, and at least twice the number of its gaps: a line that is mostly gaps, or as
short as its reference, reads better as it is."""
LEAST = 3
"""Fewest lines of a template."""
ROUNDS = 3
"""Most times the lines of one shape that are left over are tried again."""
SUPPORTS = (2, 3, 5, 9, 17, 33, 65, 129, 257, 513, 1025)
FINEST = 100
"""Words that fewer than one in so many lines of a shape have are gaps; bounds the work on large logs."""
LONGEST_LINE = 2_000
"""Longer lines have no template."""
LONGEST_PREFIX = 16
"""Most tokens of a template that ends in the rest of the line."""
MAX_TEMPLATES = 400
MANY = 200
"""From more than this many failing lines of one shape on they are written by template like any other."""

_TOKEN = re.compile(
    # What is a name or a number as a whole is one word: addresses, mail addresses, clock times, MAC and IPv6 addresses.
    r"[a-z]{2,8}://[^\s\"'<>()\[\]]+|(?:[0-9a-fA-F]{1,4}::?){2,7}[0-9a-fA-F]{1,4}(?!\w)"
    r"|[\w.+\-/\\\u00a7]+(?:@[\w\-]+\.[\w.\-]+)?|\s+|[^\w\s]"
)
_WORDS = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_|\n")


def cost(text: str) -> float:
    """About how many tokens a text has: a rough rule for weighing one way to write against another."""
    total = 0.0
    for word in _WORDS.findall(text):
        first = word[0]
        total += (len(word) + 2) // 3 if first.isdigit() else 1 + len(word) // 7 if first.isalpha() else 1
    return total


@dataclass(frozen=True, slots=True)
class Template:
    """Constant texts with a gap between each two; ``tail`` says that the last gap holds the rest of the line.

    A gap that holds the line's time is one of ``stamp``: its position among the gaps, or -1.
    """

    parts: tuple[str, ...]
    stamp: int = -1
    tail: bool = False

    @property
    def constant(self) -> float:
        """Tokens of the constant texts."""
        return sum(cost(p) for p in self.parts) + (STAMP_COST if self.stamp >= 0 else 0.0)

    def fill(self, values: Sequence[str], stamp: str) -> str:
        """The line with these values in its gaps."""
        out = [self.parts[0]]
        rest = iter(values)
        for i, part in enumerate(self.parts[1:]):
            out.append(stamp if i == self.stamp else next(rest))
            out.append(part)
        return "".join(out)


def tokens(text: str) -> list[str]:
    """Words, white space and single separators; joined they are the text."""
    return _TOKEN.findall(text)


def mine(
    lines: Sequence[list[str]], stamp: str, verbatim: Sequence[bool]
) -> list[tuple[Template, tuple[str, ...]] | None]:
    """The template of each line and the line's values, the time left out.

    Args:
        lines: The tokens of each line; [] for a line that shall have none.
        stamp: The token that stands for the line's time.
        verbatim: Lines that shall not be taken apart (failures) unless there are more than `MANY` of one shape; their
            template is the whole line.
    """
    found: list[tuple[Template, tuple[str, ...]] | None] = [None] * len(lines)
    shapes: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    keys = [tuple("" if t != stamp and _is_word(t) else t for t in line) for line in lines]
    failing = Counter(key for key, exact in zip(keys, verbatim, strict=True) if exact)
    whole = [exact and failing[key] <= MANY for key, exact in zip(keys, verbatim, strict=True)]
    for i, line in enumerate(lines):
        if line:
            shapes[tuple(line) if whole[i] else keys[i]].append(i)
    for shape, members in shapes.items():
        if len(members) >= LEAST:
            _mine_shape(lines, shape, members, stamp, found)
    _mine_prefixes(lines, [i for i, f in enumerate(found) if f is None and lines[i] and not whole[i]], stamp, found)
    _keep_best(found)
    return found


def _is_word(token: str) -> bool:
    c = token[0]
    return c.isalnum() or c in "_.+-/\\\u00a7"


def _mine_shape(
    lines: Sequence[list[str]],
    shape: tuple[str, ...],
    members: list[int],
    stamp: str,
    found: list[tuple[Template, tuple[str, ...]] | None],
) -> None:
    places = [k for k, t in enumerate(shape) if t == ""]
    for _ in range(ROUNDS):
        if len(members) < LEAST:
            return
        counts = [Counter(lines[i][k] for i in members) for k in places]
        best: tuple[float, list[tuple[tuple[int, ...], list[int]]]] = (0.0, [])
        for support in SUPPORTS:
            if support > len(members):
                break
            if support * FINEST < len(members):
                continue
            groups: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
            for i in members:
                line = lines[i]
                key = tuple(line[k] if c[line[k]] >= support else "" for k, c in zip(places, counts, strict=True))
                groups[key].append(i)
            gain, taken = 0.0, list[tuple[tuple[int, ...], list[int]]]()
            for key, group in groups.items():
                if len(group) < LEAST:
                    continue
                gaps = tuple(k for k, w in zip(places, key, strict=True) if w == "")
                won = _gain(lines[group[0]], gaps, len(group), stamp)
                if won > 0:
                    gain += won
                    taken.append((gaps, group))
            if gain > best[0]:
                best = gain, taken
        if not best[1]:
            return
        for gaps, group in best[1]:
            _apply(lines, gaps, group, stamp, found)
        members = [i for i in members if found[i] is None]


def _gain(line: list[str], gaps: tuple[int, ...], n: int, stamp: str) -> float:
    """Tokens saved by writing n lines through the template that has these gaps."""
    open_ = set(gaps)
    constant = sum(_cost_of(t) for k, t in enumerate(line) if k not in open_ and t != stamp)
    stamped = STAMP_COST if stamp in line else 0.0
    if constant + stamped < max(CLEAR, 2.0 * len(gaps)):
        return 0.0
    return n * (constant + stamped - EVENT - len(gaps)) - constant - ENTRY - len(gaps)


_cost_of = lru_cache(maxsize=20_000)(cost)


def _apply(
    lines: Sequence[list[str]],
    gaps: tuple[int, ...],
    group: list[int],
    stamp: str,
    found: list[tuple[Template, tuple[str, ...]] | None],
) -> None:
    """Gives the lines of a group their template; gaps with nothing but a separator between them are one."""
    line = lines[group[0]]
    runs: list[tuple[int, int]] = []
    for k in gaps:
        if runs and k - runs[-1][1] == 1 and not line[k - 1].isspace():
            runs[-1] = runs[-1][0], k + 1
        else:
            runs.append((k, k + 1))
    parts: list[str] = []
    where = -1
    at = 0
    current: list[str] = []
    starts = dict(runs)
    while at < len(line):
        if at in starts or line[at] == stamp:
            if line[at] == stamp:
                where = len(parts)
            parts.append("".join(current))
            current = []
            at = starts.get(at, at + 1)
        else:
            current.append(line[at])
            at += 1
    template = Template((*parts, "".join(current)), where)
    for i in group:
        found[i] = template, tuple("".join(lines[i][a:b]) for a, b in runs)


def _mine_prefixes(
    lines: Sequence[list[str]],
    members: list[int],
    stamp: str,
    found: list[tuple[Template, tuple[str, ...]] | None],
) -> None:
    """Templates of the beginnings that lines share, for lines that share no more."""
    for _ in range(2):
        counts: Counter[tuple[str, ...]] = Counter()
        for i in members:
            counts.update(_prefixes(lines[i]))
        chosen: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for i in members:
            best, most = None, 0.0
            for prefix in _prefixes(lines[i]):
                n = counts[prefix]
                if n >= LEAST:
                    # Per line, so that a long beginning of some lines is weighed against a short one of all.
                    won = _gain(list(prefix), (), n, stamp) / n
                    if won > most:
                        best, most = prefix, won
            if best is not None:
                chosen[best].append(i)
        for prefix, group in chosen.items():
            if len(group) >= LEAST and _gain(list(prefix), (), len(group), stamp) > 0:
                if stamp in prefix:
                    at = prefix.index(stamp)
                    parts = "".join(prefix[:at]), "".join(prefix[at + 1 :]), ""
                else:
                    parts = "".join(prefix), ""
                template = Template(parts, 0 if stamp in prefix else -1, True)
                for i in group:
                    found[i] = template, ("".join(lines[i][len(prefix) :]),)
        members = [i for i in members if found[i] is None]


def _prefixes(line: list[str]) -> Iterator[tuple[str, ...]]:
    for k in range(2, min(len(line), LONGEST_PREFIX + 1)):
        if line[k - 1].isspace() and not line[k].isspace():
            yield tuple(line[:k])


def _keep_best(found: list[tuple[Template, tuple[str, ...]] | None]) -> None:
    """Takes the templates away that save least, where there are too many."""
    counts = Counter(f[0] for f in found if f is not None)
    if len(counts) <= MAX_TEMPLATES:
        return
    ranked = sorted(counts, key=lambda t: (-counts[t] * t.constant, t.parts))
    kept = set(ranked[:MAX_TEMPLATES])
    for i, f in enumerate(found):
        if f is not None and f[0] not in kept:
            found[i] = None
