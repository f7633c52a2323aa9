"""What is left out can be had again: originals in a store, a line that names them, and what happens without."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import ConfigError, PerplexityGuardrail, Shrinker
from ctxshrink.expand import Expander, find_references
from ctxshrink.store import Store
from ctxshrink.structure.log import unfold
from ctxshrink.testing import FakeScorer, ScriptedGuardrail, WordCounter
from tests.strategies import PROPERTY

LOG = "\n".join(f"2026-11-22 09:{i % 60:02}:07 INFO job {i} took {i % 7} ms on depot-{i % 3}" for i in range(200))
TALK = " ".join(f"On day {i} the crew of boat {i * 3} mended the net near pier {i % 9}." for i in range(60))


def talk(tool: str = LOG) -> list[dict[str, object]]:
    call = {"id": "c1", "type": "function", "function": {"name": "log", "arguments": "{}"}}
    said: list[dict[str, object]] = [
        {"role": r, "content": f"Turn {i}."} for i in range(4) for r in ("assistant", "user")
    ]
    return [
        {"role": "user", "content": TALK},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": tool},
        *said,
    ]


@pytest.mark.parametrize(("keep", "max_tokens"), [(0.3, None), (None, 900), (0.02, None)])
def test_every_shortened_text_names_its_original(keep: float | None, max_tokens: int | None) -> None:
    store = Store.memory()
    messages = talk()
    result = Shrinker(store=store, guardrail=None).shrink_messages(messages, keep=keep, max_tokens=max_tokens)
    assert result.tokens_after < result.tokens_before
    if max_tokens is not None:
        assert result.tokens_after <= max_tokens
    for place in (0, 2):
        [reference] = find_references(result.output[place]["content"])
        assert store.load(reference) == messages[place]["content"]
        assert Expander(store).expand(reference, lines="2") != ""


@PROPERTY
@given(keep=st.sampled_from([0.05, 0.2, 0.5, 0.8]), count=st.integers(1, 4))
def test_the_line_counts_towards_the_budget(keep: float, count: int) -> None:
    docs = [f"{i} {LOG}" if i % 2 else f"{i} {TALK}" for i in range(count)]
    result = Shrinker(store=Store.memory(), guardrail=None, counter=WordCounter()).shrink_documents(docs, keep=keep)
    assert result.tokens_after <= keep * result.tokens_before
    for doc in result.output:
        assert len(find_references(doc)) == (1 if doc and doc not in docs else 0)


class Full:
    """A store that is out of order."""

    def save(self, texts: Sequence[str], /) -> list[str]:
        raise OSError("disk full")

    def load(self, id: str, /) -> str | None:
        return None


def test_without_the_store_nothing_is_referred_to() -> None:
    result = Shrinker(store=Full(), guardrail=None).shrink_documents([LOG], keep=0.3)
    assert find_references(result.output[0]) == []
    assert result.tokens_after <= 0.3 * result.tokens_before
    assert any("disk full" in w and "cannot be expanded" in w for w in result.warnings)


class Busy(Full):
    """A store that another process holds."""

    def save(self, texts: Sequence[str], /) -> list[str]:
        raise OSError("database is locked")


def test_a_store_that_fails_hides_no_other_warning() -> None:
    shrinker = Shrinker(store=Busy(), guardrail=ScriptedGuardrail([False] * 9))
    result = shrinker.shrink_documents([LOG], max_tokens=100, on_reject="exceed")
    assert result.tokens_after > 100
    assert any("over max_tokens=100" in w for w in result.warnings)


def test_what_stays_whole_needs_no_line() -> None:
    guardrail = ScriptedGuardrail([False] * 9)
    result = Shrinker(store=Store.memory(), guardrail=guardrail).shrink_documents([LOG, "Short."], keep=0.3)
    assert [d.action for d in result.decisions] == ["fallback", "kept"]
    assert unfold(result.output[0]) == LOG
    assert find_references("".join(result.output)) == []


def test_the_guardrail_judges_the_text_without_the_line() -> None:
    guardrail = ScriptedGuardrail()
    result = Shrinker(store=Store.memory(), guardrail=guardrail).shrink_documents([TALK], keep=0.3)
    assert find_references(result.output[0])
    assert not any(find_references(t.text) for t in guardrail.seen)


def test_observing_stores_nothing() -> None:
    store = Store.memory()
    judge = PerplexityGuardrail(FakeScorer())
    Shrinker(store=store, guardrail=judge, mode="observe").shrink_documents([LOG], keep=0.3)
    assert store.stats().rows == 0


def test_a_wrong_store_is_refused() -> None:
    with pytest.raises(ConfigError, match="save and load"):
        Shrinker(store="sqlite:///x.db")  # pyright: ignore[reportArgumentType]
