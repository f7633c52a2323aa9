"""A line of a benchmark file: checked access to its fields, with errors that name file, line and field."""

from __future__ import annotations

from typing import Any, cast

from ctxshrink.errors import ConfigError


class RecordError(ConfigError):
    """A line is not a record of the schema it was read as."""


class Row:
    """One JSON object with checked access to its fields.

    Args:
        value: The decoded JSON.
        where: For errors: file, line, and path inside the object.

    Raises:
        RecordError: The value is not an object; as all methods do when a field is missing or of another type.
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise RecordError(f"{where}: expected a JSON object; got {type(value).__name__}")
        self.fields = cast("dict[str, Any]", value)
        self.where = where

    def _get(self, key: str, kind: type, default: object) -> Any:
        value = self.fields.get(key)
        if value is None:
            if default is not None:
                return default
            raise RecordError(f'{self.where}: the field "{key}" is missing')
        if not isinstance(value, kind):
            raise RecordError(f'{self.where}: "{key}" must be a {kind.__name__}; got {type(value).__name__}')
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A string field."""
        return self._get(key, str, default)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; numbers count as their text; () where it is missing."""
        values: list[Any] = self._get(key, list, [])
        for value in values:
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise RecordError(f'{self.where}: "{key}" must hold strings; got {type(value).__name__}')
        return tuple(str(v) for v in values)

    def rows(self, key: str) -> list[Row]:
        """A list of objects."""
        values: list[Any] = self._get(key, list, None)
        return [Row(v, f"{self.where}: {key}[{i}]") for i, v in enumerate(values)]

    def positions(self, key: str, count: int) -> tuple[int, ...]:
        """A list of positions in a sequence of ``count`` items; () where it is missing."""
        values: list[Any] = self._get(key, list, [])
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
                raise RecordError(f'{self.where}: "{key}" holds {value!r}, which is no position among {count}')
        return tuple(values)

    def flag(self, key: str) -> bool | None:
        """A true/false field; None where it is missing."""
        return cast("bool | None", self._get(key, bool, False)) if self.fields.get(key) is not None else None
