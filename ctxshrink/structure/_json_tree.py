"""JSON as a tree that keeps how every number was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias, cast

MAX_DEPTH = 60
"""Deeper values are taken as they stand: no reader follows them, and the writers recurse."""


class Literal(str):
    """A number, true, false, null, NaN or an infinity, in the source's own spelling."""

    __slots__ = ()


Node: TypeAlias = "Literal | str | dict[str, Node] | list[Node]"
"""A string is its value, everything else that has no parts is a `Literal`."""

NULL, TRUE, FALSE = Literal("null"), Literal("true"), Literal("false")


class _DuplicateKeyError(ValueError):
    """An object names a member twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        raise _DuplicateKeyError
    return out


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=Literal, parse_float=Literal, parse_constant=Literal, strict=False
)


def parse(text: str) -> Node | None:
    """The value of a JSON text, of JSON lines in one list; None for anything else, repeated keys, too much depth."""
    try:
        found = _DECODER.decode(text)
    except (ValueError, RecursionError):
        found = _lines(text)
        if found is None:
            return None
    return _literals(found) if depth(found) <= MAX_DEPTH else None


def _lines(text: str) -> list[Any] | None:
    rows = [line for line in text.split("\n") if line.strip()]
    if len(rows) < 2 or rows[0].strip()[0] not in "{[":
        return None
    try:
        return [_DECODER.decode(row) for row in rows]
    except (ValueError, RecursionError):
        return None


def depth(root: Any) -> int:
    """Objects and arrays inside each other, at most; stops counting behind `MAX_DEPTH`."""
    level = [root]
    for found in range(MAX_DEPTH + 2):
        level = [child for node in level if isinstance(node, dict | list) for child in _children(node)]
        if not level:
            return found
    return MAX_DEPTH + 2


def _children(node: Any) -> list[Any]:
    return list(cast("dict[str, Any]", node).values()) if isinstance(node, dict) else cast("list[Any]", node)


def _literals(node: Any) -> Node:
    """Puts `Literal` for the decoder's True, False and None."""
    if isinstance(node, str):
        return node
    if isinstance(node, dict):
        items = cast("dict[str, Any]", node)
        return {key: _literals(value) for key, value in items.items()}
    if isinstance(node, list):
        return [_literals(value) for value in cast("list[Any]", node)]
    return NULL if node is None else TRUE if node is True else FALSE


def same(left: Node, right: Node) -> bool:
    """Equal in values, kinds of values, spelling of numbers and order of members."""
    if isinstance(left, dict):
        if not isinstance(right, dict) or len(left) != len(right):
            return False
        pairs = zip(left.items(), right.items(), strict=True)
        return all(a == b and same(x, y) for (a, x), (b, y) in pairs)
    if isinstance(left, list):
        if not isinstance(right, list) or len(left) != len(right):
            return False
        return all(map(same, left, right))
    if isinstance(right, dict | list):
        return False
    return isinstance(left, Literal) == isinstance(right, Literal) and left == right


def to_python(node: Any, leaf: Callable[[Literal], Any]) -> Any:
    """The tree in plain Python values; ``leaf`` turns literals into theirs."""
    if isinstance(node, Literal):
        return leaf(node)
    if isinstance(node, dict):
        return {key: to_python(value, leaf) for key, value in cast("dict[Any, Any]", node).items()}
    if isinstance(node, list):
        return [to_python(value, leaf) for value in cast("list[Any]", node)]
    return node
