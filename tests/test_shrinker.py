import asyncio
import copy
import inspect
import json
import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from ctxshrink import BudgetError, ConfigError, KeepRatio, Segment, Shrinker, ShrinkResult, TokenBudget
from ctxshrink.testing import BrokenCompressor, FakeScorer, ScriptedGuardrail, WordCounter
from ctxshrink.types import Call

DOCS = [
    "The canteen opens at noon. Soup is served first. The cook is called Irma.",
    {"text": "The bridge was closed on 3 May. Lorries take the ring road. Cyclists may pass.", "id": 7, "meta": [1]},
    "The harbour master keeps the keys. Boats leave at dawn. Fog delays them.",
]
CHAT = [
    {"role": "system", "content": "You are terse. Never give prices."},
    *(
        {
            "role": ("user", "assistant")[i % 2],
            "content": f"Message {i} says a thing. It also says another thing. Fine.",
        }
        for i in range(12)
    ),
]


def make(**settings: Any) -> Shrinker:
    return Shrinker(**{"guardrail": None, "counter": WordCounter(), **settings})


def test_text_in_text_out() -> None:
    result = make().shrink_text(" ".join(str(d) for d in DOCS[::2]), query="Who cooks?", keep=0.4)
    assert "Irma" in result.output
    assert result.tokens_after <= 0.4 * result.tokens_before


def test_documents_come_back_in_place_with_their_keys() -> None:
    result = make().shrink_documents(DOCS, query="When was the bridge closed?", keep=0.3)
    assert len(result.output) == 3
    assert "3 May" in result.output[1]["text"]
    assert {k: v for k, v in result.output[1].items() if k != "text"} == {"id": 7, "meta": [1]}


def test_emptied_documents_can_be_dropped() -> None:
    result = make().shrink_documents(DOCS, query="When was the bridge closed?", keep=0.2, drop_empty=True)
    assert 0 < len(result.output) < 3
    assert len(result.decisions) == 3


def test_a_budget_counts_locked_text() -> None:
    result = make().shrink_messages(CHAT, max_tokens=120)
    assert result.tokens_after <= 120
    assert result.output[0] == CHAT[0]
    assert result.output[-4:] == CHAT[-4:]


def test_what_fits_is_left_alone_and_says_so() -> None:
    result = make().shrink_messages(CHAT, max_tokens=10_000)
    assert result.output == CHAT
    assert "the input fits" in result.warnings[0]


def test_all_locked_says_so() -> None:
    result = make().shrink_messages(CHAT[:3], keep=0.1)
    assert result.output == CHAT[:3]
    assert "all of it is locked" in result.warnings[0]


def test_locked_text_over_budget_warns_or_raises_and_is_never_cut() -> None:
    result = make().shrink_messages(CHAT, max_tokens=5)
    assert result.output[-4:] == CHAT[-4:]
    assert any("over max_tokens=5" in w for w in result.warnings)
    with pytest.raises(BudgetError, match="over max_tokens=5"):
        make().shrink_messages(CHAT, max_tokens=5, strict=True)


def test_observe_does_the_work_and_returns_the_input() -> None:
    result = make(mode="observe").shrink_documents(DOCS, query="bridge", keep=0.3)
    assert result.output == DOCS
    assert result.tokens_after < result.tokens_before
    assert result.mode == "observe"


def test_a_rejection_falls_back_and_is_listed() -> None:
    guardrail = ScriptedGuardrail([False] * 50)
    result = make(guardrail=guardrail).shrink_documents(DOCS, query="bridge", keep=0.3)
    assert result.output == DOCS
    assert 2 <= len(result.fallbacks) <= 3
    assert {d.action for d in result.decisions} <= {"fallback", "kept"}
    assert all("original kept: as scripted" in d.reason for d in result.fallbacks)


def test_a_rejection_under_a_budget_is_forced_and_warns() -> None:
    guardrail = ScriptedGuardrail([False] * 50)
    result = make(guardrail=guardrail).shrink_documents(DOCS, query="bridge", max_tokens=20)
    assert result.tokens_after <= 20
    assert any("without the guardrail's consent" in w for w in result.warnings)
    assert result.risk == 0.9


def test_on_reject_can_be_chosen() -> None:
    rejecting = lambda: make(guardrail=ScriptedGuardrail([False] * 50))  # noqa: E731
    over = rejecting().shrink_documents(DOCS, query="bridge", max_tokens=20, on_reject="exceed")
    assert over.output == DOCS
    assert any("over max_tokens=20" in w for w in over.warnings)
    within = rejecting().shrink_documents(DOCS, query="bridge", keep=0.3, on_reject="budget")
    assert within.kept_share <= 0.3


def test_pins_hold() -> None:
    assert make().shrink_documents(DOCS, query="bridge", keep=0.3, pin=[0]).output[0] == DOCS[0]
    assert make().shrink_messages(CHAT, keep=0.3, pin=[1, -5]).output[1] == CHAT[1]


def test_any_callable_is_a_policy() -> None:
    def only_first(segments: Sequence[Segment], call: Call) -> dict[str, float]:
        return {s.id: 0.0 for s in segments[1:]}

    result = make(policy=only_first).shrink_documents(DOCS)
    assert result.output[0] == DOCS[0]
    assert result.output[2] == ""


def test_a_policy_brings_its_goal() -> None:
    assert make(policy=TokenBudget(20)).shrink_documents(DOCS).tokens_after <= 20
    assert make(policy=KeepRatio(0.5) & TokenBudget(15)).shrink_documents(DOCS).tokens_after <= 15


