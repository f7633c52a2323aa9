"""Scores that were computed before, by content; the same text is scored again at every retry and in every turn."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

Nats = NDArray[np.float32]


def digest(*parts: str) -> bytes:
    """Hash of a few texts: 16 bytes, so that the texts themselves are not kept."""
    h = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        h.update(len(data).to_bytes(8, "little") + data)
    return h.digest()


class ScoreCache:
    """The scores used last. Safe to use from several threads.

    Args:
        pairs: Most (context, target) pairs held.
        tokens: Most numbers held, of 4 bytes each.
    """

    def __init__(self, pairs: int = 16384, tokens: int = 1 << 20) -> None:
        self._pairs, self._tokens = pairs, tokens
        self._held: OrderedDict[bytes, Nats] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: bytes) -> Nats | None:
        """A copy of the scores, or None."""
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return None
            self._held.move_to_end(key)
            return found.copy()

    def put(self, key: bytes, nats: Nats) -> None:
        """Holds a copy of the scores; drops those not used for longest where there are too many."""
        with self._lock:
            old = self._held.pop(key, None)
            self._size += len(nats) - (0 if old is None else len(old))
            self._held[key] = nats.copy()
            while self._held and (len(self._held) > self._pairs or self._size > self._tokens):
                _, gone = self._held.popitem(last=False)
                self._size -= len(gone)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._held.clear()
            self._size = 0
