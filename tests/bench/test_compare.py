from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console

from ctxshrink.bench import compare as module
from ctxshrink.bench.compare import GUARDED, OURS, compare, steps
from ctxshrink.bench.peers import Peer, Skipped
from ctxshrink.bench.report import show_comparison


def test_everybody_gets_text_of_its_own_in_turns(encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, ...]] = []

    def some(encoder: Path, cleanup: ExitStack) -> Iterator[Peer | Skipped]:
        assert encoder == encoder_folder
        yield Skipped("gone", "not installed")

        def half(query: str, passages: list[str], keep: float) -> list[str]:
            assert query
            assert keep == 0.25
            seen.append(tuple(passages))
            return [p[: len(p) // 2] for p in passages]

        yield Peer("half", "cuts in the middle", half)

    starts = {"files": [0.5, 0.25, 0.75], "shrink": [1.0, 0.5, 0.75]}
    monkeypatch.setattr(module, "peers", some)
    monkeypatch.setattr(module, "PAUSE", 0)
    monkeypatch.setattr(module, "in_fresh_process", lambda task: {"peak_mib": 100.0 + task["guardrail"]})
    monkeypatch.setattr(module, "cold_starts", lambda contexts, keep: starts)
    done: list[str] = []
    found = compare(encoder_folder, tokens=600, repeats=3, keep=0.25, guardrail=True, step=done.append)
    assert len(done) == steps(3)
    assert len(seen) == len(set(seen)) == 4  # once to warm up, then three timings
    assert [t.name for t in found.timings] == [OURS, GUARDED, "half"]
    for timing in found.timings:
        assert len(timing.seconds) == 3
        assert timing.best <= timing.median
    ours, _, half = found.timings
    assert (ours.best_ratio, ours.median_ratio) == (1.0, 1.0)
    assert half.best_ratio == half.best / ours.best
    assert half.kept == pytest.approx(0.5, abs=0.01)
    assert 0.05 < ours.kept < 0.35
    # Ten sentences at least, and this tokenizer takes a token for every letter.
    assert 600 <= found.tokens < 2000
    assert found.own_tokens < found.tokens
    assert found.peak_mib == {"off": 100.0, "on": 101.0}
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    show_comparison(found, console)
    text = console.export_text()
    for words in (
        "skipped: gone: not installed",
        "cuts in the middle",
        "guardrail on: 101 MiB",
        "best of 3: first call 0.50 s, onnxruntime and the model files alone 0.25 s: 2.00 times",
        "median of 3: first call 0.75 s, onnxruntime and the model files alone 0.50 s: 1.50 times",
    ):
        assert words in text, words
    assert json.loads(json.dumps(found.to_dict()))["skipped"] == [{"name": "gone", "reason": "not installed"}]
