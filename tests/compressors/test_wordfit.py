"""The best words under a budget: counted, whole, with the facts of their sentences."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.compressors._wordfit import select_words
from ctxshrink.compressors._words import split_words
from ctxshrink.testing import SAMPLES, WordCounter, call_for, check_compressor, jobs_for
from ctxshrink.tokens import resolve_counter
from ctxshrink.types import Call, Candidate, Job, TokenCounter

NOUNS, VERBS, REST = (
    row.split()
    for row in (
        "harbour office crane boat diary permit ticket museum engine bridge river garden letter storm island",
        "opened closed moved carried repaired sold painted found lost described measured crossed",
        "old green quiet heavy nearly often again slowly with under behind between the a some its their",
    )
)


def prose(words: int, seed: int = 0) -> str:
    """Sentences with some numbers, ids and negations."""
    draw = random.Random(seed)
    out: list[str] = []
    while words > 0:
        said = [draw.choice(REST if i % 2 else NOUNS) for i in range(draw.randint(4, 18))]
        said.insert(2, draw.choice(VERBS))
        if draw.random() < 0.3:
            said.insert(
                3, draw.choice(["not", "never", str(draw.randint(1, 9999)), f"INV-{draw.randint(1, 999)}", "5 km"])
            )
        words -= len(said)
        out.append(" ".join(said).capitalize() + ("," if draw.random() < 0.1 else ".") + draw.choice([" ", " ", "\n"]))
    return "".join(out)


class Drawn:
    """Scores drawn by the text's length: enough for the contract."""

    name = "drawn"

    def __init__(self, core: float = 0.3) -> None:
        self.core = core

    def compress(self, jobs: list[Job], call: Call, /) -> list[Candidate]:
        words = [split_words(job.segment.text) for job in jobs]
        scores = [np.random.default_rng(len(w)).random(len(w)) for w in words]
        return select_words(jobs, words, scores, call, core=self.core)


@pytest.mark.parametrize("core", [0.0, 0.3, 1.0])
def test_contract(core: float) -> None:
    check_compressor(Drawn(core))


@pytest.mark.parametrize("keep", [0.1, 0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize(
    "counter", [WordCounter(), resolve_counter("embedded"), resolve_counter(lambda t: len(t) // 3)]
)
def test_the_budget_is_met_and_used(keep: float, counter: TokenCounter) -> None:
    for texts in ([prose(3000)], [prose(40, i) for i in range(30)]):
        call = call_for(texts, counter=counter)
        jobs = jobs_for(call, keep)
        used = sum(counter.count([c.text for c in Drawn().compress(jobs, call)]))
        asked = sum(job.max_tokens for job in jobs)
        assert 0.98 * asked <= used <= asked


def test_facts_of_a_kept_sentence_stay() -> None:
    text = prose(400)
    words = split_words(text)
    [job] = jobs_for(call := call_for([text]), 0.3)
    [made] = select_words([job], [words], [np.random.default_rng(1).random(len(words))], call)
    assert made.spans
    kept = np.array([any(s <= a and b <= e for s, e in made.spans) for a, b in words.spans])
    entered = set(words.unit[kept & ~words.end].tolist())
    assert 5 < len(entered) < len(set(words.unit.tolist()))
    assert all(kept[i] == (words.unit[i] in entered) for i in np.flatnonzero(words.must))


def test_a_sentence_goes_where_its_facts_do_not_fit() -> None:
    text = "It rained today. The codes are 1931, 2291, 4500, 8812, 7345 and 9921, never 17. We stayed at home."
    words = split_words(text)
    scores = np.where(words.unit == 1, 0.9, 0.1)
    call = call_for([text])
    for budget in range(4, 12):
        [made] = select_words([Job(call.segments[0], 0.3, budget)], [words], [scores], call)
        assert "1931" not in made.text
        assert made.text
    [made] = select_words([Job(call.segments[0], 0.6, 16)], [words], [scores], call)
    assert all(code in made.text for code in ("1931", "2291", "4500", "8812", "7345", "9921", "never 17."))


def test_the_best_words_of_a_sentence_stay() -> None:
    text = "one two three four five six seven eight nine ten"
    words = split_words(text)
    call = call_for([text])
    scores = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.1, 0.6, 0.1, 0.5])
    [made] = select_words(jobs_for(call, 0.5), [words], [scores], call)
    assert made == Candidate("two four six eight ten", ((4, 7), (14, 18), (24, 27), (34, 39), (45, 48)))
    scores[1] = np.nan
    [made] = select_words(jobs_for(call, 0.4), [words], [scores], call)
    assert made.text == "four six eight ten"


def test_what_one_job_leaves_over_goes_to_another() -> None:
    texts = ["INV-1, INV-2, INV-3, INV-4", "one two three four five six seven eight nine ten"]
    words = [split_words(t) for t in texts]
    call = call_for(texts)
    jobs = [Job(call.segments[0], 0.3, 3), Job(call.segments[1], 0.3, 3)]
    first, second = select_words(jobs, words, [np.ones(len(w)) for w in words], call)
    assert first.text == ""
    assert len(second.text.split()) == 6


def test_all_of_a_text_where_it_fits() -> None:
    text = " \n" + prose(30) + "\t"
    call = call_for([text])
    [made] = select_words(jobs_for(call, 1.0), [split_words(text)], [np.zeros(len(split_words(text)))], call)
    assert made == Candidate(text, ((0, len(text)),))


def test_no_jobs_and_no_words() -> None:
    call = call_for(["", " "])
    assert select_words([], [], [], call) == []
    made = select_words(jobs_for(call, 0.5), [split_words(""), split_words(" ")], [np.zeros(0)] * 2, call)
    assert [c.text for c in made] == ["", ""]


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from([*SAMPLES, prose(20), "他没有来。", "…", "a b c"]), min_size=1, max_size=5),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_any_batch_keeps_its_budget(texts: list[str], keep: float, core: float) -> None:
    call = call_for(texts, kind="user", empty="…")
    jobs = jobs_for(call, keep)
    out = Drawn(core).compress(jobs, call)
    sizes = call.counter.count([c.text for c in out])
    assert sum(sizes) <= max(sum(j.max_tokens for j in jobs), sum(call.counter.count([s.empty for s in call.segments])))
    assert all(size <= call.tokens[s.id] for size, s in zip(sizes, call.segments, strict=True))
