"""Compressed contexts under a budget of bytes, in memory and, if asked, in a folder."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from ctxshrink._lru import LruCache, digest
from ctxshrink.errors import ConfigError, ModelError
from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.files import load_context, save_context
from ctxshrink.kv.fingerprint import fingerprint

__all__ = ["ContextPool"]

_log = logging.getLogger("ctxshrink")
_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{32}\.ctxkv")


class ContextPool:
    """The contexts that were used last, as many as fit. Safe to use from several threads.

    With a folder, every context is also saved when it is put, and found there when memory has let go of it: by this
    process, by others that share the folder, or after a restart. Files are named by the model and a hash of the key. A
    file that cannot be written or read is logged and costs nothing but the work of making the context again.

    Args:
        max_bytes: Bytes of all contexts in memory together, on whatever device. A context that is larger alone is not
            held.
        folder: An existing folder of the pool's own; None keeps contexts in memory alone.
        model: The model that contexts in the folder are read for; needed with a folder.
        max_folder_bytes: Bytes of the files together; those unused the longest are removed. None sets no bound.

    Raises:
        ConfigError: A bound is not positive, there is no such folder, or a folder is given without a model.
    """

    def __init__(
        self, max_bytes: int, *, folder: str | Path | None = None, model: Any = None,
        max_folder_bytes: int | None = None,
    ) -> None:  # fmt: skip
        if max_bytes < 1 or (max_folder_bytes is not None and max_folder_bytes < 1):
            raise ConfigError(f"a pool's bounds are bytes, at least 1; got {max_bytes} and {max_folder_bytes}")
        self._held: LruCache[CompressedContext] = LruCache(max_bytes)
        self._making: dict[bytes, tuple[Future[CompressedContext], int]] = {}
        self._lock = threading.Lock()
        self._folder = None if folder is None else Path(folder)
        self._model, self._most = model, max_folder_bytes
        if self._folder is not None:
            if model is None:
                raise ConfigError("a pool with a folder needs the model that its contexts are read for: model=…")
            if not self._folder.is_dir():
                raise ConfigError(f"folder {self._folder}: no such folder; make it first")

    def __len__(self) -> int:
        return len(self._held)

    @property
    def nbytes(self) -> int:
        """Bytes that are held in memory."""
        return self._held.nbytes

    def get(self, key: str) -> CompressedContext | None:
        """The context of a key, from memory or the folder; None where there is none."""
        name = digest(key)
        return self._held.get(name) or self._load(name)

    def put(self, key: str, context: CompressedContext) -> None:
        """Holds a context, in place of an earlier one of the key, and lets go of those unused the longest."""
        self._put(digest(key), context)

    def get_or_make(self, key: str, make: Callable[[], CompressedContext]) -> CompressedContext:
        """The context of a key, made if there is none: once, however many threads ask for it at the same time.

        Args:
            key: What names the context. It must say everything that `make` depends on.
            make: Makes it. What it raises is raised to all that wait for it, and the next call tries again.

        Raises:
            ConfigError: `make` asks for its own key.
        """
        name = digest(key)
        mine: Future[CompressedContext] = Future()
        with self._lock:
            found = self._held.get(name)
            if found is not None:
                return found
            making = self._making.get(name)
            if making is None:
                self._making[name] = mine, threading.get_ident()
        if making is None:
            return self._make(name, make, mine)
        if making[1] == threading.get_ident():
            raise ConfigError(
                "the function that makes a context asks the pool for the same key: it would wait for itself"
            )
        return making[0].result()

    def clear(self) -> None:
        """Lets go of everything in memory; files stay."""
        self._held.clear()

    def _make(
        self, name: bytes, make: Callable[[], CompressedContext], mine: Future[CompressedContext]
    ) -> CompressedContext:
        try:
            context = self._load(name)
            if context is None:
                context = make()
                self._put(name, context)
        except BaseException as error:
            self._done(name)
            mine.set_exception(error)
            raise
        self._done(name)
        mine.set_result(context)
        return context

    def _done(self, name: bytes) -> None:
        with self._lock:
            del self._making[name]

    def _put(self, name: bytes, context: CompressedContext) -> None:
        self._held.put(name, context)
        if self._folder is None:
            return
        path = self._path(self._folder, context.fingerprint, name)
        try:
            if self._most is not None and context.nbytes > self._most:
                path.unlink(missing_ok=True)  # an earlier one of the key
                return
            save_context(context, path)
            self._prune(self._folder, path)
        except (OSError, ConfigError) as error:
            _log.warning("a compressed context was not saved: %s", error)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _load(self, name: bytes) -> CompressedContext | None:
        if self._folder is None:
            return None
        path = self._path(self._folder, fingerprint(self._model), name)
        if not path.exists():
            return None
        try:
            context = load_context(path, self._model)
        except (ConfigError, ModelError) as error:
            _log.warning("a compressed context is made again: %s", error)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        self._held.put(name, context)
        return context

    @staticmethod
    def _path(folder: Path, model: str, name: bytes) -> Path:
        return folder / f"{model[:16]}-{name.hex()}.ctxkv"

    def _prune(self, folder: Path, newest: Path) -> None:
        """Removes the pool's files that were unused the longest until all fit; the newest stays."""
        if self._most is None:
            return
        files: list[tuple[int, int, Path]] = []
        for path in folder.iterdir():
            if _NAME.fullmatch(path.name) and path != newest:
                with contextlib.suppress(OSError):  # another process removed it
                    found = path.stat()
                    files.append((found.st_mtime_ns, found.st_size, path))
        total = newest.stat().st_size + sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._most:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size
