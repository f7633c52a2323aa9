"""`CtxShrinkCompressor`: both of LangChain's document interfaces."""

import json
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import BaseDocumentCompressor, BaseDocumentTransformer, Document
from langchain_ctxshrink import CtxShrinkCompressor
from pydantic import ValidationError

from ctxshrink.errors import BudgetError
from ctxshrink.shrinker import Shrinker
from tests.integrations.material import ANSWER, PLAIN, QUESTION, TEXTS, tokens


def _documents() -> list[Document]:
    return [
        Document(
            page_content=text, id=f"doc-{i}", metadata={"source": f"manual.pdf#{i}", "score": i / 7, "tags": ["car"]}
        )
        for i, text in enumerate(TEXTS)
    ]


def test_holds_both_interfaces() -> None:
    compressor = CtxShrinkCompressor(shrinker=PLAIN)
    assert isinstance(compressor, BaseDocumentCompressor)
    assert isinstance(compressor, BaseDocumentTransformer)


def test_keeps_the_answer_the_ids_and_the_metadata() -> None:
    given, untouched = _documents(), _documents()
    out = CtxShrinkCompressor(shrinker=PLAIN, keep=0.3, drop_empty=False).compress_documents(given, QUESTION)
    assert given == untouched
    assert [doc.id for doc in out] == [doc.id for doc in given]
    assert ANSWER in out[0].page_content
    assert sum(tokens(d.page_content) for d in out) <= 0.3 * sum(map(tokens, TEXTS))
    for before, after in zip(given, out, strict=True):
        note = after.metadata["ctxshrink"]
        assert {k: v for k, v in after.metadata.items() if k != "ctxshrink"} == before.metadata
        assert json.loads(json.dumps(note)) == note
        assert set(note) == {"action", "reason", "tokens_before", "tokens_after", "score"}
        assert note["tokens_before"] == tokens(before.page_content)
        assert note["tokens_after"] == tokens(after.page_content)


def test_emptied_documents_are_left_out_by_default() -> None:
    everything = CtxShrinkCompressor(shrinker=PLAIN, keep=0.2, drop_empty=False).compress_documents(
        _documents(), QUESTION
    )
    left = CtxShrinkCompressor(shrinker=PLAIN, keep=0.2).compress_documents(_documents(), QUESTION)
    assert left == [doc for doc in everything if doc.page_content]
    assert 0 < len(left) < len(everything)


async def test_sync_and_async_agree() -> None:
    compressor = CtxShrinkCompressor(shrinker=PLAIN, max_tokens=30)
    assert await compressor.acompress_documents(_documents(), QUESTION) == compressor.compress_documents(
        _documents(), QUESTION
    )
    assert await compressor.atransform_documents(_documents()) == compressor.transform_documents(_documents())


def test_transforms_without_a_query() -> None:
    out = CtxShrinkCompressor(shrinker=PLAIN, keep=0.5).transform_documents(_documents())
    assert 0 < sum(tokens(d.page_content) for d in out) <= 0.5 * sum(map(tokens, TEXTS))


def test_pinned_documents_stay_exact() -> None:
    compressor = CtxShrinkCompressor(shrinker=PLAIN, keep=0.1, pin=lambda doc: doc.id == "doc-2")
    out = {doc.id: doc for doc in compressor.compress_documents(_documents(), QUESTION)}
    assert out["doc-2"].page_content == TEXTS[2]
    assert out["doc-2"].metadata["ctxshrink"]["action"] == "locked"


def test_observe_mode_changes_no_text() -> None:
    observing = Shrinker(guardrail=None, mode="observe")
    out = CtxShrinkCompressor(shrinker=observing, keep=0.2).compress_documents(_documents(), QUESTION)
    assert [doc.page_content for doc in out] == TEXTS
    assert any(doc.metadata["ctxshrink"]["tokens_after"] < tokens(doc.page_content) for doc in out)


def test_the_default_guardrail_judges_every_change() -> None:
    out = CtxShrinkCompressor(keep=0.3, drop_empty=False).compress_documents(_documents(), QUESTION)
    notes = [doc.metadata["ctxshrink"] for doc in out]
    assert all(note["score"] is not None for note in notes if note["action"] in ("compressed", "emptied", "fallback"))
    assert any(note["score"] is not None for note in notes)
    assert all(d.page_content == t for d, t, n in zip(out, TEXTS, notes, strict=True) if n["action"] == "fallback")


@pytest.mark.parametrize("documents", [[], [Document(page_content="")], [Document(page_content="word")]])
def test_little_or_no_text_comes_back_as_it_is(documents: list[Document]) -> None:
    out = CtxShrinkCompressor(shrinker=PLAIN, max_tokens=10).compress_documents(documents, QUESTION)
    assert [doc.page_content for doc in out] == [doc.page_content for doc in documents]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"keep": 0}, "keep"),
        ({"keep": 2}, "keep"),
        ({"max_tokens": -4}, "max_tokens"),
        ({"keep": 0.5, "max_tokens": 4}, "not both"),
        ({"kep": 0.5}, "kep"),
        ({"on_reject": "ignore"}, "on_reject"),
    ],
)
def test_wrong_settings_are_refused_when_made(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        CtxShrinkCompressor(shrinker=PLAIN, **settings)


def test_strict_reaches_the_shrinker() -> None:
    compressor = CtxShrinkCompressor(shrinker=PLAIN, max_tokens=1, strict=True, pin=lambda doc: True)
    with pytest.raises(BudgetError):
        compressor.compress_documents(_documents(), QUESTION)
