"""The store: originals under short ids, decided texts under the caller's keys, and distillates with their provenance.

They are kept in an SQL database: SQLite by default; PostgreSQL, MySQL and MariaDB through SQLAlchemy, each with a
driver that the user installs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, TypeVar

from ctxshrink.distill.types import Derived
from ctxshrink.errors import ConfigError, MissingExtraError, StoreError

try:
    from sqlalchemy import RowMapping
except ImportError as error:
    raise MissingExtraError("The store", "store") from error

from ctxshrink.store import _codec as codec
from ctxshrink.store import _derived, _export
from ctxshrink.store import _rows as rows
from ctxshrink.store._database import Database
from ctxshrink.store._room import StoreStats
from ctxshrink.store._schema import MAX_KEY
from ctxshrink.store._tenant import Tenant

__all__ = ["Store", "StoreError", "StoreStats", "reference"]

_log = logging.getLogger("ctxshrink")
T = TypeVar("T")


def reference(text: str) -> str:
    """The short id of a text: the first 10 characters of its BLAKE2b-256 in lower-case base32 (a-z, 2-7)."""
    return codec.short_id(codec.digest(codec.encode(text)))


class Store:
    """Originals, decided texts and distillates, kept until they expire. Safe among threads, processes and after a fork.

    What was written is there when the call returns, whatever happens to the process then. Another namespace's rows
    cannot be read, changed or purged. A store in memory is that of its process: a forked child has its own copy.

    Args:
        url: A database URL as SQLAlchemy reads it. A new SQLite file is readable by its owner only.
        namespace: Whose rows these are; up to 255 bytes. Compared exactly.
        ttl: Seconds after which a row that was not written again expires; None keeps rows. Applies to what this store
            writes.
        max_bytes: About the most bytes of text that the namespace may hold, originals, decided texts and distillates
            with their provenance together; what was not used for longest goes first. None is no limit.

    Raises:
        ConfigError: A setting is out of range.
        StoreError: The database cannot be opened, or was written by a newer version of this package. So does every
            method when the database fails.
    """

    def __init__(
        self,
        url: str = "sqlite:///ctxshrink.db",
        *,
        namespace: str = "default",
        ttl: float | None = None,
        max_bytes: int | None = None,
    ) -> None:
        if not 0 < len(codec.encode(namespace)) <= MAX_KEY:
            raise ConfigError(f"namespace must have 1 to {MAX_KEY} bytes; got {namespace!r}")
        if ttl is not None and not (isinstance(ttl, int | float) and 0 < ttl < float("inf")):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"ttl must be a positive number of seconds, or None to keep everything; got {ttl!r}")
        if max_bytes is not None and not (isinstance(max_bytes, int | float) and max_bytes > 0):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"max_bytes must be positive, or None for no limit; got {max_bytes!r}")
        self.namespace = namespace
        self.ttl = ttl
        self.max_bytes = max_bytes
        self._url = url
        self._database = Database(url)
        self._tenant = Tenant(self._database, namespace, max_bytes)

    @classmethod
    def memory(cls, *, namespace: str = "default", ttl: float | None = None, max_bytes: int | None = None) -> Store:
        """A store that lives in this process and goes with it: for tests and short conversations."""
        return cls("sqlite://", namespace=namespace, ttl=ttl, max_bytes=max_bytes)

    def save(self, texts: Sequence[str]) -> list[str]:
        """Keep originals, all or none of them.

        Args:
            texts: Any texts. One that is already there keeps its id and gets a new expiry.

        Returns:
            The id of each text; equal texts have equal ids, in any store.

        Raises:
            ConfigError: ``texts`` is one text.
            StoreError: They alone are larger than ``max_bytes``, or a text has the id of another one.
        """
        if isinstance(texts, str):
            raise ConfigError("save takes a list of texts; got one text")
        new = [rows.text_row(None, text) for text in texts]
        self._tenant.write({rows.ORIGINALS: new}, self.ttl)
        return [row["key"].decode() for row in new]

    def load(self, id: str) -> str | None:
        """The original under an id; None where there is none: never saved here, expired, or another namespace's.

        A damaged row is none, which is logged.
        """
        found = self._tenant.read(rows.ORIGINALS, [codec.encode(id)])
        return next((self._readable(row, rows.text_of) for row in found), None)

    def remember(self, entries: Mapping[str, str]) -> None:
        """Keep decided texts under the caller's keys, all or none of them. An earlier text of a key is replaced.

        Raises:
            StoreError: They alone are larger than ``max_bytes``.
        """
        new = [rows.text_row(codec.digest(codec.encode(key)), text) for key, text in entries.items()]
        self._tenant.write({rows.MEMOS: new}, self.ttl)

    def recall(self, keys: Sequence[str]) -> dict[str, str]:
        """The texts that are remembered under these keys; a key without one, or with a damaged one, is missing."""
        digests = {key: codec.digest(codec.encode(key)) for key in keys}
        read = self._tenant.read(rows.MEMOS, list(digests.values()))
        found = {bytes(row["key"]): self._readable(row, rows.text_of) for row in read}
        return {key: text for key, digest in digests.items() if (text := found.get(digest)) is not None}

    def put(self, derived: Sequence[Derived], *, originals: Sequence[str] = ()) -> list[Derived]:
        """Keep distillates with their provenance, all or none of them.

        Args:
            derived: Each replaces an earlier one of the same source and recipe. Where one does not say when it was
                made (``created`` is 0), that is now.
            originals: Texts that were distilled: kept as `save` keeps them, in the same transaction, their ids noted
                as ``original`` of their distillates where that is "". Where a text's id already stands for another
                text, it is not kept.

        Returns:
            What was written, in the order given.

        Raises:
            ConfigError: A source or recipe is no hash, a setting no plain value, or a score no finite number.
            StoreError: They alone are larger than ``max_bytes``.
        """
        if isinstance(originals, str):
            raise ConfigError("put takes a list of originals; got one text")
        kept = [rows.text_row(None, text) for text in originals]
        there = self._tenant.digests(rows.ORIGINALS, [row["key"] for row in kept]) if kept else {}
        for row in kept:
            there.setdefault(row["key"], row["digest"])
        kept = [row for row in kept if there[row["key"]] == row["digest"]]
        ids = {row["digest"].hex(): row["key"].decode() for row in kept}
        made = [_derived.completed(one, ids.get(one.source, "")) for one in derived]
        self._tenant.write({rows.ORIGINALS: kept, rows.DERIVED: [_derived.row(one) for one in made]}, self.ttl)
        return made

    def get(self, sources: Sequence[str], recipe: str) -> dict[str, Derived]:
        """What was made of sources with a recipe.

        Args:
            sources: `content_hash` of each original.
            recipe: `recipe_key` of the settings.

        Returns:
            By source. One without a distillate is missing; so is one whose row is damaged, which is logged.

        Raises:
            ConfigError: ``sources`` is one text, or a source or recipe is no hash.
        """
        if isinstance(sources, str):
            raise ConfigError("get takes a list of sources; got one text")
        keys = {_derived.key(source, recipe): source for source in sources}
        read = self._tenant.read(rows.DERIVED, list(keys))
        return {one.source: one for row in read if (one := self._readable(row, _derived.read)) is not None}

    def derived(self, recipe: str | None = None, *, uri: str | None = None) -> Iterator[Derived]:
        """All distillates, a few megabytes at a time, in an order that stays the same.

        What is written or removed meanwhile may be among them or not. Looking does not count as use.

        Args:
            recipe: Those with this `recipe_key` only.
            uri: Those from this place only.

        Raises:
            ConfigError: ``recipe`` is no hash, or ``uri`` is "".
        """
        after, until = (b"", rows.LAST) if recipe is None else _derived.recipe_range(recipe)
        pages = self._tenant.pages(rows.DERIVED, _derived.at(uri), after, until)
        return (one for page in pages for row in page if (one := self._readable(row, _derived.read)) is not None)

    def forget(self, *, sources: Sequence[str] | None = None, recipe: str | None = None, uri: str | None = None) -> int:
        """Remove distillates for which all that is said here holds. Originals stay until they expire.

        Args:
            sources: Made of one of these, by `content_hash`. Without a recipe all distillates are looked through.
            recipe: Made with this `recipe_key`.
            uri: Made of what came from this place.

        Returns:
            Rows removed.

        Raises:
            ConfigError: Nothing is said (`clear` removes everything), a source or recipe is no hash, ``sources`` is one
                text, or ``uri`` is "".
        """
        if sources is None and recipe is None and uri is None:
            raise ConfigError("say what to forget: sources, recipe or uri; clear() removes everything")
        return self._tenant.remove(rows.DERIVED, _derived.choices(sources, recipe, uri))

    def clear(self) -> int:
        """Remove everything of this namespace, originals and decided texts too.

        Returns:
            Rows removed.
        """
        return self._tenant.clear()

    def export(self, path: str | PathLike[str]) -> int:
        """Write everything of this namespace that has not expired to a file of JSON lines, readable by its owner only.

        The file appears, or is replaced, when it is complete. Its first line names the format, its last one counts the
        rows. A line that has lone surrogates, which UTF-8 has no place for, is written in base64. What is written or
        removed meanwhile may be in it or not; damaged rows are left out, which is logged.

        Returns:
            Rows written.

        Raises:
            StoreError: The file cannot be written.
        """
        return _export.write(self._tenant, path)

    def load_export(self, path: str | PathLike[str]) -> int:
        """Read a file that `export` wrote, of any namespace and database, into this namespace.

        A row of the file replaces one with the same key. It keeps its time and its expiry; this store's ``ttl`` may
        let it expire earlier. What has expired is left out. Batches of rows are written, each as a whole or not at all.

        Returns:
            Rows written.

        Raises:
            StoreError: The file cannot be read, or a line of it is damaged: the message says which, and how many rows
                were written before.
        """
        return _export.read(self._tenant, path, self.ttl)

    def purge(self) -> int:
        """Remove what has expired, then what was not used for longest until ``max_bytes`` holds. Logged with counts.

        `save`, `remember` and `put` do the same now and then.

        Returns:
            Rows removed.
        """
        return self._tenant.purge()

    def stats(self) -> StoreStats:
        """Figures of this namespace."""
        return self._tenant.count()

    def close(self) -> None:
        """Close the connections; of a store in memory nothing is left. Later calls raise `StoreError`."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({str(self._database)!r}, namespace={self.namespace!r})"

    def _readable(self, row: RowMapping, read: Callable[[RowMapping], T]) -> T | None:
        try:
            return read(row)
        except ValueError as error:
            key = bytes(row["key"]).hex()
            _log.warning("store %s: the row %s is damaged and left out: %s", self._database, key, error)
            return None

    def __getstate__(self) -> dict[str, Any]:
        if self._database.in_memory:
            raise TypeError("a store in memory cannot be pickled: its content belongs to this process")
        return {"url": self._url, "namespace": self.namespace, "ttl": self.ttl, "max_bytes": self.max_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["url"], namespace=state["namespace"], ttl=state["ttl"], max_bytes=state["max_bytes"])
