from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.bench.data import ChatRecord, Probe, RagRecord, ToolRecord
from ctxshrink.bench.peer_methods import PeerRunner, measure_peer
from ctxshrink.bench.tasks import TASKS
from ctxshrink.errors import ConfigError

from .conftest import PYTHON, shrinker, spec

RAG, CHAT, TOOLS = TASKS["rag"], TASKS["chat"], TASKS["tools"]


@pytest.fixture(scope="module")
def runner(worker: Path) -> Iterator[PeerRunner]:
    with PeerRunner(spec(worker), PYTHON, shrinker(), timeout=30) as made:
        yield made


def rag(query: str, *texts: str) -> RagRecord:
    return RagRecord("r", "r", "en", query, tuple({"text": t, "title": ""} for t in texts), ("pump",), (), ())


TEXTS = [
    f"The pump of hall {i} was replaced in May, and valve {i} was ordered in Turin for {i * 7} euros." for i in range(8)
]


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(
        st.lists(st.sampled_from(["pump", "größer", "水", "x1", "valve", "\ud800"])).map(" ".join), min_size=1
    ),
    keep=st.floats(0.05, 1),
)
def test_every_peer_gets_the_budget_of_the_others(runner: PeerRunner, texts: list[str], keep: float) -> None:
    record = rag("q", *texts)
    seen = measure_peer(RAG, "s", runner, record, keep)
    reference = RAG.shrink(runner.shrinker, record, keep)
    assert seen.free_before == seen.tokens_before == reference.result.tokens_before
    assert seen.free_after == seen.tokens_after <= reference.budget
    assert (seen.over, seen.broken, seen.failed) == (0, 0, 0)


def test_the_setting_that_was_found_is_told_and_the_same_comes_out_twice(runner: PeerRunner) -> None:
    one, two = (measure_peer(RAG, "s", runner, rag("When?", *TEXTS), 0.4) for _ in range(2))
    # It keeps one and a half of what it is asked for.
    assert one.setting.startswith("rate=0.2")
    assert re.search(r" \(asked [2-6] times\)$", one.setting)
    assert one.free_after > 0.85 * 0.4 * one.free_before
    assert dataclasses.replace(one, seconds=0) == dataclasses.replace(two, seconds=0)
    assert one.scores["score"] == 1.0
    tool = measure_peer(
        TOOLS, "s", runner, ToolRecord("t", "t", "en", "q", " ".join(TEXTS), (("hall 0",), ("hall 7",))), 0.5
    )
    assert (tool.scores["needles"], tool.at_risk, tool.lost) == (0.5, 2, 1)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("RAISE", "ValueError: it broke"),
        ("EXIT", "ended with status 7"),
        ("GARBAGE", "not JSON"),
        ("SHAPE", "it answered without texts"),
        ("VECTORS", "vectors where there are none"),
    ],
)
def test_a_peer_that_fails_leaves_the_record_whole_and_the_next_one_runs(
    runner: PeerRunner, query: str, said: str
) -> None:
    seen = measure_peer(RAG, "s", runner, rag(query, *TEXTS), 0.5)
    assert seen.failed == 1
    assert said in seen.failure
    assert seen.tokens_after == seen.tokens_before
    assert seen.over > 0
    assert seen.scores["score"] == 1.0
    after = measure_peer(RAG, "s", runner, rag("q", *TEXTS), 0.5)
    assert (after.failed, after.failure, after.over) == (0, "", 0)


def test_a_peer_that_hangs_is_given_up_after_three_times(worker: Path) -> None:
    with PeerRunner(spec(worker), PYTHON, shrinker(), timeout=1.0) as runner:
        for _ in range(3):
            assert "no answer in time" in measure_peer(RAG, "s", runner, rag("HANG", *TEXTS), 0.5).failure
        seen = measure_peer(RAG, "s", runner, rag("q", *TEXTS), 0.5)
        assert seen.failed == 1
        assert "not asked: 3" in seen.failure


def test_locked_text_that_a_peer_changes_is_counted(runner: PeerRunner) -> None:
    turns = [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(TEXTS)]
    record = ChatRecord(
        "c",
        "c",
        "en",
        ({"role": "system", "content": "Be brief and kind."}, *turns),
        (Probe(("hall 3",), (4,), False),),
    )
    seen = measure_peer(CHAT, "s", runner, record, 0.4)
    locked = [d for d in shrinker().shrink_messages(list(record.messages), keep=0.4).decisions if d.segment.locked]
    assert seen.broken == len(locked) == 5  # it cuts every message, the system's too
    assert seen.over == 0
    assert seen.free_before == seen.tokens_before - sum(d.tokens_before for d in locked)


def test_a_peer_that_does_not_start_is_a_configuration_error(worker: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--methods first-words: ValueError: no such model"):
        PeerRunner(spec(worker), PYTHON, shrinker(), model=tmp_path)
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_package_at_all\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="ModuleNotFoundError"):
        PeerRunner(spec(broken), PYTHON, shrinker())
