"""The pool of contexts: bounded, made once, and the same from memory and from its folder."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError

torch = pytest.importorskip("torch")

from ctxshrink._lru import ENTRY_BYTES  # noqa: E402
from ctxshrink.kv import ContextPool  # noqa: E402
from ctxshrink.kv.context import CompressedContext  # noqa: E402

from .contexts import context_of, tensors_of  # noqa: E402
from .models import model_of  # noqa: E402


@pytest.fixture(scope="module")
def small() -> CompressedContext:
    return context_of(rows=1, tokens=12)


@pytest.fixture(scope="module")
def large() -> CompressedContext:
    return context_of(rows=1, tokens=60)


def _same(one: CompressedContext | None, other: CompressedContext) -> bool:
    return one is not None and all(
        torch.equal(a, b) for a, b in zip(tensors_of(one), tensors_of(other), strict=True)
    )  # fmt: skip


def test_what_was_used_last_stays(small: CompressedContext) -> None:
    pool = ContextPool(2 * (small.nbytes + ENTRY_BYTES))
    pool.put("a", small)
    pool.put("b", small)
    assert pool.get("a") is small
    pool.put("c", small)
    assert pool.get("b") is None
    assert pool.get("a") is small
    assert len(pool) == 2
    pool.clear()
    assert (len(pool), pool.nbytes, pool.get("a")) == (0, 0, None)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60_000), st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=25))
def test_the_budget_holds_and_answers_are_the_keys(
    small: CompressedContext, large: CompressedContext, most: int, steps: list[tuple[str, bool]]
) -> None:
    pool = ContextPool(most)
    for key, big in steps:
        context = large if big else small
        assert pool.get_or_make(key + str(big), lambda c=context: c) is context
        assert pool.nbytes <= most
        assert (pool.get(key + str(big)) is context) == (context.nbytes + ENTRY_BYTES <= most)


def test_many_threads_make_a_context_once(small: CompressedContext) -> None:
    pool = ContextPool(10**6)
    made: list[int] = []
    started, go = threading.Barrier(8), threading.Event()
    out: list[CompressedContext] = []

    def make() -> CompressedContext:
        made.append(1)
        go.wait(30)
        return small

    def ask() -> None:
        started.wait(30)
        out.append(pool.get_or_make("key", make))

    threads = [threading.Thread(target=ask) for _ in range(7)]
    for thread in threads:
        thread.start()
    started.wait(30)
    go.set()
    for thread in threads:
        thread.join(30)
    assert made == [1]
    assert out == [small] * 7


def test_other_keys_do_not_wait(small: CompressedContext) -> None:
    pool = ContextPool(10**6)
    assert pool.get_or_make("outer", lambda: pool.get_or_make("inner", lambda: small)) is small
    with pytest.raises(ConfigError, match="same key"):
        pool.get_or_make("x", lambda: pool.get_or_make("x", lambda: small))


def test_a_failure_reaches_all_that_wait_and_the_next_call_tries_again(small: CompressedContext) -> None:
    pool = ContextPool(10**6)
    inside, go = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def fail() -> CompressedContext:
        inside.set()
        go.wait(30)
        raise ValueError("no")

    def ask() -> None:
        try:
            pool.get_or_make("key", fail)
        except ValueError as error:
            errors.append(error)

    first = threading.Thread(target=ask)
    first.start()
    inside.wait(30)
    second = threading.Thread(target=ask)
    second.start()
    go.set()
    first.join(30)
    second.join(30)
    assert len(errors) == 2
    assert pool.get_or_make("key", lambda: small) is small


def test_threads_and_a_small_budget(small: CompressedContext) -> None:
    pool = ContextPool(2 * (small.nbytes + ENTRY_BYTES))
    right: list[bool] = []

    def work(seed: int) -> None:
        right.extend(pool.get_or_make(str((seed * 7 + i) % 5), lambda: small) is small for i in range(200))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert right == [True] * 1200
    assert len(pool) == 2


def test_the_folder_outlives_memory(tmp_path: Path, small: CompressedContext) -> None:
    model = model_of("llama-gqa")
    pool = ContextPool(small.nbytes + ENTRY_BYTES, folder=tmp_path, model=model)
    pool.put("a", small)
    pool.put("b", small)  # memory holds one
    assert _same(pool.get("a"), small)
    again = ContextPool(10**6, folder=tmp_path, model=model)
    assert _same(again.get_or_make("b", lambda: pytest.fail("it is in the folder")), small)
    assert again.get("c") is None


def test_the_folder_is_bounded_and_others_files_stay(
    tmp_path: Path, small: CompressedContext, large: CompressedContext
) -> None:
    (tmp_path / "mine.ctxkv").write_bytes(b"x" * 50_000)
    probe = tmp_path / "probe"
    small.save(probe)
    size = probe.stat().st_size
    probe.unlink()
    pool = ContextPool(1, folder=tmp_path, model=model_of("llama-gqa"), max_folder_bytes=2 * size)
    for key in "abcd":
        pool.put(key, small)
    assert len(list(tmp_path.iterdir())) == 3
    assert pool.get("d") is not None
    assert pool.get("a") is None
    pool.put("d", context_of(rows=2, tokens=200))  # does not fit, and the earlier one is no longer right
    assert pool.get("d") is None
    assert (tmp_path / "mine.ctxkv").exists()


def test_damaged_and_foreign_files_are_made_again(
    tmp_path: Path, small: CompressedContext, caplog: pytest.LogCaptureFixture
) -> None:
    pool = ContextPool(1, folder=tmp_path, model=model_of("llama-gqa"))
    pool.put("a", small)
    [path] = tmp_path.iterdir()
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with caplog.at_level(logging.WARNING, "ctxshrink"):
        assert pool.get("a") is None
    assert "made again" in caplog.text
    assert pool.get_or_make("a", lambda: small) is small
    assert _same(pool.get("a"), small)
    other = ContextPool(10**6, folder=tmp_path, model=model_of("llama-mha"))
    assert other.get("a") is None


def test_a_folder_that_went_away_costs_nothing_but_work(
    tmp_path: Path, small: CompressedContext, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    pool = ContextPool(10**6, folder=folder, model=model_of("llama-gqa"))
    folder.rmdir()
    with caplog.at_level(logging.WARNING, "ctxshrink"):
        pool.put("a", small)
    assert "not saved" in caplog.text
    assert pool.get("a") is small


def test_settings_are_checked(tmp_path: Path) -> None:
    for bad in (0, -1):
        with pytest.raises(ConfigError, match="bytes"):
            ContextPool(bad)
    with pytest.raises(ConfigError, match="bytes"):
        ContextPool(1, max_folder_bytes=0)
    with pytest.raises(ConfigError, match="model="):
        ContextPool(1, folder=tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        ContextPool(1, folder=tmp_path / "none", model=model_of("llama-gqa"))
