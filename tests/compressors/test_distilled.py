"""Distilled versions at query time: served from the store, made where they are missing, judged for the question."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ctxshrink import KeepRatio, PerplexityGuardrail, Shrinker
from ctxshrink.compressors.distilled import DistillCompressor
from ctxshrink.distill import Source, content_hash, recipe_key
from ctxshrink.errors import ConfigError
from ctxshrink.pipeline.batch import distill_batch
from ctxshrink.store import Store, reference
from ctxshrink.testing import ScriptedGuardrail, WordCounter, call_for, check_compressor
from ctxshrink.types import Compressor, Job, Ranker
from tests.pipeline.doubles import BrokenStore, FirstHalf

CRANE = (
    "The crane at quay 3 lifts at most 40 tonnes. It was painted yellow by the harbour's own painters in the spring. "
    "It must not be used in wind above 17 m/s. The terrace offers a fine view of it on sunny days. "
    "Visitors like to take photographs there, and children wave at the ships. Nobody is paid for that."
)
OFFICE = (
    "The office opens at eight and closes at four. Letters are answered within a week. The bell is loud and old. "
    "On Fridays the office closes at two. Parcels are kept in the cellar. The cat of the caretaker sleeps there."
)
PERMIT = (
    "Boats longer than 12 m need a permit. The permit costs 30 euros and is sold at the gate. The harbour was founded "
    "in 1931. Its first director kept a diary. The diary is lost. A small museum shows her desk."
)


def quick(*compressors: Compressor | str, guardrail: object = None, keep: float = 0.6) -> Shrinker:
    return Shrinker(
        policy=KeepRatio(keep),
        compressors=list(compressors),
        guardrail=guardrail,  # type: ignore[arg-type]
        counter=WordCounter(),
    )


def test_it_is_a_compressor_that_does_not_rank() -> None:
    compressor = DistillCompressor(FirstHalf())
    assert isinstance(compressor, Compressor)
    assert not isinstance(compressor, Ranker)
    assert compressor.name == "distill"
    assert "FirstHalf" in repr(compressor)


def test_a_stored_version_is_served() -> None:
    store, offline, online = Store.memory(), FirstHalf(), FirstHalf()
    distill_batch([Source(CRANE, uri="crane.txt")], offline, store)
    result = quick(DistillCompressor(online, store)).shrink_text(CRANE, "Who painted the crane?")
    assert online.asked == []
    assert result.output == offline.distill([Source(CRANE)])[0].text
    [decision] = result.decisions
    assert decision.action == "compressed"
    assert decision.reason == "distill at keep 0.59 of the distilled version (first-half)"
    assert decision.spans == ((0, len(result.output)),)
    assert not decision.rewritten


def test_a_missing_version_is_made_once_and_stored() -> None:
    store, distiller = Store.memory(), FirstHalf()
    shrinker = quick(DistillCompressor(distiller, store))
    first = shrinker.shrink_documents([CRANE, OFFICE, CRANE], "When does the office close?")
    assert distiller.asked == [[CRANE, OFFICE]]
    found = store.get([content_hash(CRANE), content_hash(OFFICE)], recipe_key(distiller.recipe))
    assert [row.distillate.text for row in found.values()] == first.output[:2]
    assert store.load(found[content_hash(OFFICE)].original) == OFFICE
    again = shrinker.shrink_documents([CRANE, OFFICE, CRANE], "When does the office close?")
    assert len(distiller.asked) == 1
    assert (again.output, [d.reason for d in again.decisions]) == (first.output, [d.reason for d in first.decisions])


def test_a_version_is_judged_once_in_a_call() -> None:
    distiller, guardrail = FirstHalf(), ScriptedGuardrail([False])
    result = quick(DistillCompressor(distiller), "lead", guardrail=guardrail).shrink_text(CRANE)
    [decision] = result.decisions
    assert [(a.compressor, a.error) for a in decision.attempts] == [
        ("distill", None),
        ("distill", "the distilled version, which has one size, was judged before"),
        ("lead", None),
    ]
    assert len(guardrail.seen) == 2
    assert distiller.asked == [[CRANE]]


def test_other_words_are_marked() -> None:
    guardrail = ScriptedGuardrail()
    result = quick(DistillCompressor(FirstHalf(words=True)), guardrail=guardrail).shrink_text(CRANE)
    [trial] = guardrail.seen
    assert trial.rewritten
    assert trial.spans is None
    assert result.decisions[0].rewritten
    assert result.output.isupper()


def test_the_guardrail_judges_the_stored_version_for_the_question() -> None:
    store = Store.memory()
    documents = [CRANE, OFFICE, PERMIT]
    distill_batch([Source(text) for text in documents], FirstHalf(), store)
    offline = [made.text for made in FirstHalf().distill([Source(text) for text in documents])]
    shrinker = Shrinker(
        compressors=[DistillCompressor(FirstHalf(), store, only_stored=True), "pruner", "extractive"],
        guardrail=PerplexityGuardrail(),
    )
    served = shrinker.shrink_documents(documents, "What does the permit for boats longer than 12 m cost?", keep=0.7)
    assert served.output == [offline[0], offline[1], PERMIT]
    for decision in served.decisions[:2]:
        [attempt] = decision.attempts
        assert attempt.compressor == "distill"
        assert attempt.verdict is not None
        assert attempt.verdict.ok
    lost = shrinker.shrink_documents([CRANE], "What do children wave at?", keep=0.7)
    [decision] = lost.decisions
    rejected = decision.attempts[0]
    assert rejected.compressor == "distill"
    assert rejected.verdict is not None
    assert not rejected.verdict.ok
    assert decision.attempts[-1].compressor == "pruner"
    assert decision.action == "compressed"
    assert "children wave at the ships" in lost.output[0]
    assert "children" not in offline[0]


def test_what_is_not_a_document_is_left_to_the_next_compressor() -> None:
    distiller = FirstHalf()
    called = {"name": "f", "arguments": "{}"}
    messages: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": CRANE},
        {"role": "assistant", "content": OFFICE},
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": called}]},
        {"role": "tool", "tool_call_id": "1", "content": CRANE + " " + OFFICE},
        *[{"role": role, "content": f"Turn {i}."} for i in range(4) for role in ("user", "assistant")],
    ]
    result = quick(DistillCompressor(distiller), "extractive", keep=0.3).shrink_messages(messages)
    tried = [d for d in result.decisions if d.attempts]
    assert {d.segment.kind for d in tried} == {"user", "assistant", "tool_result"}
    for decision in tried:
        assert decision.attempts[0].error == f"only documents are distilled; this is of kind {decision.segment.kind}"
        assert decision.attempts[-1].compressor == "extractive"
    assert distiller.asked == []


def test_a_version_that_is_too_long_is_the_next_ones_turn() -> None:
    result = quick(DistillCompressor(FirstHalf()), "extractive", keep=0.2).shrink_text(CRANE)
    [decision] = result.decisions
    assert decision.attempts[0].error == "the version's 38 tokens are more than the share of 14"
    assert decision.attempts[-1].compressor == "extractive"
    assert decision.action == "compressed"


def test_versions_trade_their_shares() -> None:
    texts = [CRANE, OFFICE, f"{CRANE} {OFFICE}"]
    call = call_for(texts)
    versions = FirstHalf().distill([Source(text) for text in texts])
    small, medium, large = (v.tokens_after for v in versions)
    jobs = [Job(s, 0.5, n) for s, n in zip(call.segments, (small + 3, medium - 3, large - 3), strict=True)]
    out = DistillCompressor(FirstHalf()).compress(jobs, call)
    assert [c.error for c in out[:1]] == [None]
    assert sum(c.error is None for c in out) == 2  # one may use what the first leaves, both may not
    jobs[0] = replace(jobs[0], max_tokens=small + 6)
    assert [c.error for c in DistillCompressor(FirstHalf()).compress(jobs, call)] == [None] * 3


def test_a_version_that_is_the_original_is_the_next_ones_turn() -> None:
    one = "All of this text is one sentence and so its first half is all of it, which nobody minds at all"
    result = quick(DistillCompressor(FirstHalf()), "lead", keep=0.5).shrink_text(one + "\n" + one)
    [decision] = result.decisions
    assert decision.attempts[0].error == "the distilled version is the original: the first half says it"
    assert [a.compressor for a in decision.attempts] == ["distill", "lead"]


def test_a_distiller_that_fails_costs_only_its_text() -> None:
    distiller = FirstHalf(poison="bell")
    result = quick(DistillCompressor(distiller, Store.memory()), keep=0.6).shrink_documents([CRANE, OFFICE])
    assert result.decisions[0].action == "compressed"
    assert result.decisions[1].action == "fallback"
    assert "first-half failed: RuntimeError" in result.decisions[1].reason
    assert result.output[1] == OFFICE


def test_a_store_that_fails_is_logged_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ctxshrink"):
        broken = quick(DistillCompressor(FirstHalf(), BrokenStore())).shrink_text(CRANE)
    assert broken == quick(DistillCompressor(FirstHalf(), Store.memory())).shrink_text(CRANE)
    assert [r.getMessage() for r in caplog.records] == [
        "stored versions could not be read: ConnectionError: the database is down",
        "1 distilled versions were not kept: ConnectionError: the database is down",
    ]
    assert "crane" not in caplog.text


def test_only_what_is_stored() -> None:
    store, distiller = Store.memory(), FirstHalf()
    distill_batch([Source(CRANE)], FirstHalf(), store)
    shrinker = quick(DistillCompressor(distiller, store, only_stored=True), "extractive")
    result = shrinker.shrink_documents([CRANE, OFFICE])
    assert distiller.asked == []
    assert [d.attempts[-1].compressor for d in result.decisions] == ["distill", "extractive"]
    assert result.decisions[1].attempts[0].error == "no distilled version is stored, and only_stored=True makes none"
    with pytest.raises(ConfigError, match="only_stored"):
        DistillCompressor(distiller, only_stored=True)


def test_a_version_that_is_not_final_is_served_and_not_tried_again_on_the_way() -> None:
    store, distiller = Store.memory(), FirstHalf()
    distill_batch([Source(CRANE)], FirstHalf(final=False), store)
    assert quick(DistillCompressor(distiller, store)).shrink_text(CRANE).tokens_after < WordCounter().count([CRANE])[0]
    assert distiller.asked == []


def test_tenants_do_not_share_versions(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/corpus.db"
    distill_batch([Source(CRANE)], FirstHalf(), Store(url, namespace="one"))
    distiller = FirstHalf()
    quick(DistillCompressor(distiller, Store(url, namespace="two"))).shrink_text(CRANE)
    assert distiller.asked == [[CRANE]]


@pytest.mark.parametrize("words", [False, True])
def test_contract(words: bool) -> None:
    check_compressor(DistillCompressor(FirstHalf(words=words)))
    check_compressor(DistillCompressor(FirstHalf(words=words), Store.memory()), [CRANE, OFFICE, CRANE[:80]])


def test_a_served_version_names_its_original() -> None:
    store = Store.memory()
    shrinker = Shrinker(
        policy=KeepRatio(0.6),
        compressors=[DistillCompressor(FirstHalf(), store)],
        guardrail=None,
        counter=WordCounter(),
        store=store,
    )
    text = f"{CRANE} {OFFICE} {PERMIT} {OFFICE}"
    result = shrinker.shrink_text(text)
    version, _, line = result.output.rpartition("\n")
    assert version == FirstHalf().distill([Source(text)])[0].text
    assert reference(text) in line
    assert store.load(reference(text)) == text
