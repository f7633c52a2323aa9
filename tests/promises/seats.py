"""Every seat as one function, so that each promise is one test over all of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import convert_to_messages
from langchain_core.retrievers import BaseRetriever
from langchain_ctxshrink import CtxShrinkCompressor, CtxShrinkRetriever, shrink_messages
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index_ctxshrink import CtxShrinkPostprocessor, CtxShrinkTransform
from typer.testing import CliRunner

from ctxshrink import Conversation, Shrinker, shrink_prompt
from ctxshrink.cli import app

Goal = dict[str, Any]
"""``{"keep": …}`` or ``{"max_tokens": …}``."""


class _Fixed(BaseRetriever):
    found: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return self.found


def _documents(docs: list[str]) -> list[Document]:
    return [Document(d, metadata={"n": i}, id=str(i)) for i, d in enumerate(docs)]


def _contents(found: list[Document]) -> list[str]:
    assert [d.id for d in found] == [str(d.metadata["n"]) for d in found]
    return [d.page_content for d in found]


def _nodes(docs: list[str]) -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=d, id_=str(i)), score=i / 8) for i, d in enumerate(docs)]


def _texts(nodes: list[NodeWithScore]) -> list[str]:
    assert [n.score for n in nodes] == [int(n.node.id_) / 8 for n in nodes]
    return [n.node.get_content() for n in nodes]


def _decorated(s: Shrinker, docs: list[str], query: str, goal: Goal) -> list[str]:
    @shrink_prompt(context=["chunks"], query="question", shrinker=s, drop_empty=False, **goal)
    def build(question: str, chunks: list[str]) -> list[str]:
        return chunks

    return build(query, docs)


def _adecorated(s: Shrinker, docs: list[str], query: str, goal: Goal) -> list[str]:
    @shrink_prompt(context=["chunks"], query="question", shrinker=s, drop_empty=False, **goal)
    async def build(question: str, chunks: list[str]) -> list[str]:
        return chunks

    return asyncio.run(build(query, docs))


def _compressor(s: Shrinker, goal: Goal) -> CtxShrinkCompressor:
    return CtxShrinkCompressor(shrinker=s, drop_empty=False, **goal)


def _retriever(s: Shrinker, docs: list[str], query: str, goal: Goal) -> list[str]:
    seat = CtxShrinkRetriever(retriever=_Fixed(found=_documents(docs)), compressor=_compressor(s, goal))
    return _contents(seat.invoke(query))


def _postprocessor(s: Shrinker, docs: list[str], query: str, goal: Goal) -> list[str]:
    seat = CtxShrinkPostprocessor(shrinker=s, drop_empty=False, **goal)
    return _texts(seat.postprocess_nodes(_nodes(docs), QueryBundle(query)))


def _transform(s: Shrinker, docs: list[str], query: str, goal: Goal) -> list[str]:
    seat = CtxShrinkTransform(shrinker=s, drop_empty=False, **goal)
    return [n.get_content() for n in seat([n.node for n in _nodes(docs)])]


DOCUMENT_SEATS: dict[str, Callable[[Shrinker, list[str], str, Goal], list[str]]] = {
    "shrinker": lambda s, docs, query, goal: s.shrink_documents(docs, query, **goal).output,
    "shrinker-async": lambda s, docs, query, goal: asyncio.run(s.ashrink_documents(docs, query, **goal)).output,
    "decorator": _decorated,
    "decorator-async": _adecorated,
    "langchain-compressor": lambda s, docs, query, goal: _contents(
        list(_compressor(s, goal).compress_documents(_documents(docs), query))
    ),
    "langchain-compressor-async": lambda s, docs, query, goal: _contents(
        list(asyncio.run(_compressor(s, goal).acompress_documents(_documents(docs), query)))
    ),
    "langchain-transformer": lambda s, docs, query, goal: _contents(
        list(_compressor(s, goal).transform_documents(_documents(docs)))
    ),
    "langchain-retriever": _retriever,
    "llamaindex-postprocessor": _postprocessor,
    "llamaindex-transform": _transform,
}

MESSAGE_SEATS: dict[str, Callable[[Shrinker, list[Any], Goal], list[Any]]] = {
    "shrinker": lambda s, messages, goal: s.shrink_messages(messages, **goal).output,
    "shrinker-async": lambda s, messages, goal: asyncio.run(s.ashrink_messages(messages, **goal)).output,
    "conversation": lambda s, messages, goal: Conversation(s, headroom=0.0, birth=None).shrink(messages, **goal).output,
    "decorator-argument": lambda s, messages, goal: shrink_prompt(context=["history"], shrinker=s, **goal)(
        lambda history: history
    )(messages),
    "decorator-result": lambda s, messages, goal: shrink_prompt(shrinker=s, **goal)(lambda: messages)(),
}


def langchain_messages(s: Shrinker, messages: list[dict[str, Any]], goal: Goal) -> tuple[list[Any], list[Any]]:
    """LangChain's view of the messages, before and after."""
    before = convert_to_messages(messages)
    return before, shrink_messages(before, shrinker=s, **goal)


@dataclass
class CommandLine:
    """``ctxshrink shrink``, with the embedded counter and no guardrail."""

    output: Any
    account: dict[str, Any]

    @classmethod
    def run(cls, given: object, *options: str) -> CommandLine:
        done = CliRunner().invoke(app, ["shrink", "-", "--json", "--no-guardrail", *options], input=json.dumps(given))
        assert done.exit_code == 0, done.output
        account = json.loads(done.stdout)
        return cls(account.pop("output"), account)
