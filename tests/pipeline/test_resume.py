"""A run that is killed, on a real store, goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctxshrink.distill import Source
from ctxshrink.distill.extractive import ExtractiveDistiller
from ctxshrink.pipeline import run
from ctxshrink.pipeline.local import plan
from ctxshrink.store import Store

from .halver import Halver, documents, plain

DOCUMENTS = 200
SOURCES = documents(DOCUMENTS)

WORKER = """
import signal, sys, time
from ctxshrink.pipeline import run
from ctxshrink.store import Store
from tests.pipeline.halver import Halver, documents

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background

class Slow(Halver):
    def distill(self, sources, /):
        time.sleep(0.02)
        return super().distill(sources)

report = run(documents(int(sys.argv[2])), Slow(), Store(sys.argv[1]), batch=4)
print(report.stopped, report.figures.distilled)
"""


def rows(store: Store) -> list[str]:
    return plain(store.derived())


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, url: str) -> None:
    with Store(url) as store:
        for kill_at in (20, 80):
            worker = subprocess.Popen(
                [sys.executable, "-c", WORKER, url, str(DOCUMENTS)], cwd=Path(__file__).parents[2]
            )
            while store.stats().derived < kill_at and worker.poll() is None:
                time.sleep(0.02)
            os.kill(worker.pid, signal.SIGKILL)
            assert worker.wait() == -signal.SIGKILL
        committed = {row.source: row for row in store.derived()}
        assert 80 <= len(committed) < DOCUMENTS
        assert len(committed) % 4 == 0  # whole batches only
        halver = Halver()
        report = run(SOURCES, halver, store)
        assert report.figures.unchanged == len(committed)
        assert len(halver.given) == DOCUMENTS - len(committed)
        after = {row.source: row for row in store.derived()}
        assert {key: after[key] for key in committed} == committed  # not even a time stamp changed
        found = rows(store)
        texts = [store.load(row.original) for row in after.values()]
    assert sorted(filter(None, texts)) == sorted(source.text for source in SOURCES)
    with Store(f"sqlite:///{tmp_path}/other.db") as other:
        run(SOURCES, Halver(), other)
        assert rows(other) == found


def test_ctrl_c_ends_a_run_with_its_report(url: str) -> None:
    with Store(url) as store:
        root = Path(__file__).parents[2]
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, url, str(DOCUMENTS)], cwd=root, stdout=subprocess.PIPE, text=True
        )
        while store.stats().derived < 20 and worker.poll() is None:
            time.sleep(0.02)
        worker.send_signal(signal.SIGINT)
        said, _ = worker.communicate(timeout=120)
        assert worker.returncode == 0
        assert said.split() == ["interrupted", str(store.stats().derived)]


def test_a_second_run_touches_nothing(url: str) -> None:
    with Store(url) as store:
        run(SOURCES, Halver(), store)
        before = list(store.derived())
        halver = Halver()
        report = run(SOURCES, halver, store)
        assert not halver.given
        assert list(store.derived()) == before
        assert report.figures.unchanged == DOCUMENTS
        assert plan(SOURCES, halver, store).figures.pending == 0


def test_two_runs_at_once_give_the_rows_of_one(tmp_path: Path, url: str) -> None:
    root = Path(__file__).parents[2]
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, url, str(DOCUMENTS)], cwd=root) for _ in range(2)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    with Store(url) as store, Store(f"sqlite:///{tmp_path}/other.db") as other:
        run(SOURCES, Halver(), other)
        assert rows(store) == rows(other)


def test_namespaces_do_not_see_each_other(url: str) -> None:
    halver = Halver()
    with Store(url, namespace="a") as a, Store(url, namespace="b") as b:
        run(SOURCES[:5], halver, a)
        assert run(SOURCES[:5], halver, b).figures.distilled == 5
    assert len(halver.given) == 10


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_the_embedded_distiller_gives_the_same_rows_in_any_batches(batch: int) -> None:
    texts = [
        "The station opened in 1898. It was built of brick. " * 3 + f"Its number is {i}. Trains stop there every hour."
        for i in range(6)
    ]
    texts += [
        '{"a": [1, 2, 3], "b": "text"}',
        "x" * 5000,
        "one",
        "\n".join(f"2024-01-0{i} ERROR failed" for i in range(9)),
    ]
    sources = [Source(text, uri=str(i)) for i, text in enumerate(texts)]
    with Store.memory() as one, Store.memory() as other:
        report = run(sources, ExtractiveDistiller(0.4), one)
        run(list(reversed(sources)), ExtractiveDistiller(0.4), other, batch=batch)
        assert rows(one) == rows(other)
        assert report.figures.failed == 0
        assert report.figures.tokens_after < report.figures.tokens_before