def test_a_failing_ranker_is_survived_and_told() -> None:
    class NoRank:
        name = "norank"

        def relevance(self, segments: Any, keep: float, call: Call, /) -> list[float]:
            raise RuntimeError

        def compress(self, jobs: Any, call: Call, /) -> Any:
            return BrokenCompressor("raise").compress(jobs, call)

    result = make(compressors=[NoRank(), "extractive"]).shrink_documents(DOCS, query="bridge", keep=0.4)
    assert result.tokens_after < result.tokens_before
    assert result.warnings[0] == "norank could not rank (RuntimeError: ): extractive ranked instead"
    alone = make(compressors=[NoRank()]).shrink_documents(DOCS, query="bridge", keep=0.4)
    assert "relevance is unknown (norank could not rank" in alone.warnings[0]


def test_deadline_returns_the_input_with_the_reason() -> None:
    result = make(deadline=1e-9).shrink_documents(DOCS, query="bridge", keep=0.3)
    assert result.output == DOCS
    assert all("deadline" in d.reason for d in result.decisions)


def test_async_twins_agree_and_have_the_same_signature() -> None:
    shrinker = make()
    for name in ("text", "documents", "messages", "segments"):
        twin, plain = getattr(Shrinker, f"ashrink_{name}"), getattr(Shrinker, f"shrink_{name}")
        assert inspect.signature(twin) == inspect.signature(plain)
        assert inspect.iscoroutinefunction(twin)
    result = asyncio.run(shrinker.ashrink_documents(DOCS, query="bridge", keep=0.3))
    assert result == shrinker.shrink_documents(DOCS, query="bridge", keep=0.3)


def test_threads_share_one_shrinker() -> None:
    shrinker = make()
    expected = shrinker.shrink_documents(DOCS, query="bridge", keep=0.3)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: shrinker.shrink_documents(DOCS, query="bridge", keep=0.3), range(32)))
    assert all(r == expected for r in results)


def test_the_input_is_never_mutated() -> None:
    docs, chat = copy.deepcopy(DOCS), copy.deepcopy(CHAT)
    make().shrink_documents(docs, query="bridge", keep=0.3)
    make().shrink_messages(chat, keep=0.3)
    assert (docs, chat) == (DOCS, CHAT)


def test_the_account_is_json_and_holds_no_text_unless_asked() -> None:
    result = make(guardrail=ScriptedGuardrail()).shrink_documents(DOCS, query="bridge", keep=0.3)
    plain = json.dumps(result.to_dict())
    assert "bridge was closed" not in plain
    assert "bridge was closed" in json.dumps(result.to_dict(text=True))
    assert result.to_dict()["tokens_after"] == result.tokens_after
    assert [d["action"] for d in result.to_dict()["decisions"]] == [d.action for d in result.decisions]


def test_html_is_escaped() -> None:
    result = make().shrink_documents(["<script>alert(1)</script> " + "word " * 30, DOCS[0]], keep=0.9)
    assert "<script>alert" not in result.to_html()
    assert "<script>alert" not in result._repr_html_()


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda s: s.shrink_text("a b c", keep=0), "keep"),
        (lambda s: s.shrink_text("a b c", keep=1.01), "keep"),
        (lambda s: s.shrink_text("a b c", keep="half"), "keep"),
        (lambda s: s.shrink_text("a b c", keep=float("nan")), "keep"),
        (lambda s: s.shrink_text("a b c", max_tokens=-1), "max_tokens"),
        (lambda s: s.shrink_text("a b c", max_tokens=2.5), "max_tokens"),
        (lambda s: s.shrink_text("a b c", keep=0.5, max_tokens=3), "keep or max_tokens"),
        (lambda s: s.shrink_text("a b c", query=3), "query"),
        (lambda s: s.shrink_text(["a"]), "text must be a str"),
        (lambda s: s.shrink_text("a b c", on_reject="never"), "on_reject"),
        (lambda s: s.shrink_documents("one text"), "docs"),
        (lambda s: s.shrink_documents([1]), "document 0"),
        (lambda s: s.shrink_messages("hello"), "messages"),
        (lambda s: s.shrink_messages([{"content": "no role"}]), "role"),
        (lambda s: s.shrink_segments([Segment("a", "x"), Segment("a", "y")]), "share an id"),
    ],
)
def test_wrong_arguments_are_named(call: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        call(make())


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"policy": 0.5}, "policy"),
        ({"compressors": []}, "compressors"),
        ({"compressors": "extractive"}, "compressors"),
        ({"compressors": ["no such"]}, "no such"),
        ({"compressors": [object()]}, "compressor"),
        ({"guardrail": "strict"}, "guardrail"),
        ({"guardrail": 3}, "guardrail"),
        ({"counter": 3}, "counter"),
        ({"mode": "off"}, "mode"),
        ({"deadline": 0}, "deadline"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make(**settings)


def test_results_compare_by_what_they_say() -> None:
    result: ShrinkResult[str] = make().shrink_text("One thing. Another thing. A third thing.", keep=0.5)
    assert replace(result, seconds=99.0) == result
    assert FakeScorer().nll([("a b", "a c")])[0].tolist() == [1.0, 6.0]


def test_a_shrinker_travels_to_another_process() -> None:
    copied = pickle.loads(pickle.dumps(Shrinker(guardrail=None)))
    expected = Shrinker(guardrail=None).shrink_documents(DOCS, query="bridge", keep=0.3)
    assert copied.shrink_documents(DOCS, query="bridge", keep=0.3) == expected
    assert repr(copied) == repr(Shrinker(guardrail=None))
    assert pickle.loads(pickle.dumps(Shrinker())).counter.name == "embedded"
