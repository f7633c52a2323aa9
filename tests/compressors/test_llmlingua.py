"""LLMLingua-2 with tiny models of both architectures: budget, long texts, threads, what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctxshrink import Shrinker
from ctxshrink._deadline import DeadlineExceeded
from ctxshrink.compressors._words import split_words
from ctxshrink.testing import call_for, check_compressor, jobs_for
from ctxshrink.text import protected_spans
from ctxshrink.tokens import resolve_counter
from ctxshrink.types import Call, Candidate, Job, Segment

from .test_wordfit import prose
from .token_models import TEXT, Family, build

pytest.importorskip("llmlingua")

from ctxshrink.compressors.llmlingua import LLMLingua2Compressor

COUNTER = resolve_counter("embedded")


def shrink(compressor: LLMLingua2Compressor, texts: list[str], keep: float) -> tuple[list[Candidate], Call]:
    call = call_for(texts, counter=COUNTER)
    return compressor.compress(jobs_for(call, keep), call), call


def test_contract(compressor: LLMLingua2Compressor) -> None:
    check_compressor(compressor)


def test_what_is_kept_depends_on_the_model(folder: Path, family: Family, tmp_path: Path) -> None:
    other = LLMLingua2Compressor(build(family, tmp_path / "other", seed=1))
    [a], _ = shrink(LLMLingua2Compressor(str(folder)), [TEXT], 0.5)
    [b], _ = shrink(other, [TEXT], 0.5)
    assert a != b


@pytest.mark.parametrize("size", [5_000, 20_000])
def test_long_texts_meet_the_budget(compressor: LLMLingua2Compressor, size: int) -> None:
    text = prose(int(size * 0.8), seed=size)
    call = call_for([text], counter=COUNTER)
    assert size * 0.9 < call.tokens["0"] < size * 1.6
    for keep in (0.1, 0.25, 0.5, 0.75, 0.9):
        [job] = jobs_for(call, keep)
        [made] = compressor.compress([job], call)
        [used] = COUNTER.count([made.text])
        assert 0.98 * job.max_tokens <= used <= job.max_tokens
        assert made.spans
        assert not protected_cuts(text, made)


def test_many_texts_meet_the_budget(compressor: LLMLingua2Compressor) -> None:
    call = call_for([prose(60, seed) for seed in range(40)], counter=COUNTER)
    for keep in (0.1, 0.25, 0.5, 0.75, 0.9):
        jobs = jobs_for(call, keep)
        made = compressor.compress(jobs, call)
        asked = sum(job.max_tokens for job in jobs)
        assert 0.98 * asked <= sum(COUNTER.count([c.text for c in made])) <= asked


def protected_cuts(text: str, made: Candidate) -> list[int]:
    cuts = sorted({edge for span in made.spans or () for edge in span})
    return [
        cut
        for s, e in protected_spans(text)
        for cut in cuts[np.searchsorted(cuts, s, "right") : np.searchsorted(cuts, e)]
        if text[s:cut].strip() and text[cut:e].strip()
    ]


def test_numbers_names_and_negations_stay_with_their_sentence(compressor: LLMLingua2Compressor) -> None:
    words = split_words(TEXT)
    for keep in (0.2, 0.4, 0.6, 0.8):
        [made], _ = shrink(compressor, [TEXT], keep)
        assert not protected_cuts(TEXT, made)
        ends = [a + len(TEXT[a:b].rstrip(",;:")) for a, b in words.spans]  # a mark before the end of a sentence may go
        starts = [a for a, _ in words.spans]
        kept = np.array(
            [any(s <= a and b <= e for s, e in made.spans or ()) for a, b in zip(starts, ends, strict=True)]
        )
        entered = set(words.unit[kept].tolist())
        assert all(kept[i] for i in np.flatnonzero(words.must) if words.unit[i] in entered)


def test_ten_callers_get_what_one_gets(compressor: LLMLingua2Compressor) -> None:
    texts = [[prose(100 + 50 * i, i), prose(80, 100 + i)] for i in range(10)]
    alone = [shrink(compressor, row, 0.4)[0] for row in texts]
    with ThreadPoolExecutor(10) as pool:
        for _ in range(2):
            together = list(pool.map(lambda row: shrink(compressor, row, 0.4)[0], texts))
            assert together == alone


def test_a_retry_of_one_segment_repeats_itself(compressor: LLMLingua2Compressor) -> None:
    call = call_for([prose(400, 1), prose(50, 2), prose(700, 3)], counter=COUNTER)
    jobs = jobs_for(call, 0.4)
    for job in jobs:
        [alone] = compressor.compress([job], call_for([s.text for s in call.segments], counter=COUNTER))
        [again] = compressor.compress([job], call)
        assert alone == again


def test_a_job_whose_segment_is_not_of_the_call(compressor: LLMLingua2Compressor) -> None:
    call = call_for([prose(50, 1)], counter=COUNTER)
    compressor.compress(jobs_for(call, 0.5), call)
    other = Segment("0", prose(50, 2))
    [made] = compressor.compress([Job(other, 0.5, 20)], call)
    assert made.text
    assert all(other.text[s:e] in made.text for s, e in made.spans or ())


def test_a_deadline_that_has_passed(compressor: LLMLingua2Compressor) -> None:
    call = replace(call_for([TEXT], counter=COUNTER), deadline=0.0)
    with pytest.raises(DeadlineExceeded):
        compressor.compress(jobs_for(call, 0.5), call)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "tool_call"}, "tool call"),
        ({"kind": "tool_result"}, "tool result"),
        *(({"content_type": t}, t) for t in ("json", "log", "code", "diff", "table", "html")),
    ],
)
def test_only_prose(compressor: LLMLingua2Compressor, changes: dict[str, str], said: str) -> None:
    call = call_for([TEXT], counter=COUNTER, **changes)
    mixed = Call((*call.segments, Segment("p", TEXT)), {**call.tokens, "p": call.tokens["0"]}, COUNTER)
    refused, made = compressor.compress(jobs_for(mixed, 0.5), mixed)
    assert refused.error is not None
    assert said in refused.error
    assert made.error is None
    assert made.text


def test_in_a_shrinker(compressor: LLMLingua2Compressor) -> None:
    result = Shrinker(compressors=[compressor], guardrail=None).shrink_documents([TEXT, prose(200)], keep=0.5)
    assert result.tokens_after <= 0.5 * result.tokens_before
    assert all(d.action == "compressed" and d.spans for d in result.decisions)
    judged = Shrinker(compressors=[compressor]).shrink_documents([TEXT, prose(200)], query="the codes?", keep=0.5)
    attempts = [a for d in judged.decisions for a in d.attempts]
    assert attempts
    assert all(a.compressor == "llmlingua2" and a.error is None and a.verdict is not None for a in attempts)
