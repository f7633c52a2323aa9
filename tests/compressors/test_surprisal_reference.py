"""The surprisal compressor's numbers against a slow, plain reference, and against the llmlingua package.

The reference runs Llama in float64, one pair at a time and every pair from its start: no batches, no keys and values
that are kept, no windows of windows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ctxshrink.compressors._surprisal_prune import Draft, prune, word_tokens
from ctxshrink.compressors._surprisal_rank import (
    LEAD,
    RESTRICTION,
    dynamic_shares,
    own_nats,
    part_means,
    pool_sentences,
    question_nats,
)
from ctxshrink.compressors._words import Words, render_words, split_words
from ctxshrink.scorers import EmbeddedScorer, TokenScorer, TransformersScorer
from tests.scorers.conftest import CONFIG, TEXT, Tiny, exported, loaded
from tests.scorers.reference import reference_nll

Floats = NDArray[np.float64]
QUESTION = "Who writes the level?"
LONG = (
    TEXT.split("\n")[0]
    + " "
    + " ".join(f"The keeper of gate {i} reads the blue book when the wind turns." for i in range(12))
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A tiny random Llama, exported."""
    return exported(tmp_path_factory.mktemp("tiny"), seed=5)


def embedded(tiny: Tiny) -> TokenScorer:
    return EmbeddedScorer(tiny.folder, threads=1)


def hugging_face(tiny: Tiny) -> TokenScorer:
    return TransformersScorer(*loaded(tiny))


SCORERS: dict[str, Callable[[Tiny], TokenScorer]] = {"embedded": embedded, "transformers": hugging_face}


def plain_nats(tiny: Tiny, context: str, target: str) -> Floats:
    ids = tiny.ids(target)
    return reference_nll(CONFIG, tiny.weights, [0, *tiny.ids(context), *ids])[-len(ids) :]


def plain_values(tiny: Tiny, context: str, pieces: list[str], question: str | None) -> list[float]:
    """Mean (contrastive) nats of words that follow a context; a token is the word's in which its last character is."""
    text = "".join(pieces)
    nats = plain_nats(tiny, context, text)
    if question is not None:
        nats = nats - plain_nats(tiny, f"{question}\n\n{context}", text)
    offsets = tiny.tokenizer.encode(text, add_special_tokens=False).offsets
    out: list[float] = []
    start = 0
    for piece in pieces:
        end = start + len(piece)
        own = [n for n, (_, e) in zip(nats, offsets, strict=True) if start < e <= end]
        over = next(n for n, (_, e) in zip(nats, offsets, strict=True) if e >= end)  # it ends in a later word
        out.append(float(np.mean(own)) if own else float(over))
        start = end
    return out


def plain_prune(
    tiny: Tiny, words: Words, chosen: list[int], keep: float, question: str | None, size: int
) -> tuple[set[int], dict[int, float]]:
    """LLMLingua's algorithm 2 for whole words, a window after the other; two windows of context, then half a one."""
    tokens = word_tokens(embedded(tiny), [words])[0].tolist()
    must = set(np.flatnonzero(words.must).tolist())
    kept: set[int] = set()
    values: dict[int, float] = {}
    rest = list(chosen)
    first = 0
    while rest:
        window: list[int] = []
        while len(window) < len(rest) and (not window or sum(tokens[w] for w in [*window, rest[len(window)]]) <= size):
            window.append(rest[len(window)])
        tail = [w for w in sorted(kept) if w >= first]
        if sum(tokens[w] for w in tail) > 2 * size:
            while sum(tokens[w] for w in tail) > size // 2:
                first = tail.pop(0) + 1
        mask = np.zeros(len(words), dtype=bool)
        mask[tail] = True
        context = render_words(words, mask)[0]
        pieces: list[str] = []
        before = chosen[chosen.index(window[0]) - 1] if context else None
        for w in window:
            gap = "" if before is None else words.text[words.spans[before][1] : words.spans[w][0]]
            pieces.append((gap if before is None or w == before + 1 else " ") + words.text[slice(*words.spans[w])])
            before = w
        for w, value in zip(window, plain_values(tiny, context, pieces, question), strict=True):
            values[w] = round(value, 3)
        fixed = sum(tokens[w] for w in rest if w in must)
        left = max(0.0, keep * sum(tokens[w] for w in chosen) - sum(tokens[w] for w in kept) - fixed)
        free = sum(tokens[w] for w in rest if w not in must)
        room = left * sum(tokens[w] for w in window if w not in must) / free if free else 0.0
        kept |= must & set(window)
        spent = 0
        for w in sorted((w for w in window if w not in must), key=lambda w: (-values[w], w)):
            spent += tokens[w]
            if spent > room:
                break
            kept.add(w)
        rest = rest[len(window) :]
    return kept, values


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("question", [None, QUESTION])
@pytest.mark.parametrize("keep", [0.3, 0.6])
def test_pruning_is_that_of_the_plain_reference(tiny: Tiny, name: str, question: str | None, keep: float) -> None:
    scorer = SCORERS[name](tiny)
    words = split_words(LONG)
    left_out = words.unit == 2  # a sentence in the middle
    chosen = np.flatnonzero(~left_out)
    [tokens] = word_tokens(scorer, [words])
    other = split_words(TEXT)
    drafts = [
        Draft(words, chosen, keep, tokens),
        Draft(other, np.arange(len(other)), keep, word_tokens(scorer, [other])[0]),
    ]
    prune(drafts, scorer, question)  # in one batch; the reference reads one by one
    assert tokens[chosen].sum() > 5 * 48  # several windows
    assert drafts[0].start > 0 or keep < 0.5  # the context was cut
    for draft in drafts:
        kept, values = plain_prune(tiny, draft.words, draft.chosen.tolist(), keep, question, 48)
        found = {int(w): float(draft.value[w]) for w in draft.chosen}
        np.testing.assert_allclose([found[w] for w in values], list(values.values()), atol=4e-3)
        assert set(np.flatnonzero(draft.kept).tolist()) == kept


