"""Distillates as rows: keys, provenance as JSON, and a digest over both that tells a damaged row."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, func

from ctxshrink.distill.types import Derived, Distillate, Setting
from ctxshrink.errors import ConfigError
from ctxshrink.store import _codec as codec
from ctxshrink.store._rows import Columns, batches
from ctxshrink.store._schema import derived as table
from ctxshrink.types import Span

_SOURCE: Final = re.compile(r"[0-9a-f]{64}\Z")
_RECIPE: Final = re.compile(r"[0-9a-f]{32}\Z")
_RECIPE_BYTES: Final = 16


def source_bytes(source: str) -> bytes:
    """A content hash as it stands in a key."""
    if not isinstance(source, str) or not _SOURCE.match(source):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError("source must be a content hash of 64 hexadecimal digits, as content_hash(text) gives it")
    return bytes.fromhex(source)


def recipe_bytes(recipe: str) -> bytes:
    """A recipe key as it stands in a key."""
    if not isinstance(recipe, str) or not _RECIPE.match(recipe):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError("recipe must be a key of 32 hexadecimal digits, as recipe_key(distiller.recipe) gives it")
    return bytes.fromhex(recipe)


def key(source: str, recipe: str) -> bytes:
    """The key of a row."""
    return recipe_bytes(recipe) + source_bytes(source)


def origin(uri: str) -> bytes | None:
    """What rows are found by their uri with."""
    return codec.digest(codec.encode(uri)) if uri else None


def recipe_range(recipe: str) -> tuple[bytes, bytes]:
    """Between these two are all keys of a recipe, and no others."""
    first = recipe_bytes(recipe)
    return first, first + b"\xff" * 33


def at(uri: str | None) -> list[ColumnElement[bool]]:
    """The condition that a row comes from a place."""
    if uri == "":
        raise ConfigError('uri "" stands for a place that is not known: give sources or a recipe')
    return [] if uri is None else [table.c.uri == origin(uri)]


def choices(sources: Sequence[str] | None, recipe: str | None, uri: str | None) -> list[list[ColumnElement[bool]]]:
    """Conditions: a row is meant where all of one list hold."""
    conditions = at(uri)
    if recipe is not None:
        first, last = recipe_range(recipe)
        conditions += [table.c.key > first, table.c.key < last]
    if sources is None:
        return [conditions]
    if isinstance(sources, str):
        raise ConfigError("sources must be a list; got one text")
    if recipe is None:
        wanted, column = [source_bytes(source) for source in sources], func.substr(table.c.key, _RECIPE_BYTES + 1)
    else:
        wanted, column = [key(source, recipe) for source in sources], table.c.key
    return [[*conditions, column.in_(batch)] for batch in batches(wanted)]


def completed(derived: Derived, original: str) -> Derived:
    """With the id of its original and the time of writing, where it does not have them."""
    return replace(derived, original=derived.original or original, created=derived.created or time.time())


def row(derived: Derived) -> dict[str, Any]:
    """The columns that hold a distillate; whose they are, and until when, is not said here.

    Raises:
        ConfigError: A hash or a number is none.
    """
    text, provenance = codec.encode(derived.distillate.text), _provenance(derived)
    return columns(derived.uri, key(derived.source, derived.recipe), seal(provenance, text), provenance, text)


def columns(uri: str, key: bytes, digest: bytes, provenance: bytes, text: bytes) -> dict[str, Any]:
    """Columns by name."""
    size = len(text) + len(provenance)
    return {"key": key, "uri": origin(uri), "digest": digest, "size": size, "provenance": provenance, "text": text}


def seal(provenance: bytes, text: bytes) -> bytes:
    """The digest of a row. JSON holds no NUL, so no two rows are the same bytes."""
    return codec.digest(provenance + b"\0" + text)


def read(row: Columns) -> Derived:
    """A distillate from its columns.

    Raises:
        ValueError: They do not belong together, or are not what `row` writes.
    """
    key, digest, provenance, text = (bytes(row[name]) for name in ("key", "digest", "provenance", "text"))
    if seal(provenance, text) != digest:
        raise ValueError("its digest is another")
    if len(key) != _RECIPE_BYTES + 32:
        raise ValueError("its key has another length")
    try:
        found: Any = json.loads(codec.decode(provenance))
        return _derived(key, codec.decode(text), found)
    except (TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"its provenance cannot be read ({type(error).__name__})") from error


def dump(provenance: Mapping[str, Any]) -> bytes:
    """Provenance as it is stored: the same bytes again after it was read from JSON.

    Raises:
        ValueError: A number is not finite.
        TypeError: A value is no JSON.
    """
    return codec.encode(json.dumps(provenance, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def _provenance(derived: Derived) -> bytes:
    made = derived.distillate
    spans = None if made.spans is None else [[int(start), int(end)] for start, end in made.spans]
    told = {
        "method": made.method,
        "reason": made.reason,
        "tokens": [made.tokens_before, made.tokens_after],
        "scores": dict(made.scores),
        "spans": spans,
        "final": made.final,
        "settings": dict(derived.settings),
        "counter": derived.counter,
        "uri": derived.uri,
        "original": derived.original,
        "created": derived.created,
    }
    try:
        return dump(told)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"settings must be plain values and scores finite numbers: {error}") from error


def _derived(key: bytes, text: str, told: Mapping[str, Any]) -> Derived:
    before, after = told["tokens"]
    made = Distillate(
        text=text,
        method=_text(told["method"]),
        reason=_text(told["reason"]),
        tokens_before=int(before),
        tokens_after=int(after),
        scores={_text(name): float(value) for name, value in told["scores"].items()},
        spans=None if told["spans"] is None else tuple(_span(span) for span in told["spans"]),
        final=bool(told["final"]),
    )
    return Derived(
        source=key[_RECIPE_BYTES:].hex(),
        recipe=key[:_RECIPE_BYTES].hex(),
        distillate=made,
        settings={_text(name): _setting(value) for name, value in told["settings"].items()},
        counter=_text(told["counter"]),
        uri=_text(told["uri"]),
        original=_text(told["original"]),
        created=float(told["created"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def _span(value: Any) -> Span:
    start, end = cast("Sequence[Any]", value)
    return int(start), int(end)


def _setting(value: Any) -> Setting:
    if value is not None and not isinstance(value, (str, int, float)):
        raise TypeError("a plain value was expected")
    return value
