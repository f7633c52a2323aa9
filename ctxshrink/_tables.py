"""Dataclasses within dataclasses as commented TOML tables, and back, checked."""

from __future__ import annotations

import datetime
import json
import math
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from .errors import ConfigError

T = TypeVar("T")

_MOST = sys.float_info.max


def describe(note: str, within: tuple[float, float] | None = None) -> Mapping[str, Any]:
    """Metadata of a field: the comment behind its line, and the closed range of its number or numbers."""
    return {"note": note, "within": within}


def build(cls: type[T], table: Mapping[str, Any], where: str, prefix: str = "") -> T:
    """A dataclass from a TOML table.

    Args:
        cls: Its fields are numbers, strings, dates, tuples of numbers, mappings from literals to numbers, dataclasses,
            or one of these or None.
        table: As `tomllib` reads it.
        where: The file, for errors.
        prefix: Path of the table, with a dot at its end.

    Raises:
        ConfigError: A key is unknown or missing, or a value has another type or is out of range.
    """
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cast(Any, cls))}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            names = ", ".join(known)
            raise ConfigError(f"{where}: unknown key {prefix}{key}; known here: {names}. Remove it or correct its name")
        values[key] = _value(hints[key], value, f"{where}: {prefix}{key}", prefix + key, known[key], where)
    for name, known_field in known.items():
        if name not in values and known_field.default is MISSING and known_field.default_factory is MISSING:
            raise ConfigError(f"{where}: {prefix}{name} is missing; run `ctxshrink calibrate` again")
    return cls(**values)


def _value(hint: Any, value: Any, what: str, path: str, described: Field[Any], where: str) -> Any:
    if get_origin(hint) in (types.UnionType, Union):
        hint = next(a for a in get_args(hint) if a is not type(None))
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{what} must be a table, [{path}]; got {value!r}")
        return build(cast("type[Any]", hint), cast("dict[str, Any]", value), where, f"{path}.")
    within: tuple[float, float] = described.metadata.get("within") or (-math.inf, math.inf)
    origin = get_origin(hint)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{what} must be a list of numbers; got {value!r}")
        items = cast("list[Any]", value)
        return tuple(_number(float, item, f"{what}[{i}]", within) for i, item in enumerate(items))
    if origin is not None:
        if not isinstance(value, dict):
            raise ConfigError(f"{what} must be a table of numbers; got {value!r}")
        names = get_args(get_args(hint)[0])
        for key in cast("dict[str, Any]", value):
            if key not in names:
                raise ConfigError(f"{what}: unknown key {key}; known here: {', '.join(names)}")
        return {k: _number(float, v, f"{what}.{k}", within) for k, v in cast("dict[str, Any]", value).items()}
    if hint in (int, float):
        return _number(hint, value, what, within)
    if type(value) is not hint:
        name = "a date, like 2026-01-31" if hint is datetime.date else "a string"
        raise ConfigError(f"{what} must be {name}; got {value!r}")
    return value


def _number(hint: type[int] | type[float], value: Any, what: str, within: tuple[float, float]) -> int | float:
    low, high = within
    right = type(value) is int or (hint is float and type(value) is float)
    # The first two as comparisons: a whole number from TOML may be beyond every float.
    if not right or not -_MOST <= value <= _MOST or not low <= value <= high:
        name = "a whole number" if hint is int else "a number"
        raise ConfigError(f"{what} must be {name} from {low:g} to {high:g}; got {value!r}")
    return hint(value)


def render(value: Any) -> str:
    """The TOML tables of a dataclass of dataclasses. What is None is left out; a docstring is its table's comment."""
    return "\n".join(_table(value, "")) + "\n"


def _table(value: Any, prefix: str) -> Iterator[str]:
    inner: list[tuple[str, Any, str]] = []
    for described in fields(value):
        item = getattr(value, described.name)
        note = described.metadata.get("note", "")
        if item is None:
            continue
        if is_dataclass(item) or isinstance(item, Mapping):
            inner.append((prefix + described.name, cast("Any", item), note))
            continue
        yield f"{described.name} = {_literal(item)}" + (f"  # {note}" if note else "")
    for name, item, note in inner:
        if isinstance(item, Mapping):
            rows = cast("Mapping[str, float]", item)
            if rows:
                yield from ("", f"# {note}", f"[{name}]", *(f"{k} = {_literal(v)}" for k, v in rows.items()))
            continue
        comment = (type(item).__doc__ or "").partition("\n")[0]
        yield from ("", f"# {comment}", f"[{name}]", *_table(item, f"{name}."))


def _literal(value: Any) -> str:
    if isinstance(value, str):
        # JSON's strings are TOML's but for DEL; lone surrogates have no UTF-8.
        clean = value.encode("utf-8", "replace").decode()
        return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(v) for v in cast("tuple[Any, ...]", value)) + "]"
    return value.isoformat() if isinstance(value, datetime.date) else repr(value)
