"""What is finished of a long run, as JSON lines: a run that was killed goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

from ctxshrink.errors import ConfigError

VERSION: Final = 1
"""Of the layout: a journal of another one is not read."""


class Journal:
    """Finished units of one run, on disk as soon as they are known.

    The first line holds the run's settings; a file that was written under others is kept aside as ``….old`` and a new
    one begun. A line that was cut off when its process was killed is dropped, and its unit done again.

    Args:
        path: The file; its folder exists.
        settings: What the units depend on, JSON-ready.

    Attributes:
        found: What is finished: by the unit's name, JSON-ready.
        note: What happened to an earlier journal, for the user; "" where there was none.

    Raises:
        ConfigError: The file cannot be read or written.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.found: dict[str, Any] = {}
        self.note = ""
        self._path = path
        head = _line({"journal": VERSION, "settings": settings})
        try:
            size = self._read(head) if path.exists() else 0
            if size == 0 and path.exists() and path.stat().st_size:
                path.replace(path.with_name(f"{path.name}.old"))
            self._file = path.open("r+b" if size else "wb")
            self._file.truncate(size)
            self._file.seek(size)
            if not size:
                self._write(head)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read and written: {error.strerror or error}") from error

    def __enter__(self) -> Journal:
        """The journal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def add(self, unit: str, value: Any) -> None:
        """Write a finished unit.

        Args:
            unit: Its name.
            value: What was found, JSON-ready; it comes back exactly.

        Raises:
            ConfigError: It cannot be written.
        """
        try:
            self._write(_line({"unit": unit, "found": value}))
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be written: {error.strerror or error}") from error
        self.found[unit] = value

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()

    def _read(self, head: bytes) -> int:
        """Take in what a file of the same settings holds; returns the bytes of its whole lines, 0 for another file."""
        with self._path.open("rb") as lines:
            first = lines.readline()
            if first != head:
                self.note = _difference(first, head)
                return 0
            size = len(first)
            for line in lines:
                value = _object(line)
                if value is None or not isinstance(value.get("unit"), str) or "found" not in value:
                    break  # Cut off; whatever follows was not written by this class.
                self.found[value["unit"]] = value["found"]
                size += len(line)
        if self.found:
            self.note = f"goes on where it was: {len(self.found)} of its units are done"
        return size


def _line(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n").encode("ascii")


def _object(line: bytes) -> dict[str, Any] | None:
    """The object of a whole line, or None."""
    if line.endswith(b"\n"):
        with suppress(ValueError, RecursionError):
            value: object = json.loads(line)
            return cast("dict[str, Any]", value) if isinstance(value, dict) else None
    return None


def _difference(first: bytes, head: bytes) -> str:
    before, now = _object(first), _object(head)
    old = before.get("settings") if before is not None and before.get("journal") == VERSION else None
    if not isinstance(old, dict) or now is None:
        return "starts anew: the earlier journal is of another kind and is kept as ….old"
    was, wanted = cast("dict[str, Any]", old), cast("dict[str, Any]", now["settings"])
    names = [key for key in dict.fromkeys([*was, *wanted]) if was.get(key) != wanted.get(key)]
    return f"starts anew: {', '.join(names) or 'the order of settings'} changed; the earlier journal is kept as ….old"
