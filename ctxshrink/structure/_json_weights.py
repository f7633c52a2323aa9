"""How much a value is worth before the question is known: by its shape, its name, and how often it is said.

The rules name no data set's fields: an identifier is told by digits among letters or by a name that ends in id, number
or code; boilerplate by being empty, a hash, a link beside other links, or the same as elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from ctxshrink.structure._json_tree import Literal, Node

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_HASH = re.compile(r"[0-9a-f]{32,128}|[A-Za-z0-9+/_-]{40,}={0,2}")
_BASE64 = re.compile(r"(?=[A-Za-z0-9+/]*[A-Z])(?=[A-Za-z0-9+/]*[a-z])[A-Za-z0-9+/]{14,}={0,2}")
_URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://")
_DATE = re.compile(r"[12][0-9]{3}-[01][0-9]-[0-3][0-9]")
_CODE = re.compile(
    r"(?=[^0-9]{0,60}[0-9])(?=[^A-Za-z]{0,60}[A-Za-z#])[A-Za-z0-9#][A-Za-z0-9_.:/#-]{2,60}|[A-Z][A-Z0-9_-]{4,20}"
)
_DIGITS = re.compile(r"[0-9]{5,}")

_IDENTITY = frozenset({"id", "ids", "number", "no", "num", "code", "key", "sku", "ref", "login", "email", "sha", "tag"})
_TELLING = frozenset(
    {"status", "state", "action", "event", "type", "amount", "total", "price", "date", "time"}
    | {"start", "end", "from", "to", "origin", "destination", "result", "error", "errors", "message", "reason"}
    | {"conclusion", "phone", "address", "city", "version", "branch", "method", "path", "answer", "value", "summary"}
    | {"description", "body", "content", "text", "subject", "label", "user", "author", "owner", "cost", "balance"}
)
_NAMES = frozenset({"name", "names", "title"})
_LOW = frozenset(
    {"url", "urls", "href", "link", "links", "avatar", "gravatar", "node", "etag", "hash", "signature", "digest"}
)

SHARED = 1.5
"""Factor of a value that all records share: it is written once and says something about each."""
NAMING = 1.4
"""Factor of a column of short words that differ in every record."""
MAX_NAME = 60
LONG_RUN = 0.6
"""A sentence behind the first ones of a long string."""


def repeats(root: Node) -> Counter[str]:
    """How often each string and number occurs."""
    out: Counter[str] = Counter()
    stack: list[Any] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            stack.extend(cast("dict[str, Any]", node).values())
        elif isinstance(node, list):
            stack.extend(cast("list[Any]", node))
        else:
            out[node] += 1
    return out


def column_weight(key: str, values: Sequence[Node | None], counts: Counter[str]) -> float:
    """One weight for all values of a column: a column that goes as a whole costs no marks for what is missing."""
    found = [weight(key, v, counts) for v in values if v is not None]
    mean = sum(found) / max(1, len(found))
    return mean * NAMING if _names_records(values) else mean


def _names_records(values: Sequence[Node | None]) -> bool:
    """True for short words that differ in every record: what people call the records by."""
    words = [v for v in values if isinstance(v, str) and not isinstance(v, Literal)]
    return (
        len(words) == len(values) > 2
        and len(set(words)) == len(words)
        and all(len(v) <= MAX_NAME for v in words)
        and sum(any(c.isalpha() for c in v) for v in words) > len(words) // 2
    )


def weight(key: str, value: Node, counts: Counter[str]) -> float:
    """Prior importance of a value under a name: 1 is neutral, boilerplate is near 0, identifiers are at 3 and above."""
    if isinstance(value, dict | list):
        return 0.3 if not value else 1.0
    if value in ("", "null"):
        return 0.2
    if isinstance(value, Literal) and value in ("true", "false"):
        return 0.4 if value == "true" else 0.3
    name = [w.lower() for w in _WORDS.findall(key[-80:])]
    last = name[-1] if name else ""
    base = _shape(value)
    if base < 0.5 or not _LOW.isdisjoint(name):
        base = min(base, 0.25)
    elif last in _IDENTITY:
        base *= 1.5
    elif last in _NAMES:
        base *= 1.8
    elif last in _TELLING:
        base *= 1.3
    seen = counts[value]
    return base / (1.0 + 0.15 * min(10, seen - 1)) if seen > 1 else base


def _shape(value: str) -> float:
    """What a value looks like says how likely it is asked for again, exactly."""
    if _URL.match(value):
        return 0.4
    if isinstance(value, Literal):
        return 1.0 if len(value) < 5 else 1.5
    if len(value) > 120:
        return 0.9
    if _HASH.fullmatch(value) or (_BASE64.fullmatch(value) and any(c.isdigit() for c in value)):
        return 0.4
    if _DATE.match(value):
        return 2.0 if len(value) < 12 else 1.2
    if _DIGITS.fullmatch(value) or _CODE.fullmatch(value):
        return 2.5
    return 1.0
