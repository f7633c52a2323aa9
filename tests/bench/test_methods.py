from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from ctxshrink import Shrinker
from ctxshrink.bench.methods import METHODS, Recorder, Runner, build
from ctxshrink.bench.peer_methods import PeerRunner
from ctxshrink.compressors._index import index
from ctxshrink.compressors._pooled import PooledCompressor
from ctxshrink.errors import ConfigError
from ctxshrink.result import ShrinkResult
from ctxshrink.text import units
from ctxshrink.types import Call, Segment, Trial, Verdict

ENCODED = ("minilm", "hybrid", "chunks")
BASELINES = [name for name in METHODS if name not in ("ctxshrink", "lossless", "surprisal")]
WORDS = [
    "pump",
    "valve",
    "hall",
    "gate",
    "replaced",
    "ordered",
    "painted",
    "checked",
    "Turin",
    "grey",
    "early",
    "twice",
]


def documents(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    return [
        " ".join(
            f"The {' '.join(rng.choices(WORDS, k=rng.randint(4, 12)))} {rng.randint(1, 999)}."
            for _ in range(rng.randint(3, 9))
        )
        for _ in range(count)
    ]


def kept(result: ShrinkResult[dict[str, str]]) -> set[tuple[str, int]]:
    """The (segment, unit) pairs that came out."""
    found: set[tuple[str, int]] = set()
    for d in result.decisions:
        spans = units(d.segment.text, d.segment.content_type)
        for i, (start, end) in enumerate(spans):
            if any(a <= start and end <= b for a, b in d.spans or ()):
                found.add((d.segment.id, i))
    return found


def alone(runner: Runner | PeerRunner, segments: list[Segment], query: str, budget: int) -> set[tuple[str, int]]:
    """What the method would pick without a `Shrinker`: its ranking of all units, filled up greedily to the budget."""
    shrinker = runner.shrinker
    [compressor] = shrinker._engine.compressors
    assert isinstance(compressor, PooledCompressor)
    tokens = dict(zip((s.id for s in segments), shrinker.counter.count([s.text for s in segments]), strict=True))
    idx = index(Call(tuple(segments), tokens, shrinker.counter, query=query))
    key = compressor.key(idx, Call(tuple(segments), tokens, shrinker.counter, query=query))
    chosen: set[tuple[str, int]] = set()
    used = 0
    for unit in sorted(range(idx.size), key=lambda u: (-key[u], u)):
        if used + idx.tokens[unit] <= budget:
            used += int(idx.tokens[unit])
            place = int(idx.segment[unit])
            chosen.add((segments[place].id, unit - int(idx.offset[place])))
    return chosen


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("keep", [0.5, 0.25, 0.1])
def test_a_baseline_picks_through_the_shrinker_what_it_would_pick_alone(
    name: str, keep: float, request: pytest.FixtureRequest
) -> None:
    encoder = request.getfixturevalue("encoder_folder") if name in ENCODED else None
    [runner] = build([name], guardrail=True, encoder=encoder)
    assert runner.recorder is None
    same = total = 0
    for seed in range(12):
        segments = [Segment(str(i), text) for i, text in enumerate(documents(seed, 6))]
        query = "Which pump was replaced in Turin?"
        budget = math.floor(keep * sum(runner.shrinker.counter.count([s.text for s in segments])))
        result = runner.shrinker.shrink_segments(segments, query=query, max_tokens=budget)
        found, expected = kept(result), alone(runner, segments, query, budget)
        same += len(found & expected)
        total += len(found | expected)
        longest = max(
            n for s in segments for n in runner.shrinker.counter.count([s.text[a:b] for a, b in units(s.text, "prose")])
        )
        assert budget - longest <= result.tokens_after <= budget  # spent to within one unit
        assert not any(d.action == "forced" for d in result.decisions)
    # Token estimates of units and rounding of shares may move single units at the edge of the budget.
    assert same / total > 0.9


def test_surprisal_has_extractive_behind_it_for_what_is_not_prose() -> None:
    [runner] = build(["surprisal"], guardrail=True)
    assert runner.recorder is None
    table = "| pump | hall |\n|---|---|\n" + "\n".join(f"| P{i} | {i} |" for i in range(40))
    result = runner.shrinker.shrink_documents([*documents(1, 3), table], "Which pump was replaced?", max_tokens=150)
    assert result.tokens_after <= 150
    used = [{a.compressor for a in d.attempts if a.ok} for d in result.decisions if d.action == "compressed"]
    assert {"surprisal"} in used
    assert all(names <= {"surprisal", "extractive"} for names in used)


def test_truncate_is_the_newest_text_and_lead_the_first() -> None:
    docs = documents(3, 5)
    [truncate, lead] = build(["truncate", "lead"], guardrail=False)
    newest = truncate.shrinker.shrink_documents(docs, "q", keep=0.4).output
    assert newest[0] == ""
    assert newest[-1] == docs[-1]
    first = lead.shrinker.shrink_documents(docs, "q", keep=0.4).output
    assert all(doc.startswith(out) for doc, out in zip(docs, first, strict=True))


def test_all_methods_lock_the_same_messages() -> None:
    turns = documents(5, 12)
    messages = [{"role": "system", "content": "Be brief."}]
    messages += [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(turns)]
    locked = {
        r.method: [d.segment.id for d in r.shrinker.shrink_messages(messages, keep=0.3).decisions if d.segment.locked]
        for r in build([m for m in METHODS if m not in ENCODED], guardrail=False)
    }
    assert len({tuple(ids) for ids in locked.values()}) == 1
    assert len(locked["ctxshrink"]) == 5


def test_recorder_remembers_the_first_batch_only() -> None:
    class Fixed:
        name = "fixed"

        def __init__(self) -> None:
            self.calls = 0

        def check(self, trials: list[Trial], _: Call, /) -> list[Verdict]:
            self.calls += 1
            return [Verdict(False, self.calls / 10, "no") for _ in trials]

    recorder = Recorder(Fixed())
    [text] = documents(1, 1)
    for _ in range(2):
        recorder.clear()
        Shrinker(compressors=["pruner"], guardrail=recorder).shrink_text(text, "Which pump?", keep=0.4)
        assert recorder.first is not None
        trials, verdicts = recorder.first
        assert [t.segment.text for t in trials] == [text]
        first = verdicts[0].score
    assert first == 0.3  # the second call's first batch was the third check: each call tried twice


def test_unknown_methods_are_named() -> None:
    with pytest.raises(ConfigError, match=r"got magic"):
        build(["bm25", "magic"], guardrail=False)
    with pytest.raises(ConfigError, match="got nothing"):
        build([], guardrail=False)
    assert [r.method for r in build(["lead", "bm25", "lead"], guardrail=False)] == ["lead", "bm25"]


def test_methods_that_need_an_encoder_share_one_and_say_so(encoder_folder: Path) -> None:
    with pytest.raises(ConfigError, match="hybrid, minilm: give --encoder the folder"):
        build(["lead", "hybrid", "minilm"], guardrail=False)
    lead, hybrid, minilm = build(["lead", "hybrid", "minilm"], guardrail=False, encoder=encoder_folder)
    assert lead.encoder is None
    assert hybrid.encoder is not None
    assert hybrid.encoder is minilm.encoder
    with pytest.raises(ConfigError, match="minilm: ranks by the question, which is unseen here"):
        build(["idf", "minilm"], guardrail=False, encoder=encoder_folder, asks=False)
    assert [r.method for r in build(["idf", "bm25"], guardrail=False, asks=False)] == ["idf", "bm25"]
