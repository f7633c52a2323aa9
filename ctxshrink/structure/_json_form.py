"""From a JSON tree to the blocks of its compact form: which objects become tables, lines, or stay on one line."""

from __future__ import annotations

from collections import Counter
from itertools import groupby, pairwise

from ctxshrink.structure._blocks import Alike, Block, Inline, Items, Leaf, Long, Members, Nested
from ctxshrink.structure._fold import Folds
from ctxshrink.structure._json_scan import is_member
from ctxshrink.structure._json_table import Draft, draft
from ctxshrink.structure._json_table_block import Column, Pairs, Table
from ctxshrink.structure._json_tree import Literal, Node
from ctxshrink.structure._json_weights import LONG_RUN, SHARED, column_weight, weight
from ctxshrink.structure._json_words import (
    SAME,
    cell_value,
    column_text,
    inline_value,
    key_text,
    line_value,
    named,
    opaque,
    quote,
    tight,
)
from ctxshrink.text import units

LONG = 160
"""Characters from which on a string is cut into its sentences."""
INLINE_OBJECT = 80
INLINE_ARRAY = 240
"""Most characters of an object or array of single values on one line."""
MIN_PAIRS = 12
"""Fewest members of an object that is written as pairs."""
SAME_SIZE = 60
"""Characters of the smallest object for which an earlier one stands."""

Path = tuple[str, ...]
_EMPTY = {True: "{}", False: "[]"}


