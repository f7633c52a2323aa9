"""A bounded cache by content: what was used last stays."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Generic, Protocol, TypeVar


def digest(*parts: str) -> bytes:
    """Hash of a few texts: 16 bytes, so that the texts themselves are not kept."""
    h = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        h.update(len(data).to_bytes(8, "little") + data)
    return h.digest()


class Sized(Protocol):
    """A value that knows its size, like an array."""

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        ...


V = TypeVar("V", bound=Sized)
ENTRY_BYTES = 200
"""What an entry costs beside its value, about."""


class LruCache(Generic[V]):
    """The most recently used values within a bound of bytes. Safe to use from several threads.

    Args:
        most: Bytes that it holds at most, `ENTRY_BYTES` for each entry included.
    """

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, 0
        self._held: OrderedDict[bytes, V] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return self._bytes

    def get(self, key: bytes) -> V | None:
        """The value of a key, if it is held. It is the one that was put: do not change it."""
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
            return found

    def put(self, key: bytes, value: V) -> None:
        """Holds a value and lets go of those unused the longest until all fit; one that cannot fit is not held."""
        with self._lock:
            old = self._held.pop(key, None)
            if old is not None:
                self._bytes -= old.nbytes + ENTRY_BYTES
            if value.nbytes + ENTRY_BYTES > self._most:
                return
            self._held[key] = value
            self._bytes += value.nbytes + ENTRY_BYTES
            while self._bytes > self._most:
                _, gone = self._held.popitem(last=False)
                self._bytes -= gone.nbytes + ENTRY_BYTES

    def clear(self) -> None:
        """Lets go of everything."""
        with self._lock:
            self._held.clear()
            self._bytes = 0
