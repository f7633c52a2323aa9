"""Layout of JSON: the same values in a form that says each name once.

The compact form needs no explanation to be read; this is how it is read back exactly (`ctxshrink.structure.decode`)::

    &1=https://api.example.org/users/ada         what &1 stands for at the beginning of values below
    id:7                                         a member; no blank before digits, quotes and brackets
    url: &1/repos
    zip:"00501"                                  in quotes: a string that reads as a number or holds special characters
    from, to, via: null                          neighbours with the same value
    tags: [a, b]                                 short arrays and objects stay on one line: {a:1, b: x}
    address:                                     an object, one blank deeper
     city: Lyon
    flights: 3 rows: number|"gate"|price.net|by  a table of three objects: header, constants, rows one blank deeper
     all rows: status=open|@5 date=2024-05-24    the same in all rows; @5: the fifth member; else next to the one before
     HA1|07|12.50|                               an empty cell: no such member (null and "" are written)
     HA2|08|13.00|{air: 2}                       "gate" in quotes: all its cells are strings, whatever they look like
     HA3|09|13.50|null                           price.net: member net of the object price
    cards: 2 rows by id: id|kind                 an object of objects, each named by its id; "by *": by a first column
     c1|visa                                     that is no member. "in groups of 2": an array of arrays of two;
     c2|paypal                                   "of text": all cells are strings
    keys: 20 pairs:                              an object of many ids and single values
     7f3a-11c2 9e0b-4d5a
    log:                                         other arrays: a line for each item
     - first
     - level: info
       text: started
    owner: same as address                       the same value as there

Names are quoted where they hold ``.:"|=[]{},…``; a quoted column that is no text column ends in ``~``. In a pruned text
``[…3]`` (in a long text the first one in words: ``[… 3 rows omitted]``) stands for three rows, items or sentences in
that place and for three members of the object that it ends; ``…`` for a cell; ``…3`` for items in brackets and, at the
end of a header, for columns. JSON lines are written as the array of their values.
"""

from __future__ import annotations

from collections.abc import Sequence

from ctxshrink.structure import _fold
from ctxshrink.structure._blocks import Block, Sheet
from ctxshrink.structure._json_form import Form
from ctxshrink.structure._json_read import read
from ctxshrink.structure._json_tree import Node, parse, same
from ctxshrink.structure._json_weights import repeats
from ctxshrink.structure.layout import Layout

_SMALL = 1500
"""Characters from which on a pruned form affords a marker in words."""


def layout(text: str) -> Layout | None:
    """The compact form of a JSON text, a unit for each value.

    Args:
        text: JSON or JSON lines.

    Returns:
        None where the text is neither, holds a name twice in one object, nests too deeply, is a single or an empty
        value, or where its compact form is not shorter or would not be read back as exactly the same value.
    """
    root = parse(text)
    made = None if root is None else compact(root)
    if root is None or made is None or len(made.text) >= len(text) or not same(read(made.text), root):
        return None
    return made


def compact(root: Node) -> Layout | None:
    """The compact form of a value, not yet checked; None for single and empty values."""
    counts = repeats(root)
    folds = _fold.Folds()
    block = Form(folds, counts).root(root)
    if block is None:
        return None
    named = _fold.worth_naming(folds.asked)
    if named.prefixes:
        folds = named
        block = Form(folds, counts).root(root) or block
    sheet = Sheet()
    block.write(sheet, 0)
    body = sheet.text
    head = folds.definitions(body)
    shift = len(head)
    return Layout(
        text=head + body,
        spans=tuple((s + shift, e + shift) for s, e in sheet.spans),
        parents=tuple(sheet.parents),
        weights=tuple(sheet.weights),
        labels=tuple(sheet.labels),
        groups=tuple(sheet.groups),
        form="compact JSON",
        unit="value",
        gap="|…",
        renderer=_Renderer(block, folds, head + body, len(sheet.spans)),
    )


class _Renderer:
    """Renders a choice of units in the compact form."""

    def __init__(self, block: Block, folds: _fold.Folds, whole: str, size: int) -> None:
        self._block, self._folds = block, folds
        self._whole, self._size = whole, size

    def __call__(self, kept: Sequence[int], short: bool) -> str:
        if len(kept) == self._size:
            return self._whole
        sheet = Sheet(kept, short or len(self._whole) < _SMALL)
        self._block.write(sheet, 0)
        body = sheet.text
        return self._folds.definitions(body) + body