class Form:
    """Turns values into blocks.

    Args:
        folds: Prefixes that short names stand for.
        counts: How often each value occurs.
    """

    def __init__(self, folds: Folds, counts: Counter[str]) -> None:
        self.folds = folds
        self.counts = counts
        self._seen: dict[int, tuple[str, Block]] = {}
        self._ids: dict[object, int] = {}
        self._prints: dict[int, tuple[int, int]] = {}

    def root(self, value: Node) -> Block | None:
        """The block of a whole text; None for single and empty values."""
        if not isinstance(value, dict | list) or not value:
            return None
        found = self._table("", value, (), 0)
        if found is not None:
            return found
        if isinstance(value, dict):
            return self._members(value, (), addressed=True)
        return self._items(value, ())

    def _members(self, value: dict[str, Node], path: Path, *, addressed: bool) -> Members:
        out: list[Block] = []
        for written, run in groupby(value.items(), lambda pair: _small(pair[1])):
            members = list(run)
            if written and len(members) > 1:
                priors = [weight(key, child, self.counts) for key, child in members]
                labels = [".".join((*path, key)) for key, _ in members]
                names = [key_text(key) for key, _ in members]
                leaves = [Leaf(*leaf) for leaf in zip(names, labels, priors, strict=True)]
                out.append(Alike(leaves, f":{'' if tight(written) else ' '}{written}"))
            else:
                out += [self._member(key, child, (*path, key), addressed) for key, child in members]
        return Members(out)

    def _member(self, key: str, value: Node, path: Path, addressed: bool) -> Block:
        label = ".".join(path)
        if not isinstance(value, dict | list):
            return self._scalar(key, value, label)
        prior = weight(key, value, self.counts)
        if not value:
            return Leaf(named(key, _EMPTY[isinstance(value, dict)]), label, prior)
        number, size = self._print(value)
        earlier = self._seen.get(number)
        if earlier is not None:
            return Leaf(named(key, SAME + earlier[0]), label, 0.6, same=earlier[1])
        block = self._container(key_text(key) + ":", value, path, addressed)
        if addressed and size >= SAME_SIZE:
            self._seen[number] = column_text(path), block
        return block

    def _container(self, head: str, value: dict[str, Node] | list[Node], path: Path, addressed: bool) -> Block:
        if self._fits_a_line(value):
            return self._inline(head, value, path)
        found = self._table(head + " ", value, path, 1)
        if found is not None:
            return found
        if isinstance(value, dict):
            return Nested(head, self._members(value, path, addressed=addressed))
        return Nested(head, self._items(value, path))

    def _items(self, value: list[Node], path: Path) -> Items:
        out: list[Block] = []
        key, label = path[-1] if path else "", ".".join(path)
        for child in value:
            if not isinstance(child, dict | list):
                out.append(self._item(key, child, label))
            elif not child:
                out.append(Leaf(_EMPTY[isinstance(child, dict)], label, 0.3))
            elif self._fits_a_line(child):
                out.append(self._inline("", child, path))
            else:
                table = self._table("", child, path, 0)
                if table is not None:
                    out.append(table)
                elif isinstance(child, dict):
                    out.append(self._members(child, path, addressed=False))
                else:
                    out.append(self._items(child, path))
        return Items(out)

    def _scalar(self, key: str, value: str, label: str) -> Block:
        prior = weight(key, value, self.counts)
        if isinstance(value, Literal):
            return Leaf(named(key, value), label, prior)
        written = self.folds.fold(value) or line_value(value)
        return self._string(named(key, written)[: -len(written)], value, written, label, prior)

    def _item(self, key: str, value: str, label: str) -> Block:
        prior = weight(key, value, self.counts)
        if isinstance(value, Literal):
            return Leaf(value, label, prior)
        written = self.folds.fold(value) or line_value(value)
        if written[0] != '"' and (written.startswith("- ") or is_member(written)):
            written = quote(value)
        return self._string("", value, written, label, prior)

    def _string(self, head: str, value: str, written: str, label: str, prior: float) -> Block:
        if len(value) >= LONG and (written == value or written[0] == '"'):
            cut = _cut(value, written)
            if cut is not None:
                pieces, gaps, before, behind = cut
                weights = [prior if i < 2 else prior * LONG_RUN for i in range(len(pieces))]
                return Long(head + before, pieces, gaps, behind, label, weights)
        return Leaf(head + written, label, prior)

    def _fits_a_line(self, value: dict[str, Node] | list[Node]) -> bool:
        children = value.values() if isinstance(value, dict) else value
        if any(isinstance(c, dict | list) and c for c in children):
            return False
        size = sum(len(c) + 2 for c in children if isinstance(c, str))
        if isinstance(value, dict):
            return size + sum(map(len, value)) <= INLINE_OBJECT
        if all(isinstance(c, Literal) for c in value):
            return True
        return size <= INLINE_ARRAY and all(not isinstance(c, str) or "," not in c for c in value)

    def _inline(self, head: str, value: dict[str, Node] | list[Node], path: Path) -> Inline:
        if isinstance(value, dict):
            members = [self._inline_part(key, child, (*path, key)) for key, child in value.items()]
            return Inline(head, "{}", members)
        return Inline(head, "[]", [self._inline_part(None, child, path) for child in value])

    def _inline_part(self, key: str | None, value: Node, path: Path) -> Block:
        """An item, or a member where it has a key."""
        if isinstance(value, dict | list):
            if value:
                return self._inline("" if key is None else key_text(key) + ":", value, path)
            written = _EMPTY[isinstance(value, dict)]
        else:
            written = value if isinstance(value, Literal) else inline_value(value)
        prior = weight(path[-1] if path else "", value, self.counts)
        return Leaf(written if key is None else named(key, written), ".".join(path), prior)

    def _pairs(self, head: str, value: dict[str, Node], path: Path, deeper: int) -> Pairs | None:
        if len(value) < MIN_PAIRS or not all(map(opaque, value)):
            return None
        items: list[Leaf] = []
        for key, child in value.items():
            if not isinstance(child, str) or not child or " " in child:
                return None
            if not isinstance(child, Literal) and line_value(child) != child:
                return None
            label = ".".join((*path, key))
            items.append(Leaf(f"{key} {child}", label, weight(key, child, self.counts)))
        return Pairs(head, items, deeper)

    def _table(self, head: str, value: dict[str, Node] | list[Node], path: Path, deeper: int) -> Block | None:
        if isinstance(value, dict):
            pairs = self._pairs(head, value, path, deeper)
            if pairs is not None:
                return pairs
        plan = draft(value)
        if plan is None:
            return None
        return self._fill(plan, head, path, deeper)

    def _fill(self, plan: Draft, head: str, path: Path, deeper: int) -> Table:
        priors = [
            column_weight(names[-1] if names else "", [row[c] for row in plan.rows], self.counts)
            for c, names in enumerate(plan.paths)
        ]
        parts = list(zip(plan.columns, [path + names for names in plan.paths], priors, strict=True))
        rows = [
            [
                None if value is None else self._cell(value, names, prior, column)
                for value, (column, names, prior) in zip(row, parts, strict=True)
            ]
            for row in plan.rows
        ]
        constants: list[tuple[int, Block]] = []
        for place, names, value in plan.constants:
            prior = SHARED * weight(names[-1], value, Counter())
            constants.append((place, self._cell(value, path + names, prior, None, f"{column_text(names)}=")))
        return Table(head, plan.how, plan.columns, rows, constants, deeper)

    def _cell(self, value: Node, path: Path, prior: float, column: Column | None, head: str = "") -> Block:
        """The cell of a column; None for a column is one that never changes."""
        label = ".".join(path)
        if isinstance(value, dict | list):
            if value:
                return self._inline(head, value, path)
            return Leaf(head + _EMPTY[isinstance(value, dict)], label, prior)
        if isinstance(value, Literal):
            return Leaf(head + value, label, prior)
        if column is not None and column.key:
            return Leaf(cell_value(value, True), label, prior)
        folded = self.folds.fold(value)
        written = folded if folded and "|" not in folded else cell_value(value, column is not None and column.text)
        return self._string(head, value, written, label, prior)

    def _print(self, node: Node) -> tuple[int, int]:
        """(number that equal values share, about how many characters it takes)."""
        found = self._prints.get(id(node))
        if found is not None:
            return found
        if isinstance(node, dict):
            parts = [(key, *self._print(child)) for key, child in node.items()]
            signature: object = ("{", *((key, number) for key, number, _ in parts))
            size = sum(len(key) + s + 2 for key, _, s in parts)
        elif isinstance(node, list):
            inner = [self._print(child) for child in node]
            signature = ("[", *(number for number, _ in inner))
            size = sum(s + 2 for _, s in inner)
        else:
            signature = (isinstance(node, Literal), str(node))
            size = len(node)
        number = self._ids.setdefault(signature, len(self._ids))
        if isinstance(node, dict | list):
            self._prints[id(node)] = number, size
        return number, size


def _small(value: Node) -> str:
    """How an empty value, null, true, false or 0 is written; "" for others."""
    if isinstance(value, dict | list):
        return "" if value else _EMPTY[isinstance(value, dict)]
    if isinstance(value, Literal):
        return value if value[0] in "tfn" or value == "0" else ""
    return "" if value else '""'


def _cut(value: str, written: str) -> tuple[list[str], list[str], str, str] | None:
    """(sentences as written, what stands between, before and behind them), or None where it does not come apart."""
    spans = units(value, "prose")
    if len(spans) < 2:
        return None
    pieces = [value[s:e] for s, e in spans]
    gaps = [value[: spans[0][0]], *(value[a[1] : b[0]] for a, b in pairwise(spans)), value[spans[-1][1] :]]
    if written != value:
        pieces = [quote(p)[1:-1] for p in pieces]
        gaps = [quote(g)[1:-1] for g in gaps]
        gaps = ['"' + gaps[0], *gaps[1:-1], gaps[-1] + '"']
    whole = "".join(g + p for g, p in zip(gaps, pieces, strict=False)) + gaps[-1]
    return (pieces, gaps[1:-1], gaps[0], gaps[-1]) if whole == written else None
