"""A session gives the numbers of the plain scorer and reads less; it holds a bounded number of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ctxshrink.scorers import EmbeddedScorer, TransformersScorer
from ctxshrink.scorers import embedded as embedded_module
from ctxshrink.scorers._kept import Block, Blocks, SessionScorer, open_session
from ctxshrink.scorers._offsets import TokenScorer
from ctxshrink.scorers._windows import Window
from ctxshrink.testing import FakeScorer
from tests.scorers.conftest import TEXT, Tiny, loaded
from tests.scorers.test_causal import ARCHITECTURES, BASE, SIZE, build, plain

STEPS = [f"The keeper of gate {i} reads the blue book when the wind turns. " for i in range(8)]
CALLS = [
    [("".join(STEPS[:n]), STEPS[n]), ("Who reads it?\n\n" + "".join(STEPS[:n]), STEPS[n])] for n in range(1, len(STEPS))
]
"""Calls with contexts that grow, the last ones beyond the window."""


def test_the_embedded_scorers_session_gives_the_same_numbers_and_reads_less(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = embedded_module.load_session(tiny.folder, 1)
    chunks = 0

    class Counting:
        def run(self, outputs: list[str], inputs: dict[str, Any]) -> Any:
            nonlocal chunks
            chunks += len(inputs["input_ids"])
            return session.run(outputs, inputs)

    monkeypatch.setattr(embedded_module, "load_session", lambda *_: Counting())
    scorer = EmbeddedScorer(tiny.folder, threads=1, cache=False)
    expected = [scorer.nll(pairs) for pairs in CALLS]
    alone, chunks = chunks, 0
    found = open_session(scorer)
    for pairs, nats in zip(CALLS, expected, strict=True):
        for a, b in zip(found.nll(pairs), nats, strict=True):
            np.testing.assert_array_equal(a, b)
    assert chunks < 0.8 * alone


def test_the_transformers_scorers_session_gives_the_same_numbers_and_reads_less(tiny: Tiny) -> None:
    scorer: Any = TransformersScorer(*loaded(tiny))
    read: list[int] = []
    run = scorer._model._run

    def counted(batch: Any, *rest: Any, **named: Any) -> None:
        read.extend(len(node.ids) for node in batch)
        run(batch, *rest, **named)

    scorer._model._run = counted
    expected = [scorer.nll(pairs) for pairs in CALLS]
    alone = sum(read)
    read.clear()
    found = open_session(scorer)
    for pairs, nats in zip(CALLS, expected, strict=True):
        for a, b in zip(found.nll(pairs), nats, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
    assert sum(read) < 0.8 * alone


def test_a_session_is_a_scorer(tiny: Tiny) -> None:
    scorer = EmbeddedScorer(tiny.folder, threads=1)
    session = open_session(scorer)
    assert isinstance(session, TokenScorer)
    assert not isinstance(session, SessionScorer)
    assert (session.name, session.max_context) == (scorer.name, scorer.max_context)
    assert session.token_spans([TEXT, ""]) == scorer.token_spans([TEXT, ""])
    assert session.nll([]) == []
    assert "session" in repr(session)


def test_a_scorer_without_sessions_is_its_own() -> None:
    scorer: Any = FakeScorer()
    assert open_session(scorer) is scorer


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("most", [1 << 24, 40_000])
def test_every_architecture_goes_on_from_what_it_read(name: str, most: int) -> None:
    from ctxshrink.scorers._causal import CausalModel

    model, _ = build(name)
    runner = CausalModel(model)
    tokens = np.random.default_rng(2).integers(2, SIZE, BASE["max_position_embeddings"]).tolist()
    blocks = Blocks(32, most)
    for end in (40, 90, 130, 200, 120):
        windows = [
            Window(0, 0, (0, *tokens[:end]), 20),
            Window(1, 0, (0, *tokens[: end - 30], *tokens[:10]), 10),
            Window(2, 0, (0, *tokens[end : end + 12]), 12),
        ]
        out = [np.full(w.scored, np.nan, dtype=np.float32) for w in windows]
        runner.nll(windows, out, blocks)
        for window, nats in zip(windows, out, strict=True):
            np.testing.assert_allclose(nats, plain(model, window), atol=1e-4)
        assert blocks.nbytes <= most


def test_what_was_not_used_for_the_longest_time_goes_first() -> None:
    blocks = Blocks(2, 1000)
    keys = [blocks.key(b"", [i, i]) for i in range(4)]
    for key in keys[:3]:
        blocks.put(key, Block(key, 100))
    assert blocks.get(keys[0]) is not None
    blocks.put(keys[3], Block("new", 100))
    assert blocks.get(keys[1]) is None
    assert all(blocks.get(keys[i]) is not None for i in (0, 2, 3))
    assert blocks.nbytes <= 1000


def test_a_key_says_all_that_stands_before() -> None:
    first = Blocks.key(b"", [1, 2])
    assert Blocks.key(first, [3, 4]) != Blocks.key(b"", [3, 4])
    assert Blocks.key(b"", [1, 2]) == first != Blocks.key(b"", [2, 1])