@pytest.mark.parametrize("name", SCORERS)
def test_ranks_are_those_of_the_plain_reference(tiny: Tiny, name: str) -> None:
    scorer = SCORERS[name](tiny)
    texts = [TEXT[:60], TEXT[60:130], "gate"]
    expected = [plain_nats(tiny, t + LEAD, QUESTION + RESTRICTION).mean() for t in texts]
    np.testing.assert_allclose(question_nats(scorer, texts, QUESTION), expected, atol=2e-3)
    [(mean, parts)] = own_nats(scorer, [TEXT[:130]], [[60, 130]])
    nats = plain_nats(tiny, "", TEXT[:130])
    np.testing.assert_allclose(mean, nats.mean(), atol=2e-3)
    [spans] = scorer.token_spans([TEXT[:130]])
    first = np.array([end <= 60 for _, end in spans])
    np.testing.assert_allclose(parts, [nats[first].mean(), nats[~first].mean()], atol=2e-3)


def test_a_token_belongs_to_the_part_of_its_last_character() -> None:
    nats = np.array([1.0, 2.0, 4.0, 8.0, 3.0])
    found = part_means(nats, [(0, 2), (2, 5), (5, 5), (5, 9), (9, 10)], [4, 6, 8, 10])
    assert found.tolist() == [1.0, 3.0, 8.0, 5.5]


def test_sentences_are_taken_from_the_pool() -> None:
    ranks = [np.array([3.0, 1.0]), np.array([2.0, 1.0])]
    sizes = [np.array([10.0, 10.0]), np.array([10.0, 10.0])]
    taken = pool_sentences(np.array([5.0, 4.0]), ranks, sizes, 25)
    assert [t.tolist() for t in taken] == [[0.0, 1.0], [1.0, 1.0]]  # equals: the better segment first
    taken = pool_sentences(np.array([5.0, 4.0]), ranks, sizes, 10)
    assert [t.tolist() for t in taken] == [[0.0, 0.0], [0.0, 1.0]]


def test_shares_fall_with_the_rank_and_meet_the_budget() -> None:
    tokens = np.array([100.0, 100.0, 0.0, 100.0])
    shares = dynamic_shares(np.array([2.0, 1.0, 0.0, 3.0]), tokens, 150, 0.2)
    np.testing.assert_allclose(shares, [0.5, 0.7, 0.0, 0.3], atol=1e-6)
    np.testing.assert_allclose(dynamic_shares(np.zeros(2), np.array([10.0, 30.0]), 99, 0.3), [1.0, 1.0])
    assert dynamic_shares(np.zeros(2), np.zeros(2), 5, 0.3).tolist() == [0.0, 0.0]


@pytest.fixture
def package(tiny: Tiny, tmp_path: Path) -> Any:
    """The llmlingua package's compressor over the tiny model. Its constructor would look for files in the network."""
    llmlingua: Any = pytest.importorskip("llmlingua")
    from tokenizers.processors import TemplateProcessing

    model, tokenizer = loaded(tiny)
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<|bos|> $A", special_tokens=[("<|bos|>", tokenizer.bos_token_id)]
    )
    made = llmlingua.PromptCompressor.__new__(llmlingua.PromptCompressor)
    made.model, made.tokenizer, made.device = model, tokenizer, "cpu"
    made.max_position_embeddings = CONFIG.max_position_embeddings
    return made


def test_coarse_ranking_is_that_of_the_llmlingua_package(tiny: Tiny, package: Any) -> None:
    texts = [
        "The gate of the north lock opens at six.",
        "The keeper writes the level of the water in a blue book, line by line.",
        "When the wind turns, the lower gate is closed first.",
        "Der Schleusenwärter notiert den Pegel.",
    ]
    ranked = package.get_rank_results(texts, QUESTION, "longllmlingua", "after", [0] * len(texts))
    found = question_nats(hugging_face(tiny), texts, QUESTION, lead="")
    assert [i for i, _ in ranked] == np.argsort(found).tolist()
    np.testing.assert_allclose([float(r) for _, r in ranked], np.sort(found), atol=1e-3)
    np.testing.assert_allclose(question_nats(embedded(tiny), texts, QUESTION, lead=""), found, atol=2e-3)


def test_ranking_without_a_question_is_that_of_the_llmlingua_package(tiny: Tiny, package: Any) -> None:
    texts = [TEXT[:60], TEXT[60:130], "The lower gate is closed."]
    ranked = package.get_rank_results(texts, "", "llmlingua", "none", [0] * len(texts))
    found = [mean for mean, _ in own_nats(hugging_face(tiny), texts, [[len(t)] for t in texts])]
    # The package asks after its statement alone without a question: its own perplexity is `get_ppl`.
    own = [float(package.get_ppl(t)) for t in texts]
    np.testing.assert_allclose(found, own, atol=1e-3)
    assert len(ranked) == len(texts)
