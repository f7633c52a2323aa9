"""Which segments and sentences a question needs, by the likelihood of the question after each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ctxshrink.scorers import TokenScorer
from ctxshrink.types import Scorer

RESTRICTION = " We can get the answer to this question in the given documents."
"""The restrictive statement behind the question (LongLLMLingua, arXiv 2310.06839, section 4.1): it ties the question to
the text before it and works against likelihoods that the model makes up on its own."""

LEAD = "\n\nQuestion: "
"""Stands between a text and the question. The paper has nothing there; chosen on 40 dev records with the embedded
scorer, which ranked the document with the answer higher with it."""

Floats = NDArray[np.float64]


def question_nats(scorer: Scorer, texts: Sequence[str], question: str, lead: str = LEAD) -> Floats:
    """r_k of LongLLMLingua (section 4.1): mean nats of the question's tokens after each text.

    Args:
        scorer: The model.
        texts: Documents, or sentences.
        question: The question, without `RESTRICTION`.
        lead: What stands between them.

    Returns:
        Shape (texts,); the lowest is the most relevant.
    """
    asked = question + RESTRICTION
    return np.array([_mean(n) for n in scorer.nll([(text + lead, asked) for text in texts])], dtype=np.float64)


def own_nats(scorer: TokenScorer, texts: Sequence[str], parts: Sequence[Sequence[int]]) -> list[tuple[float, Floats]]:
    """Mean nats of texts and of parts of them, each text read once from its start; for where there is no question.

    Args:
        scorer: The model.
        texts: What is read.
        parts: For each text where its parts end, ascending, at least one.

    Returns:
        For each text its mean and the means of its parts, shape (parts,); 0 where no token ends.
    """
    both = zip(scorer.nll([("", t) for t in texts]), scorer.token_spans(texts), parts, strict=True)
    return [(_mean(nats), part_means(nats, spans, ends)) for nats, spans, ends in both]


def part_means(nats: NDArray[np.floating], spans: Sequence[tuple[int, int]], ends: Sequence[int]) -> Floats:
    """Mean of the nats of the tokens of each part of a text.

    A token belongs to the part that its last character stands in. A part in which no token ends has the nats of the
    token that its own last character stands in.

    Args:
        nats: Of every token, shape (tokens,).
        spans: Where they stand; they tile the text.
        ends: Where the parts end, ascending; the last is the text's length.

    Returns:
        Shape (parts,); 0 for all where there are no tokens.
    """
    if not len(nats):
        return np.zeros(len(ends))
    until = np.array([end for _, end in spans], dtype=np.int64)
    part = np.searchsorted(np.asarray(ends, dtype=np.int64), np.maximum(0, until - 1), side="right")
    part = np.minimum(part, len(ends) - 1)
    total = np.bincount(part, weights=nats.astype(np.float64), minlength=len(ends))
    count = np.bincount(part, minlength=len(ends))
    over = np.searchsorted(until, np.maximum(0, np.asarray(ends, dtype=np.int64) - 1), side="right")
    within = nats.astype(np.float64)[np.minimum(over, len(nats) - 1)]
    return np.where(count > 0, total / np.maximum(1, count), within)


def pool_sentences(
    segment_rank: Floats, sentence_rank: Sequence[Floats], sizes: Sequence[Floats], budget: float
) -> list[Floats]:
    """Which sentences are taken: the best of all segments until they have ``budget`` tokens.

    Args:
        segment_rank: Of each segment, lower is more relevant; decides between equals.
        sentence_rank: Of each sentence of each segment.
        sizes: Tokens of each sentence.
        budget: Tokens.

    Returns:
        For each segment 1 for the sentences that are taken and 0 for the others.
    """
    out = [np.zeros(len(s)) for s in sizes]
    flat = [
        (float(r), float(segment_rank[i]), i, k) for i, rank in enumerate(sentence_rank) for k, r in enumerate(rank)
    ]
    spent = 0.0
    for _, _, i, k in sorted(flat):
        if spent >= budget:
            break
        out[i][k] = 1.0
        spent += float(sizes[i][k])
    return out


def dynamic_shares(rank: Floats, tokens: Floats, budget: float, spread: float) -> Floats:
    """Dynamic compression ratios (LongLLMLingua, section 4.3): what share of each text is kept falls with its rank.

    The shares run evenly from τ + δ for the best text to τ - δ for the last one, within [0, 1], and are scaled by one
    factor so that they add up to the budget.

    Args:
        rank: Lower is more relevant, shape (texts,).
        tokens: Tokens of each text; those without any get no share, shape (texts,).
        budget: Tokens to keep.
        spread: δ, >= 0.

    Returns:
        Shares in [0, 1], shape (texts,).
    """
    out = np.zeros(len(tokens))
    order = np.argsort(rank, kind="stable")
    order = order[tokens[order] > 0]
    total = float(tokens.sum())
    if budget <= 0 or not len(order):
        return out
    places = np.linspace(1.0, -1.0, len(order)) if len(order) > 1 else np.zeros(1)
    wanted = np.clip(min(1.0, budget / total) + spread * places, 0.0, 1.0)
    low, high = 0.0, 1.0 / max(1e-6, float(wanted[wanted > 0].min()))
    for _ in range(60):
        middle = (low + high) / 2
        fits = float((np.minimum(1.0, middle * wanted) * tokens[order]).sum()) <= budget
        low, high = (middle, high) if fits else (low, middle)
    out[order] = np.minimum(1.0, low * wanted)
    return out


def _mean(nats: NDArray[np.float32]) -> float:
    return float(nats.astype(np.float64).mean()) if len(nats) else 0.0
