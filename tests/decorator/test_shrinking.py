"""`@shrink_prompt`: what it shrinks, what it leaves exact, and what it refuses."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ctxshrink.decorator import shrink_prompt
from ctxshrink.errors import BudgetError, ConfigError, FormatError
from ctxshrink.shrinker import Shrinker
from tests.decorator.material import ANSWER, CHUNKS, HISTORY, PLAIN, QUESTION, build, count, two


def test_shrinks_the_argument_and_leaves_the_template_exact() -> None:
    before = copy.deepcopy(CHUNKS)
    prompt = build(QUESTION, CHUNKS, tone="friendly")
    assert prompt.startswith("Answer in a friendly tone.\n")
    assert prompt.endswith(f"\nQ: {QUESTION}")
    assert ANSWER in prompt
    assert "apple" not in prompt
    assert before == CHUNKS
    result = build.last_result
    assert result is not None
    assert result.tokens_after <= 0.3 * result.tokens_before
    assert [d.segment.id for d in result.decisions] == ["chunks.0", "chunks.1", "chunks.2"]
    assert "\n".join(result.output["chunks"]) in prompt


def test_named_arguments_share_one_budget() -> None:
    @shrink_prompt(context=["chunks", "history", "note"], query="question", max_tokens=150, shrinker=PLAIN)
    def everything(question: str, chunks: list[str], history: list[dict[str, Any]], note: str | None) -> Any:
        return chunks, history, note

    chunks, history, note = everything(QUESTION, CHUNKS, HISTORY, None)
    result = everything.last_result
    assert result is not None
    assert note is None
    assert len(history) == len(HISTORY)
    assert history[0] == HISTORY[0]
    assert history[-1] == HISTORY[-1]
    assert sum(map(count, chunks)) + sum(count(m["content"]) for m in history) == result.tokens_after <= 150
    assert {d.segment.id.split(".")[0] for d in result.decisions} == {"chunks", "history"}


def test_types_and_other_keys_survive() -> None:
    @shrink_prompt(context=["docs"], query="question", keep=0.3, drop_empty=False, shrinker=PLAIN)
    def identity(question: str, docs: Any) -> Any:
        return docs

    given = tuple({"text": text, "id": i, "source": {"page": i}} for i, text in enumerate(CHUNKS))
    docs = identity(QUESTION, given)
    assert isinstance(docs, tuple)
    assert [(d["id"], d["source"]) for d in docs] == [(d["id"], d["source"]) for d in given]
    assert docs[1]["text"] == ""
    assert ANSWER in docs[0]["text"]
    assert identity(QUESTION, []) == []
    assert identity(QUESTION, ()) == ()
    assert identity(QUESTION, None) is None


def test_emptied_documents_are_left_out_but_named_on_the_result() -> None:
    @shrink_prompt(context=["docs"], query="question", keep=0.2, shrinker=PLAIN)
    def identity(question: str, docs: list[str]) -> list[str]:
        return docs

    docs = identity(QUESTION, ["", *CHUNKS])
    result = identity.last_result
    assert result is not None
    emptied = [d.segment.id for d in result.decisions if d.action == "emptied"]
    assert emptied
    assert len(docs) == 4 - len(emptied)
    assert docs[0] == "", "a text that was empty before was not emptied by us"


class _Page(BaseModel):
    page_content: str
    metadata: dict[str, Any] = {}


class _Scored(BaseModel):
    class Node(BaseModel):
        text: str

    node: Node
    score: float


@pytest.mark.parametrize(
    ("wrap", "read"),
    [
        (lambda t: _Page(page_content=t, metadata={"page": 3}), lambda d: (d.page_content, d.metadata == {"page": 3})),
        (lambda t: _Scored(node=_Scored.Node(text=t), score=0.5), lambda d: (d.node.text, d.score == 0.5)),
    ],
)
def test_framework_documents_are_recognised_by_their_fields(wrap: Any, read: Any) -> None:
    @shrink_prompt(context=["docs"], query="question", keep=0.3, shrinker=PLAIN)
    def identity(question: str, docs: list[Any]) -> list[Any]:
        return docs

    given = [wrap(text) for text in CHUNKS]
    docs = identity(QUESTION, given)
    text, kept = read(docs[0])
    assert ANSWER in text
    assert kept
    assert [read(d)[0] for d in given] == CHUNKS


def test_returned_messages() -> None:
    @shrink_prompt(query="question", keep=0.4, shrinker=PLAIN)
    def messages(question: str) -> list[dict[str, Any]]:
        return HISTORY

    before = copy.deepcopy(HISTORY)
    out = messages(QUESTION)
    assert before == HISTORY
    assert [m["role"] for m in out] == [m["role"] for m in HISTORY]
    assert out[0] == HISTORY[0]
    assert out[-4:] == HISTORY[-4:]
    assert messages.last_result is not None
    assert messages.last_result.tokens_after < messages.last_result.tokens_before
    assert out == messages.last_result.output


def test_observe_mode_hands_over_the_arguments_themselves() -> None:
    @shrink_prompt(context=["chunks"], query="question", keep=0.3, shrinker=Shrinker(guardrail=None, mode="observe"))
    def identity(question: str, chunks: list[str]) -> list[str]:
        return chunks

    assert identity(QUESTION, CHUNKS) is CHUNKS
    assert identity.last_result is not None
    assert identity.last_result.tokens_after < identity.last_result.tokens_before


def test_a_returned_text_says_to_name_the_parameters() -> None:
    @shrink_prompt(keep=0.5, shrinker=PLAIN)
    def text() -> str:
        return "Hello"

    with pytest.raises(ConfigError, match=r"text returned str.*context="):
        text()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"context": ["chunk"]}, "'chunk'.*question, chunks"),
        ({"context": ["chunks"], "query": "q"}, "query names 'q'"),
        ({"context": ["options"]}, r"\*\*options"),
        ({"context": ["chunks", "chunks"]}, "twice"),
        ({"context": ["question"], "query": "question"}, "cannot be shrunk as context"),
        ({"keep": 0}, "keep"),
        ({"keep": 1.5}, "keep"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"keep": 0.5, "max_tokens": 10}, "not both"),
    ],
)
def test_wrong_settings_are_refused_when_decorating(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        shrink_prompt(**settings, shrinker=PLAIN)(two)


def test_a_builtin_without_a_signature_is_refused() -> None:
    with pytest.raises(ConfigError, match="signature"):
        shrink_prompt(keep=0.5, shrinker=PLAIN)(str)


@pytest.mark.parametrize(
    "chunks", [3, {"text": "a"}, [1], ["a", {"role": "user", "content": "b"}], [{"id": 4}], {"a", "b"}]
)
def test_arguments_of_unknown_shape_are_refused_by_name(chunks: Any) -> None:
    with pytest.raises(FormatError, match=r"argument 'chunks'.*It must be a str"):
        build(QUESTION, chunks)


def test_a_query_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="query"):
        build(3, CHUNKS)  # pyright: ignore[reportArgumentType]


def test_strict_reaches_the_shrinker() -> None:
    @shrink_prompt(max_tokens=3, strict=True, shrinker=PLAIN)
    def messages() -> list[dict[str, Any]]:
        return HISTORY

    with pytest.raises(BudgetError):
        messages()


@given(st.lists(st.text(max_size=60), max_size=5), st.floats(0.05, 1.0))
def test_any_texts_come_out_no_larger_and_the_input_stays(texts: list[str], keep: float) -> None:
    @shrink_prompt(context=["texts"], keep=keep, drop_empty=False, shrinker=PLAIN)
    def identity(texts: list[str]) -> list[str]:
        return texts

    before = list(texts)
    out = identity(texts)
    assert before == texts
    assert len(out) == len(texts)
    assert all(count(a) <= count(b) for a, b in zip(out, texts, strict=True))
