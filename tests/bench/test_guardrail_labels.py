from __future__ import annotations

from ctxshrink.bench.data import ChatRecord, Probe, RagRecord
from ctxshrink.bench.guardrail_labels import Compressions, Sharing, SharingShrinker
from ctxshrink.bench.tasks import Chat, Rag
from ctxshrink.compressors import get_compressor

FIRST = "The pump was replaced in May. The gate is open. Visitors like the roof. The canteen serves soup."
SECOND = "The hall is grey. The fan is loud. Deliveries arrive at noon. The valve was ordered in Turin."


def record(*answers: str, name: str = "r") -> RagRecord:
    docs = ({"text": FIRST, "title": ""}, {"text": SECOND, "title": ""})
    return RagRecord(name, name, "en", "Where was the valve ordered?", docs, answers, (), ())


def test_a_segment_lost_what_stood_in_it_and_stands_nowhere_in_the_output() -> None:
    made = list(Compressions(Rag(), methods=("lead", "truncate"), keeps=(0.5,)).of(record("Turin")))
    assert [(c.method, c.keep) for c in made] == [("lead", 0.5), ("truncate", 0.5)]
    lead, truncate = made
    # `lead` keeps the first sentences of both documents, `truncate` the last ones of the call.
    assert [t.segment.text for t in lead.trials] == [FIRST, SECOND]
    assert "Turin" not in lead.trials[1].text
    assert lead.lost == (False, True)
    assert (lead.at_risk, lead.strings_lost) == (1, 1)
    assert "Turin" in truncate.trials[1].text
    assert truncate.lost == (False, False)
    assert (truncate.at_risk, truncate.strings_lost) == (1, 0)
    for c in made:
        count = c.call.counter.count
        assert c.tokens == tuple((count([t.segment.text])[0], count([t.text])[0]) for t in c.trials)


def test_a_string_that_another_document_still_holds_is_not_lost() -> None:
    [made] = Compressions(Rag(), methods=("lead",), keeps=(0.5,)).of(record("was"))
    assert made.lost == (False, False)
    assert made.strings_lost == 0


def test_records_of_which_nothing_can_be_lost_are_left_out() -> None:
    assert list(Compressions(Rag(), methods=("lead",), keeps=(0.5,)).of(record("Paris"))) == []
    messages = tuple({"role": r, "content": FIRST} for r in ("user", "assistant") * 4)
    kept_anyway = ChatRecord("c", "c", "en", messages, (Probe(("replaced in May",), (), None),))
    assert list(Compressions(Chat(), methods=("lead",), keeps=(0.5,)).of(kept_anyway)) == []


def test_compressions_of_a_record_share_what_they_compute_and_records_do_not() -> None:
    make = Compressions(Rag(), methods=("bm25", "lead"), keeps=(0.5, 0.25))
    caches = [[id(c.call.cache) for c in make.of(r)] for r in (record("Turin"), record("May", name="s"))]
    # Both records hold the same text and question; a third has another one.
    other = RagRecord("t", "t", "en", "When?", ({"text": FIRST, "title": ""},), ("May",), (), ())
    assert len(set(caches[0] + caches[1])) == 1
    assert id(next(iter(make.of(other))).call.cache) != caches[0][0]


def test_sharing_changes_no_result() -> None:
    sharing = Sharing()
    for name in ("pruner", "bm25", "truncate"):
        compressor = get_compressor(name)
        for keep in (0.5, 0.25):
            shared = Rag().shrink(SharingShrinker(sharing, compressors=[compressor]), record("Turin"), keep)
            alone = Rag().shrink(SharingShrinker(Sharing(), compressors=[name]), record("Turin"), keep)
            assert shared.texts == alone.texts


def test_the_draw_is_repeatable_and_differs_between_records() -> None:
    make = Compressions(Rag(), methods=("bm25", "lead", "truncate"), keeps=(0.75, 0.5, 0.25, 0.1), pairs=4)
    draws = [[(c.method, c.keep) for c in make.of(record("Turin", name=n))] for n in ("a", "a", "b", "c")]
    assert draws[0] == draws[1]
    assert len({tuple(d) for d in draws}) == 3
    assert all(len(d) <= 4 for d in draws)
