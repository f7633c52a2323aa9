from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.distill import Source, content_hash
from ctxshrink.errors import ConfigError
from ctxshrink.pipeline import Figures, Skipped, StoppedError, plan, run
from ctxshrink.pipeline.local import batches, used

from .halver import DictStore, Halver, plain

TEXTS = [f"document {i} has a few words of its own and some more of them" for i in range(10)]
SOURCES = [Source(text, uri=f"doc-{i}") for i, text in enumerate(TEXTS)]


def test_every_text_is_distilled_and_kept_with_its_original() -> None:
    store, halver = DictStore(), Halver()
    report = run(SOURCES, halver, store, batch=4)
    assert [row.uri for row in store.rows.values()] == [s.uri for s in SOURCES]
    assert {store.originals[row.original] for row in store.rows.values()} == set(TEXTS)
    assert store.sizes == [4, 4, 2]
    figures = report.figures
    assert (figures.documents, figures.distilled, figures.failed, figures.unchanged) == (10, 10, 0, 0)
    assert figures.methods == {"halver": 10}
    assert (figures.tokens_before, figures.tokens_after) == (140, 70)
    assert figures.bytes == sum(map(len, TEXTS))
    assert report.stopped == ""
    assert report.counter == "words"


def test_originals_are_left_out_on_request() -> None:
    store = DictStore()
    run(SOURCES, Halver(), store, save_originals=False)
    assert not store.originals
    assert {row.original for row in store.rows.values()} == {""}


def test_a_second_run_distills_and_writes_nothing() -> None:
    store, halver = DictStore(), Halver()
    run(SOURCES, halver, store)
    before, writes = dict(store.rows), list(store.sizes)
    report = run(SOURCES, halver, store)
    assert len(halver.given) == 10
    assert store.rows == before
    assert store.sizes == writes
    assert (report.figures.unchanged, report.figures.distilled) == (10, 0)
    assert (report.figures.tokens_before, report.figures.tokens_after) == (140, 70)


def test_only_what_changed_is_distilled_again() -> None:
    store, halver = DictStore(), Halver()
    run(SOURCES, halver, store)
    changed = [*SOURCES[:3], Source("a new text of seven words here", uri="doc-3"), *SOURCES[4:]]
    report = run(changed, halver, store)
    assert halver.given[10:] == ["a new text of seven words here"]
    assert (report.figures.unchanged, report.figures.distilled) == (9, 1)


def test_another_recipe_has_its_own_rows() -> None:
    store = DictStore()
    run(SOURCES, Halver(), store)
    run(SOURCES, Halver(recipe="2"), store)
    assert len(store.rows) == 20


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_equal_texts_are_distilled_once_and_the_first_names_the_row(batch: int) -> None:
    store, halver = DictStore(), Halver()
    twins = [Source(TEXTS[0], uri="one"), Source(TEXTS[1], uri="other"), Source(TEXTS[0], uri="two")]
    report = run(twins, halver, store, batch=batch)
    assert halver.given == TEXTS[:2]
    assert [row.uri for row in store.rows.values()] == ["one", "other"]
    assert (report.figures.distilled, report.figures.duplicates, report.figures.unchanged) == (2, 1, 0)
    assert report.figures.tokens_before == 28


def test_what_is_not_final_is_tried_again_next_time_and_not_before() -> None:
    store, halver = DictStore(), Halver(final=False)
    report = run([*SOURCES, *SOURCES], halver, store, batch=5)
    assert len(halver.given) == 10
    assert (report.figures.distilled, report.figures.unfinished, report.figures.duplicates) == (10, 10, 10)
    halver.final = True
    report = run(SOURCES, halver, store)
    assert len(halver.given) == 20
    assert (report.figures.distilled, report.figures.unfinished) == (10, 0)
    assert all(row.distillate.final for row in store.rows.values())


def test_a_text_that_cannot_be_distilled_costs_only_itself() -> None:
    store = DictStore()
    sources = [*SOURCES[:5], Source("some poison in this", uri="bad"), *SOURCES[5:]]
    report = run(sources, Halver(poison="poison"), store, batch=4)
    assert len(store.rows) == 10
    assert (report.figures.distilled, report.figures.failed) == (10, 1)
    [problem] = report.figures.problems
    assert (problem.uri, problem.reason) == ("bad", "failed")
    assert "there is poison in it" in problem.detail
    assert run(sources, Halver(), store).figures.distilled == 1  # tried again


def test_what_was_skipped_is_counted_and_named() -> None:
    skips = [Skipped("a.png", "unknown type .png"), Skipped("b.txt", "empty"), Skipped("c.txt", "empty")]
    report = run([skips[0], *SOURCES, *skips[1:]], Halver(), DictStore())
    assert report.figures.skipped == {"unknown type .png": 1, "empty": 2}
    assert report.figures.problems == tuple(skips)
    assert report.figures.documents == 10


