from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ctxshrink.scorers._cache import ScoreCache, digest


def nats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_texts_are_told_apart_also_where_their_sum_is_equal() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab", "c") == digest("ab", "c")
    assert digest("\ud800") != digest("?")


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache = ScoreCache(pairs=2)
    cache.put(b"a", nats(1))
    cache.put(b"b", nats(2))
    assert cache.get(b"a") is not None
    cache.put(b"c", nats(3))
    assert cache.get(b"b") is None
    assert [float(v[0]) for k in (b"a", b"c") if (v := cache.get(k)) is not None] == [1.0, 3.0]


def test_the_numbers_held_are_bounded() -> None:
    cache = ScoreCache(tokens=5)
    for i in range(10):
        cache.put(bytes([i]), nats(1, 2))
    assert len(cache) == 2
    cache.put(b"long", nats(*range(9)))
    assert len(cache) == 0
    cache.put(b"a", nats(1))
    cache.put(b"a", nats(1, 2, 3))
    assert len(cache) == 1


def test_nobody_can_change_what_is_held() -> None:
    cache = ScoreCache()
    given = nats(1, 2)
    cache.put(b"a", given)
    given[0] = 9
    got = cache.get(b"a")
    assert got is not None
    got[1] = 9
    again = cache.get(b"a")
    assert again is not None
    assert again.tolist() == [1, 2]


def test_threads_share_it() -> None:
    cache = ScoreCache(pairs=8)

    def work(seed: int) -> bool:
        for i in range(200):
            key = (seed * i) % 16
            cache.put(bytes([key]), nats(key))
            found = cache.get(bytes([key]))
            if found is not None and found[0] != key:
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(1, 9)))
    assert len(cache) <= 8
