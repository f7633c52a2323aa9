from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ctxshrink._lru import ENTRY_BYTES, LruCache, digest


def nats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def cache(entries: int, numbers: int) -> LruCache[np.ndarray]:
    return LruCache(entries * ENTRY_BYTES + 4 * numbers)


def test_texts_are_told_apart_also_where_their_sum_is_equal() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab", "c") == digest("ab", "c")
    assert digest("\ud800") != digest("?")


def test_what_was_not_used_for_longest_goes_first() -> None:
    held = cache(2, 2)
    held.put(b"a", nats(1))
    held.put(b"b", nats(2))
    assert held.get(b"a") is not None
    held.put(b"c", nats(3))
    assert held.get(b"b") is None
    assert [float(v[0]) for k in (b"a", b"c") if (v := held.get(k)) is not None] == [1.0, 3.0]


def test_the_bytes_held_are_bounded() -> None:
    held = cache(5, 50)
    for i in range(10):
        held.put(bytes([i]), nats(*range(10)))
        assert held.nbytes <= 5 * ENTRY_BYTES + 200
    assert len(held) == 5
    held.put(b"long", nats(*range(1000)))
    assert held.get(b"long") is None
    assert len(held) == 5


def test_a_key_holds_its_latest_value_and_is_counted_once() -> None:
    held = cache(4, 40)
    held.put(b"a", nats(1))
    held.put(b"a", nats(1, 2, 3))
    assert (len(held), held.nbytes) == (1, ENTRY_BYTES + 12)
    held.put(b"a", nats(*range(1000)))  # too large to be held: the old value is not the key's any more
    assert held.get(b"a") is None
    held.put(b"b", nats(1))
    held.clear()
    assert (len(held), held.nbytes) == (0, 0)


def test_threads_share_it() -> None:
    held = cache(8, 8)

    def work(seed: int) -> bool:
        for i in range(200):
            key = (seed * i) % 16
            held.put(bytes([key]), nats(key))
            found = held.get(bytes([key]))
            if found is not None and found[0] != key:
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(1, 9)))
    assert len(held) <= 8