def test_a_store_that_fails_stops_the_run_with_a_report() -> None:
    store = DictStore(puts=2)
    with pytest.raises(StoppedError, match="disk is full") as caught:
        run(SOURCES, Halver(), store, batch=3)
    report = caught.value.report
    assert (report.figures.documents, report.figures.distilled) == (6, 6)
    assert "disk is full" in report.stopped
    assert len(store.rows) == 6


def test_sources_that_fail_stop_the_run_after_what_came_before_is_kept() -> None:
    def failing() -> Iterator[Source]:
        yield from SOURCES[:5]
        raise OSError("the network is gone")

    store = DictStore()
    with pytest.raises(StoppedError, match="the network is gone") as caught:
        run(failing(), Halver(), store, batch=4)
    assert caught.value.report.figures.distilled == 5
    assert len(store.rows) == 5


def test_ctrl_c_ends_with_the_report() -> None:
    class Tired(Halver):
        def distill(self, sources, /):
            if len(self.given) >= 4:
                raise KeyboardInterrupt
            return super().distill(sources)

    store = DictStore()
    report = run(SOURCES, Tired(), store, batch=2)
    assert report.stopped == "interrupted"
    assert report.figures.distilled == len(store.rows) == 4
    report = run(SOURCES, Halver(), store)
    assert (report.figures.unchanged, report.figures.distilled) == (4, 6)


def test_a_batch_holds_so_many_documents_and_bytes_at_most() -> None:
    sizes = [[len(i.text) for i in b] for b in batches([Source("x" * n) for n in (3, 3, 3, 9, 1, 1, 1, 1)], 3, 6)]
    assert sizes == [[3, 3], [3], [9], [1, 1, 1], [1]]


def test_documents_are_read_a_batch_at_a_time() -> None:
    taken = 0

    def counting() -> Iterator[Source]:
        nonlocal taken
        for source in SOURCES:
            taken += 1
            yield source

    ahead: list[int] = []
    run(counting(), Halver(), DictStore(), batch=2, progress=lambda figures: ahead.append(taken - figures.documents))
    assert max(ahead) <= 1


@pytest.mark.parametrize(("batch", "size"), [(0, 1), (1, 0), (-1, 5)])
def test_bounds_below_one_are_refused(batch: int, size: int) -> None:
    with pytest.raises(ConfigError):
        run(SOURCES, Halver(), DictStore(), batch=batch, batch_bytes=size)


@settings(max_examples=60)
@given(
    st.lists(st.text(alphabet=st.characters(), max_size=40).filter(str.strip), unique=True, max_size=12).flatmap(
        lambda texts: st.tuples(st.just(texts), st.permutations(texts))
    ),
    st.integers(1, 14),
    st.integers(1, 200),
)
def test_rows_depend_neither_on_batches_nor_on_order(
    texts: tuple[list[str], list[str]], batch: int, batch_bytes: int
) -> None:
    one, other = DictStore(), DictStore()
    run([Source(text, uri=content_hash(text)) for text in texts[0]], Halver(), one)
    shuffled = [Source(text, uri=content_hash(text)) for text in texts[1]]
    run(shuffled, Halver(), other, batch=batch, batch_bytes=batch_bytes)
    assert plain(one.rows.values()) == plain(other.rows.values())


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 10))
def test_figures_do_not_depend_on_batches(picks: list[int], batch: int) -> None:
    sources = [Source(TEXTS[i], uri=str(n)) for n, i in enumerate(picks)]
    whole, parts = (run(sources, Halver(), DictStore(), batch=size).figures for size in (1000, batch))
    assert whole == parts


def test_a_plan_writes_nothing_and_tells_what_a_run_does() -> None:
    store, halver = DictStore(), Halver()
    run(SOURCES[:4], halver, store)
    writes = list(store.sizes)
    planned = plan([*SOURCES, *SOURCES], halver, store, batch=3)
    assert (planned.figures.unchanged, planned.figures.pending, planned.figures.duplicates) == (4, 6, 10)
    assert planned.planned
    assert store.sizes == writes
    assert len(halver.given) == 4
    assert plan(SOURCES, halver, None).figures.pending == 10


def test_the_cost_of_a_language_model_is_what_this_run_used() -> None:
    class Usage:
        calls, input_tokens, output_tokens = 3, 100, 10

    class Metered(Halver):
        usage = Usage()

        def distill(self, sources, /):
            self.usage.calls += 1
            self.usage.input_tokens += 50
            return super().distill(sources)

    metered = Metered()
    report = run(SOURCES, metered, DictStore(), batch=5)
    assert (report.figures.calls, report.figures.input_tokens, report.figures.output_tokens) == (2, 100, 0)
    assert used(Halver()) == Figures()


def test_figures_add_up_and_travel() -> None:
    a = Figures.read([SOURCES[0], Skipped("x", "empty")])
    b = Figures.read([Skipped("y", "empty"), Skipped("z", "binary data")])
    assert (a + b).skipped == {"empty": 2, "binary data": 1}
    assert (a + b).problems == (*a.problems, *b.problems)
    assert a + Figures() == a
    assert pickle.loads(pickle.dumps(a + b)) == a + b
