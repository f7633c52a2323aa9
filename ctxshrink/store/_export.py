"""Exports: a namespace as a file of JSON lines, and back into any other."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, cast

from sqlalchemy import RowMapping

from ctxshrink.errors import ConfigError, StoreError
from ctxshrink.store import _codec as codec
from ctxshrink.store import _derived
from ctxshrink.store import _rows as rows
from ctxshrink.store._rows import Shelf
from ctxshrink.store._tenant import Tenant

_log = logging.getLogger("ctxshrink")

VERSION: Final = 1
_HEADER: Final = "ctxshrink_store"
_SHELVES: Final = {shelf.name: shelf for shelf in rows.SHELVES}
_TIMES: Final = ("created", "used", "expires")


def write(tenant: Tenant, path: str | os.PathLike[str]) -> int:
    """See `ctxshrink.store.Store.export`."""
    target = Path(path)
    written = 0
    try:
        with _replacing(target) as file:
            file.write(_encode({_HEADER: VERSION}))
            for shelf in rows.SHELVES:
                for page in tenant.pages(shelf):
                    for row in page:
                        line = _line(tenant, shelf, row)
                        written += line is not None
                        file.write(line or b"")
            file.write(_encode({"rows": written}))
    except OSError as error:
        raise StoreError(f"the export could not be written to {target}: {error.strerror or error}") from error
    return written


def read(tenant: Tenant, path: str | os.PathLike[str], ttl: float | None) -> int:
    """See `ctxshrink.store.Store.load_export`."""
    most = rows.PAGE_BYTES if tenant.max_bytes is None else min(rows.PAGE_BYTES, tenant.max_bytes)
    written, held = 0, 0
    batch: dict[Shelf, list[dict[str, Any]]] = {}
    try:
        with open(path, "rb") as file:
            for shelf, row in _rows_of(file):
                if row["expires"] is not None and row["expires"] <= time.time():
                    continue
                number = sum(map(len, batch.values()))
                if number and (number == rows.BATCH or held + row["size"] > most):
                    tenant.write(batch, ttl)
                    written += number
                    batch, held = {}, 0
                if ttl is not None:
                    row["expires"] = min(row["expires"] or math.inf, time.time() + ttl)
                batch.setdefault(shelf, []).append(row)
                held += row["size"]
        tenant.write(batch, ttl)
    except OSError as error:
        raise StoreError(f"the export {path} cannot be read: {error.strerror or error}") from error
    except _Damaged as error:
        raise StoreError(
            f"{path}, line {error.line}: {error}; {written} rows before it were written, the others were not. Export "
            "once more, or correct the line, and read the file again: rows that are there already are replaced"
        ) from error
    return written + sum(map(len, batch.values()))


class _Damaged(ValueError):
    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


@contextlib.contextmanager
def _replacing(target: Path) -> Generator[IO[bytes]]:
    """A new file, the owner's alone, that takes the place of another when all of it is on the disk."""
    handle, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:50]}.", suffix=".part")
    try:
        with open(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def _encode(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # As escapes, two lone surrogates in a row would come back as one other character.
        return b'{"base64":"' + base64.b64encode(codec.encode(text)) + b'"}\n'


def _line(tenant: Tenant, shelf: Shelf, row: RowMapping) -> bytes | None:
    key, digest = bytes(row["key"]), bytes(row["digest"])
    told: dict[str, Any] = {"kind": shelf.name}
    try:
        if shelf is rows.DERIVED:
            provenance = bytes(row["provenance"])
            one = _derived.read(row)
            told |= {"source": one.source, "recipe": one.recipe, "provenance": json.loads(codec.decode(provenance))}
            said = one.distillate.text
        else:
            said = rows.text_of(row)
            told |= {"key": key.hex()} if shelf is rows.MEMOS else {}
        told |= {name: row[name] for name in _TIMES}
        return _encode(told | {"digest": digest.hex(), "text": said})
    except ValueError as error:
        _log.warning("store %s: the %s %s is damaged and left out: %s", tenant.database, shelf.name, key.hex(), error)
        return None


def _rows_of(file: IO[bytes]) -> Iterator[tuple[Shelf, dict[str, Any]]]:
    """The rows of a file.

    Raises:
        _Damaged: A line is none of ours, or the last one is missing.
    """
    number = 0
    for line, data in enumerate(file, 1):
        try:
            told = _decode(data)
            if line == 1:
                _check_header(told)
            elif "rows" in told and "kind" not in told:
                if told["rows"] != number or file.read(1):
                    raise ValueError(f"{number} rows stand before it, and it should count them and be the last line")
                return
            else:
                number += 1
                yield _row(told)
        except _Damaged:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            what = (
                str(error)
                if type(error) in (ValueError, ConfigError)
                else f"it cannot be read ({type(error).__name__})"
            )
            raise _Damaged(line, what) from error
    raise _Damaged(number + 2, "the file ends early")


def _decode(data: bytes) -> Mapping[str, Any]:
    if not data.endswith(b"\n"):
        raise ValueError("the file ends early")
    told: Any = json.loads(data)
    if isinstance(told, dict) and "base64" in told:
        told = json.loads(codec.decode(base64.b64decode(cast("dict[str, Any]", told)["base64"], validate=True)))
    if not isinstance(told, dict):
        raise ValueError("it is no JSON object")
    return cast("dict[str, Any]", told)


def _check_header(told: Mapping[str, Any]) -> None:
    version: Any = told.get(_HEADER)
    if not isinstance(version, int):
        raise ValueError("it is no export of a store")
    if version > VERSION:
        raise ValueError(f"the export has version {version} and this ctxshrink knows up to {VERSION}: upgrade it")


def _row(told: Mapping[str, Any]) -> tuple[Shelf, dict[str, Any]]:
    shelf, digest = _SHELVES[told["kind"]], bytes.fromhex(told["digest"])
    if shelf is rows.DERIVED:
        key, text = _derived.key(told["source"], told["recipe"]), codec.encode(told["text"])
        provenance = _derived.dump(told["provenance"])
        row = _derived.columns("", key, digest, provenance, text)
        row["uri"] = _derived.origin(_derived.read(row).uri)
    else:
        row = rows.text_row(None if shelf is rows.ORIGINALS else bytes.fromhex(told["key"]), told["text"])
        if row["digest"] != digest:
            raise ValueError("its digest is another")
        if shelf is rows.MEMOS and len(row["key"]) != len(digest):
            raise ValueError("its key has another length")
    return shelf, row | {name: _time(told[name]) for name in _TIMES[:2]} | {"expires": _expiry(told["expires"])}


def _time(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError("a time is no number of seconds")
    return float(value)


def _expiry(value: Any) -> float | None:
    return None if value is None else _time(value)
