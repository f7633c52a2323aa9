from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from ctxshrink.bench import scoring
from ctxshrink.bench.scoring import Haystack


@pytest.mark.parametrize(
    ("needle", "text", "found"),
    [
        ("40", "in 1940", False),
        ("40", "40 of them", True),
        ("40", "about 40%, or 140", True),
        ("40", "140 and 401 and 40", True),
        ("Straße 7", "in der STRASSE 7", False),
        ("straße 7", "In der Straße\n  7.", True),
        ("1,200", "１,２００ yen", True),  # full width digits
        ("東京", "彼は東京に住む", True),  # scripts without spaces have no word boundary
        ("ab", "cab abc", False),
        ("-5", "x-5", True),  # the boundary is asked for where the needle begins with a word character
        ("", "anything", False),
        ("  ", "any thing", False),
    ],
)
def test_contains(needle: str, text: str, found: bool) -> None:
    assert Haystack(text).contains(needle) is found


def test_tokens_are_words_and_character_pairs() -> None:
    assert scoring.tokenize("It’s 東京都 (2 km)") == ["it", "s", "東京", "京都", "2", "km"]
    assert scoring.tokenize("京 Ärger") == ["京", "ärger"]


def test_ngram_recall_is_order_sensitive() -> None:
    gold = "the pump was replaced in May"  # three 4-grams
    assert Haystack("Then the pump was replaced in May, at last.").ngram_recall(gold) == 1.0
    assert Haystack("in May was replaced the pump").ngram_recall(gold) == 0.0
    assert Haystack("the pump was replaced; in May").ngram_recall(gold) == 1.0  # punctuation is no token
    assert Haystack("the pump was replaced").ngram_recall(gold) == pytest.approx(1 / 3)


def test_short_gold_texts_must_occur_whole() -> None:
    assert Haystack("it was in May").ngram_recall("In May") == 1.0
    assert Haystack("May it was in").ngram_recall("In May") == 0.0


def test_token_recall_counts_multiplicity() -> None:
    assert Haystack("a b").token_recall("a a b") == pytest.approx(2 / 3)
    assert Haystack("a b").token_recall("…") == 0.0


def test_scores_of_a_record() -> None:
    text = Haystack("The contract of 3 May names Ada and Bo.")
    assert scoring.answer_recall(["Eve", "Bo"], text) == 1.0
    assert scoring.answer_recall(["Eve"], text) == 0.0
    assert scoring.fact_recall(["Ada", "Eve", "3 May", "4 May"], text) == 0.5
    assert scoring.evidence_recall(["Ada and Bo", "Eve"], text) == 0.5
    assert scoring.support_recall(["names Ada and Bo", "Eve signed"], text) == 0.5
    assert scoring.answer_recall([], text) is None
    assert scoring.fact_recall([], text) is None
    assert scoring.evidence_recall([], text) is None
    assert scoring.support_recall([], text) is None


def test_all_support_wants_most_of_every_sentence() -> None:
    one, other = "the pump in hall seven was replaced in May", "it was paid for by the new owner of the house"
    text = Haystack(f"As the pump in hall seven was replaced in June, {other}.")
    # Of the six 4-grams of the first sentence only the one with "May" is gone: 5/6.
    assert scoring.all_support([one, other], text) == 1.0
    assert text.ngram_recall("nobody in hall seven was replaced in May") == 0.6
    assert scoring.all_support([other, "nobody in hall seven was replaced in May"], text) == 0.0
    assert scoring.all_support([], text) is None


@pytest.mark.benchmark_data
def test_same_numbers_as_the_data_sets_own_reference(benchmark_data: Path) -> None:
    spec = importlib.util.spec_from_file_location("reference_score", benchmark_data / "score.py")
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    compared = 0
    for file in sorted((benchmark_data / "rag").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines()[:4]:
            record = json.loads(line)
            context = "\n".join(doc["text"] for doc in record["docs"])
            for cut in (context[: len(context) // 3], context[len(context) // 4 :: 2], context):
                text = Haystack(cut)
                assert scoring.answer_recall(record["answers"], text) == reference.answer_recall(record, cut)
                assert scoring.fact_recall(record.get("facts") or [], text) == reference.fact_recall(record, cut)
                support = scoring.support_recall(record.get("supporting_sentences") or [], text)
                assert support == reference.support_recall(record, cut)
                compared += 1
    for file in sorted((benchmark_data / "chat").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines()[:1]:
            record = json.loads(line)
            contents = [m["content"] for m in record["messages"]]
            context = "\n".join(contents)
            cut = context[len(context) // 2 :]
            for probe in record["probes"][:10]:
                evidence = [contents[i] for i in probe["evidence_message_idx"]]
                if evidence:
                    expected = reference.evidence_recall(probe, record["messages"], cut)
                    assert scoring.evidence_recall(evidence, Haystack(cut)) == expected
                hit = reference.probe_recall(probe, cut)
                if hit is not None:
                    assert Haystack(cut).contains_any([str(a) for a in probe["answers"]]) == bool(hit)
                compared += 1
    assert compared > 250
