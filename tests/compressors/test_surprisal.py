"""The surprisal compressor over the embedded scorer: budgets, whole words, facts, and what it leaves alone."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink import Shrinker
from ctxshrink.compressors import surprisal as module
from ctxshrink.compressors.extractive import ExtractiveCompressor
from ctxshrink.compressors.surprisal import SurprisalCompressor
from ctxshrink.errors import ConfigError
from ctxshrink.facts import facts, folded
from ctxshrink.scorers import EmbeddedScorer
from ctxshrink.testing import FakeScorer, WordCounter, call_for, check_compressor, jobs_for
from ctxshrink.text import protected_spans
from ctxshrink.tokens import resolve_counter
from ctxshrink.types import Call, Candidate, Compressor, Goal, Job, Kind, Ranker, Segment
from tests.strategies import ODD

HARBOUR = (
    "The harbour office opened in 1931. Its first director was Ann Lindt, who kept a diary of everything that happened "
    "in the port. The diary is lost. Payments are due on 3 May 2024 and must never exceed $4,500.00. See "
    "https://port.example/a?b=1 for details. Boats over 12 m need permit INV-2291. Visitors like the small café."
)
LIBRARY = (
    "The city library holds many old books, and the oldest of these was printed in Mainz by a pupil of the inventor. "
    "It is shown once a year. Readers need a card, which the clerk at the door gives to everybody who asks for one."
)
CHINESE = "港口办公室于1931年成立。第一任主任是林安。她写日记。日记已经丢失。费用必须在2024年5月3日之前支付。"
QUESTION = "Who was the first director of the harbour office?"
DOCS = [LIBRARY, HARBOUR, CHINESE]

SHARED = SurprisalCompressor()


def compress(texts: Sequence[str], keep: float, query: str | None = None, **changes: object) -> list[Candidate]:
    call = call_for(texts, query, resolve_counter("embedded"), **changes)
    return SHARED.compress(jobs_for(call, keep), call)


def test_it_is_a_compressor_that_ranks() -> None:
    assert isinstance(SHARED, Compressor)
    assert isinstance(SHARED, Ranker)
    assert SHARED.name == "surprisal"
    assert "EmbeddedScorer" in repr(SHARED)


def test_a_scorer_without_offsets_is_refused() -> None:
    wrong: Any = FakeScorer()
    with pytest.raises(ConfigError, match="token_spans"):
        SurprisalCompressor(wrong)


@pytest.mark.parametrize("query", [None, QUESTION, " "])
def test_the_shipped_checks_accept_it(query: str | None) -> None:
    check_compressor(SHARED, DOCS, query)


@pytest.mark.parametrize("query", [None, QUESTION])
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.25, 0.5, 0.8, 1.0])
def test_the_budget_holds_and_is_used(keep: float, query: str | None) -> None:
    counter = resolve_counter("embedded")
    call = call_for(DOCS, query, counter)
    jobs = jobs_for(call, keep)
    made = SHARED.compress(jobs, call)
    assert all(c.error is None for c in made)
    used, budget = sum(counter.count([c.text for c in made])), sum(j.max_tokens for j in jobs)
    assert used <= budget
    if keep >= 0.25:
        assert used >= 0.9 * budget
    if keep == 1.0:
        assert [c.text for c in made] == DOCS


@pytest.mark.parametrize("query", [None, QUESTION])
def test_what_is_kept_is_verbatim_whole_words_in_order(query: str | None) -> None:
    for keep in (0.2, 0.4, 0.7):
        for text, made in zip(DOCS, compress(DOCS, keep, query), strict=True):
            assert made.spans is not None
            ends = [edge for span in made.spans for edge in span]
            assert ends == sorted(ends)
            assert re.sub(r"\s", "", made.text) == re.sub(r"\s", "", "".join(text[s:e] for s, e in made.spans))
            assert set(re.findall(r"[A-Za-z]+", made.text)) <= set(re.findall(r"[A-Za-z]+", text))
            assert not [1 for s, e in protected_spans(text) for cut in ends if s < cut < e]


@pytest.mark.parametrize("query", [None, QUESTION])
def test_facts_stay_while_anything_of_their_sentence_does(query: str | None) -> None:
    sentences = re.findall(r"[^.]+(?:\.[^ .][^.]*)*\.", HARBOUR)
    assert len(sentences) == 7
    seen = 0
    for keep in (0.3, 0.5, 0.7):
        [made] = compress([HARBOUR], keep, query)
        assert made.spans is not None
        for sentence in sentences:
            start = HARBOUR.index(sentence)
            parts = [HARBOUR[s:e] for s, e in made.spans if s < start + len(sentence) and e > start]
            if parts:
                told = folded(made.text)
                lost = [f for _, f in facts(sentence, frozenset({"number", "date", "id"})) if f not in told]
                assert not lost
                seen += 1
    assert seen >= 6


def test_the_segment_that_answers_gets_the_largest_share() -> None:
    call = call_for(DOCS, QUESTION, resolve_counter("embedded"))
    shares = SHARED.relevance(call.segments, 0.3, call)
    assert shares.index(max(shares)) == 1
    [_, made, _] = SHARED.compress(
        [Job(s, x, int(x * call.tokens[s.id])) for s, x in zip(call.segments, shares, strict=True)], call
    )
    assert "Ann Lindt" in made.text


@settings(max_examples=15, deadline=None)
@given(keep=st.floats(0, 1), order=st.permutations(range(4)), query=st.sampled_from([None, QUESTION]))
def test_shares_add_up_to_the_budget(keep: float, order: list[int], query: str | None) -> None:
    texts = [[*DOCS, ""][i] for i in order]
    call = call_for(texts, query, resolve_counter("embedded"))
    shares = SHARED.relevance(call.segments, keep, call)
    assert all(0 <= x <= 1 for x in shares)
    total = sum(call.tokens.values())
    spent = sum(x * call.tokens[s.id] for x, s in zip(shares, call.segments, strict=True))
    assert keep * total * 0.95 - 1 <= spent <= keep * total + 1
    assert SHARED.relevance([], keep, call) == []


def test_a_retry_of_one_segment_gives_the_same_bytes() -> None:
    counter = resolve_counter("embedded")
    first = call_for(DOCS, QUESTION, counter)
    SHARED.relevance(first.segments, 0.5, first)
    SHARED.compress(jobs_for(first, 0.4), first)
    job = jobs_for(first, 0.4)[1]
    fresh = call_for(DOCS, QUESTION, counter)
    assert SHARED.compress([job], first) == SHARED.compress([job], fresh)
    uncached = SurprisalCompressor(EmbeddedScorer(cache=False))
    assert uncached.compress([job], call_for(DOCS, QUESTION, counter)) == SHARED.compress([job], fresh)


def test_threads_share_it() -> None:
    def work(keep: float) -> list[Candidate]:
        return compress(DOCS, keep, QUESTION)

    keeps = [0.2, 0.3, 0.5, 0.7] * 3
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, keeps)) == [work(keep) for keep in keeps]


@pytest.mark.parametrize("kind", ["tool_result", "tool_call"])
def test_tool_traffic_is_left_alone(kind: Kind) -> None:
    for made in compress(DOCS, 0.5, QUESTION, kind=kind):
        assert made.error is not None
        assert kind in made.error


@pytest.mark.parametrize("content_type", ["json", "log", "code", "diff", "table", "html"])
def test_only_prose_is_pruned(content_type: str) -> None:
    [made] = compress([HARBOUR], 0.5, QUESTION, content_type=content_type)
    assert made.error is not None
    assert content_type in made.error


def test_the_next_compressor_takes_what_is_left_alone() -> None:
    table = "| port | boats |\n|---|---|\n" + "\n".join(f"| P{i} | {20 + i} |" for i in range(30))
    shrinker = Shrinker(compressors=[SHARED, ExtractiveCompressor()], guardrail=None)
    result = shrinker.shrink_documents([HARBOUR, table, LIBRARY], query=QUESTION, keep=0.2)
    prose, other, _ = result.decisions
    assert prose.attempts[0].compressor == "surprisal"
    assert prose.attempts[0].ok
    assert [a.compressor for a in other.attempts if a.ok] in (["extractive"], [])
    assert any("table" in (a.error or "") for a in other.attempts)
    assert result.tokens_after <= result.tokens_before


def test_an_expired_call_is_not_read() -> None:
    call = call_for(DOCS, QUESTION, resolve_counter("embedded"))
    late = replace(call, deadline=time.monotonic() - 1, cache={})
    assert all("deadline" in (c.error or "") for c in SHARED.compress(jobs_for(call, 0.5), late))


def test_more_than_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    call = call_for([HARBOUR, LIBRARY, CHINESE], QUESTION, WordCounter())
    monkeypatch.setattr(module, "READ", call.tokens["0"] + call.tokens["1"])
    made = SHARED.compress(jobs_for(call, 0.5), call)
    assert [c.error is None for c in made] == [True, True, False]
    shares = SHARED.relevance(call.segments, 0.5, call)
    assert all(0 <= x <= 1 for x in shares)
    assert shares[2] < shares[0]


def test_locked_segments_are_not_read() -> None:
    counter = resolve_counter("embedded")
    segments = (Segment("a", HARBOUR, lock_reason="pinned"), Segment("b", LIBRARY))
    tokens = dict(zip("ab", counter.count([HARBOUR, LIBRARY]), strict=True))
    call = Call(segments, tokens, counter, Goal(keep=0.5), QUESTION)
    assert len(SHARED.relevance([segments[1]], 0.5, call)) == 1
    [made] = SHARED.compress([Job(segments[1], 0.5, tokens["b"] // 2)], call)
    assert made.error is None


LONG = ("a" * 1_000_000, ". " * 200, "x " * 600, "\r\n\u2028\u2029\x85 a", "`" * 3000, "| a | b |\n" * 50, "他" * 800)


@pytest.mark.parametrize("text", [*ODD, *LONG], ids=lambda t: ascii(t[:12]))
def test_odd_texts(text: str) -> None:
    for query in (None, "why " * 400, "\ud800\x00"):
        call = call_for([text, LIBRARY], query, resolve_counter("embedded"))
        jobs = jobs_for(call, 0.5)
        made = SHARED.compress(jobs, call)
        sizes = call.counter.count([c.text for c in made])
        assert sum(sizes) <= sum(j.max_tokens for j in jobs)
        assert (made[0].error is None) == (len(text) < 100_000)  # more tokens than it reads
        assert made[1].error is None
        assert len(SHARED.relevance(call.segments, 0.5, call)) == 2


@settings(max_examples=15, deadline=None)
@given(
    texts=st.lists(
        st.lists(
            st.sampled_from(
                ["Ann paid $4.50. ", "It rained. ", "\n", "- item\n", "他来了。", "```\n", "\x00", "…", "\ud800 "]
            ),
            max_size=12,
        ).map("".join),
        min_size=1,
        max_size=4,
    ),
    keep=st.floats(0, 1),
    query=st.sampled_from([None, "", "Who paid?"]),
)
def test_any_batch(texts: list[str], keep: float, query: str | None) -> None:
    check = call_for(texts, query, resolve_counter("embedded"))
    jobs = jobs_for(check, keep)
    made = SHARED.compress(jobs, check)
    sizes = check.counter.count([c.text for c in made])
    assert sum(sizes) <= sum(j.max_tokens for j in jobs)
    for job, candidate, size in zip(jobs, made, sizes, strict=True):
        assert size <= check.tokens[job.segment.id]
        assert all(job.segment.text[s:e] in candidate.text for s, e in candidate.spans or ())
