"""The pipeline on a cluster of three small workers: the rows of the local run, whatever dies."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("ray.data")

from typer.testing import CliRunner

from ctxshrink.cli import app
from ctxshrink.distill import Derived, Source, content_hash, recipe_key
from ctxshrink.errors import ConfigError, MissingExtraError
from ctxshrink.pipeline import Files, Skipped, StoppedError, run
from ctxshrink.pipeline._cluster import joined, local_cluster
from ctxshrink.pipeline.batch import DerivedStore
from ctxshrink.pipeline.ray import run_on_ray
from ctxshrink.store import Store
from tests.pipeline.doubles import DiesAfterWriting, DiesOnce, FirstHalf, FullStore

DOCUMENTS = [
    Source(f"Report {i:02} of the depot. It has {i * 7} bays. Bay {i} is free. Bay {i + 1} is not.", uri=f"r{i:02}")
    for i in range(60)
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with local_cluster(2, object_store_bytes=80 * 2**20):
        yield


def corpus(folder: Path, documents: Sequence[Source] = DOCUMENTS) -> Files:
    """Documents as files, two more of which are copies, and one that cannot be read."""
    folder.mkdir()
    for source in [*documents, replace(DOCUMENTS[5], uri="r41-copy"), replace(DOCUMENTS[50], uri="r52-copy")]:
        (folder / f"{source.uri}.txt").write_text(source.text, encoding="utf-8")
    (folder / "r30-torn.txt").write_bytes(b"\xff\xfe\x00")
    return Files([folder])


def rows(store: DerivedStore) -> dict[str, Derived]:
    """All rows but for when they were made."""
    found = store.get([content_hash(source.text) for source in DOCUMENTS], recipe_key(FirstHalf().recipe))
    return {key: replace(row, created=0) for key, row in found.items()}


def test_workers_that_die_lose_and_double_nothing(cluster: None, tmp_path: Path) -> None:
    files, local = corpus(tmp_path / "corpus"), Store(f"sqlite:///{tmp_path}/local.db")
    expected = run(files, FirstHalf(poison="Report 44 "), local, batch=8)
    inner = Store(f"sqlite:///{tmp_path}/ray.db")
    store = DiesAfterWriting(inner, content_hash(DOCUMENTS[13].text), tmp_path / "died-after-writing")
    make = partial(DiesOnce, poison="Report 44 ", word="Report 33 ", done=tmp_path / "died-before-writing")
    seen: list[int] = []
    report = run_on_ray(files, make, store, batch=8, progress=lambda figures: seen.append(figures.documents))
    assert store.done.exists()
    assert (tmp_path / "died-before-writing").exists()
    assert rows(inner) == rows(local)
    assert all(inner.load(row.original) == local.load(row.original) is not None for row in rows(inner).values())
    assert inner.stats().rows == local.stats().rows == 2 * (len(DOCUMENTS) - 1)
    assert set(report.figures.problems) == set(expected.figures.problems)
    assert len(report.figures.problems) == 2
    assert replace(report.figures, problems=()) == replace(expected.figures, problems=())
    assert (report.distiller, report.recipe, report.counter) == (expected.distiller, expected.recipe, expected.counter)
    assert seen == sorted(seen)
    assert seen[-1] == len(DOCUMENTS) + 2
    again = run(files, FirstHalf(), inner)
    assert again.figures.distilled == 1
    assert again.figures.unchanged + again.figures.duplicates == len(DOCUMENTS) - 1 + 2


class Torn:
    """Sources that fail after 40 documents."""

    def __iter__(self) -> Iterator[Source]:
        yield from DOCUMENTS[:40]
        raise ConnectionError("the wiki is down")


def test_runs_go_on_here_and_there(cluster: None, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/ray.db")
    run(DOCUMENTS[10:30], FirstHalf(), store)
    with pytest.raises(StoppedError, match="the wiki is down") as stopped:
        run_on_ray(Torn(), FirstHalf, store, workers=(1, 2), batch=8)
    figures = stopped.value.report.figures
    assert (figures.documents, figures.unchanged, figures.distilled) == (40, 20, 20)
    assert len(rows(store)) == 40
    assert run(DOCUMENTS, FirstHalf(), store).figures.distilled == 20
    whole = Store.memory()
    run(DOCUMENTS, FirstHalf(), whole)
    assert rows(store) == rows(whole)


def broken() -> FirstHalf:
    raise ConfigError("no such model")


def test_what_is_wrong_on_a_worker_is_told_here(cluster: None, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/ray.db")
    with pytest.raises(ConfigError, match="a worker could not distill: ConfigError: no such model"):
        run_on_ray(DOCUMENTS[:2], broken, store, workers=1)
    with pytest.raises(StoppedError, match=r"^the disk is full$") as stopped:
        run_on_ray(DOCUMENTS[:2], FirstHalf, FullStore(store), workers=1)
    assert stopped.value.report.figures.distilled == 0
    assert store.stats().rows == 0


def test_a_document_that_kills_every_worker_fails_alone(cluster: None, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/ray.db")
    report = run_on_ray(DOCUMENTS[:6], partial(DiesOnce, word="Report 04 ", again=True), store, workers=1, batch=3)
    assert (report.figures.distilled, report.figures.failed, report.figures.duplicates) == (5, 1, 0)
    assert report.figures.problems == (Skipped("r04", "failed", "2 workers died while they distilled it"),)
    assert run(DOCUMENTS[:6], FirstHalf(), store).figures.unchanged == 5


def test_the_command(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def running(workers: int) -> contextlib.AbstractContextManager[None]:
        started.append(workers)
        return contextlib.nullcontext()

    monkeypatch.setattr("ctxshrink.pipeline._cluster.local_cluster", running)
    few = [*DOCUMENTS[:4], DOCUMENTS[5], DOCUMENTS[50]]  # The embedded distiller takes its time.
    folder, stores = corpus(tmp_path / "corpus", few).paths[0], [f"sqlite:///{tmp_path}/{name}.db" for name in "ab"]
    for store, workers in zip(stores, "12", strict=True):
        command = ["distill", str(folder), "--store", store, "--keep", "0.5", "--workers", workers]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert "duplicates" in done.output
    assert started == [2]
    here, there = ({row.source: replace(row, created=0) for row in Store(url).derived()} for url in stores)
    assert here == there
    assert len(here) == len(few)


def test_a_cluster_that_is_not_there(cluster: None) -> None:
    with pytest.raises(ConfigError, match="no Ray cluster could be joined at 'auto'"), joined("auto"):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "nowhere.invalid:1", "127.0.0.1:99999"])
def test_an_address_where_nobody_listens_is_told_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray tries for minutes"))
    with pytest.raises(ConfigError, match=f"no Ray cluster could be joined at '{address}'"), joined(address):
        pass


def test_nothing_is_reported_and_no_port_is_open_to_others(cluster: None) -> None:
    import ray
    from ray._common.usage.usage_lib import usage_stats_enabled

    assert not usage_stats_enabled()
    assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}
    assert ray.get_runtime_context().gcs_address.startswith("127.0.0.1:")


def test_what_cannot_be_given_to_workers_is_refused(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/ray.db")
    with pytest.raises(ConfigError, match="sources must pickle"):
        run_on_ray((source for source in DOCUMENTS), FirstHalf, store)
    with pytest.raises(ConfigError, match="a store in memory cannot be pickled"):
        run_on_ray(DOCUMENTS, FirstHalf, Store.memory())
    for workers in (0, (0, 2), (3, 2)):
        with pytest.raises(ConfigError, match="workers must be 1 or more"):
            run_on_ray(DOCUMENTS, FirstHalf, store, workers=workers)
    with pytest.raises(ConfigError, match="a batch must hold"):
        run_on_ray(DOCUMENTS, FirstHalf, store, batch=0)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"ctxshrink\[ray\]"):
        run_on_ray(DOCUMENTS, FirstHalf, Store(f"sqlite:///{tmp_path}/ray.db"))
