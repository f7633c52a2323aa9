"""`CompressedHuggingFaceLLM`: completions, chats and a query engine that answer from the compressed cache."""

from __future__ import annotations

import copy
from typing import Any

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import Memory
from llama_index_ctxshrink import CompressedHuggingFaceLLM

from ctxshrink.errors import ConfigError
from ctxshrink.kv.compressor import KVCompressor
from tests.kv.models import PAGE, model_of, tokenizer_of

KV = KVCompressor(model_of("llama-gqa"), tokenizer_of(), keep=0.3, recent=8)
SYSTEM = ChatMessage(role=MessageRole.SYSTEM, content=PAGE)


def llm(**settings: Any) -> CompressedHuggingFaceLLM:
    return CompressedHuggingFaceLLM(**{"kv": KV, "max_tokens": 12, **settings})


def ask(text: str) -> ChatMessage:
    return ChatMessage(role=MessageRole.USER, content=text)


def untaught() -> KVCompressor:
    tokenizer = copy.deepcopy(tokenizer_of())
    tokenizer.chat_template = None
    return KVCompressor(KV.model, tokenizer, keep=0.3, recent=8)


async def test_completes_about_a_context() -> None:
    context = KV.compress(PAGE)
    model = llm(context=context)
    found = model.complete("Who signed it?")
    assert found.text == KV.ask(context, "Who signed it?", max_new_tokens=12)
    raw: Any = found.raw
    asked = KV.question(context, "Who signed it?").shape[1]
    assert raw["usage"] == {
        "prompt_tokens": context.length + asked,
        "cached_tokens": context.length,
        "completion_tokens": 12,
        "total_tokens": context.length + asked + 12,
    }
    assert raw["kv"]["nbytes"] < raw["kv"]["nbytes_full"]
    pieces = list(model.stream_complete("Who signed it?"))
    assert len(pieces) > 3
    assert "".join(piece.delta or "" for piece in pieces) == pieces[-1].text == found.text
    assert pieces[-1].raw == raw
    assert (await model.acomplete("Who signed it?")).text == found.text
    streamed = [piece.text async for piece in await model.astream_complete("Who signed it?")]
    assert streamed == [piece.text for piece in pieces]


async def test_chats_read_the_older_turns_once() -> None:
    model, talk = llm(), [SYSTEM, ask("Who signed it?")]
    first = model.chat(talk)
    raw: Any = first.raw
    assert raw["kv"]["reused"] == 0
    context = KV.compress([{"role": "system", "content": PAGE}])
    assert first.message.content == KV.ask(context, "Who signed it?", max_new_tokens=12)
    again: Any = await model.achat(talk)
    assert again.raw["kv"]["reused"] == again.raw["usage"]["cached_tokens"] == context.length
    pieces: list[Any] = list(model.stream_chat([*talk, first.message, ask("When?")]))
    assert pieces[-1].raw["kv"]["reused"] == context.length
    assert "".join(piece.delta for piece in pieces) == pieces[-1].message.content
    streamed: list[Any] = [p async for p in await model.astream_chat([*talk, first.message, ask("When?")])]
    assert streamed[-1].message.content == pieces[-1].message.content
    assert streamed[-1].raw["kv"]["reused"] > context.length


def test_a_query_engine_answers_through_it() -> None:
    texts = ["The harbour office opened in 1931.", "Boats over 12 m need permit INV-2291."]
    index = VectorStoreIndex.from_documents([Document(text=text) for text in texts], embed_model=MockEmbedding(8))
    context = KV.compress(PAGE)
    for model in (llm(context=context), llm(), llm(kv=untaught())):
        engine = index.as_query_engine(llm=model)
        answer = str(engine.query("When did the office open?"))
        assert answer == str(engine.query("When did the office open?"))
        assert answer.strip() not in ("", "Empty Response")
    streaming: Any = index.as_query_engine(llm=llm(context=context), streaming=True)
    assert str(streaming.query("When did the office open?")).strip()


async def test_a_chat_engine_goes_on_through_it() -> None:
    model = llm()
    memory = Memory.from_defaults(token_limit=2000)
    engine = SimpleChatEngine.from_defaults(llm=model, system_prompt=PAGE, memory=memory)
    assert str(await engine.achat("Who signed it?"))
    second: Any = await engine.achat("When?")
    assert str(second)
    assert len(memory.get()) == 4


def test_without_a_template_prompts_are_text() -> None:
    kv = untaught()
    model = llm(kv=kv)
    assert not model.metadata.is_chat_model
    ids = kv.tokenizer(PAGE, return_tensors="pt")["input_ids"]
    made = kv.model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    expected = kv.tokenizer.decode(made, skip_special_tokens=True).strip()
    found: Any = model.complete(PAGE)
    assert found.text == expected
    assert found.raw["kv"]["reason"] == "a prompt is read as it is"
    assert llm().complete(PAGE, formatted=True).text == expected
    assert model.chat([SYSTEM, ask("Who?")]).message.content
    about = llm(kv=kv, context=kv.compress(PAGE))
    assert about.metadata.is_chat_model
    assert about.chat([ask("Who?")]).message.content == about.complete("Who?").text


def test_settings_of_a_call_and_of_the_window() -> None:
    context = KV.compress(PAGE)
    model = llm(context=context)
    whole = model.complete("Who?").text
    stop = whole[3:6]
    assert model.complete("Who?", stop=[stop]).text == whole[: whole.index(stop)].rstrip()
    short: Any = model.complete("Who?", max_tokens=3)
    assert (short.raw["usage"]["completion_tokens"], short.raw["finish_reason"]) == (3, "length")
    assert model.metadata.context_window == KV.model.config.max_position_embeddings - context.length
    with pytest.raises(ConfigError, match="does not take seed"):
        model.complete("Who?", seed=1)
    with pytest.raises(ConfigError, match="its content must be text"):
        model.chat([ChatMessage(role=MessageRole.USER, blocks=[ImageBlock(url="http://localhost/a.png")])])
    with pytest.raises(ValueError, match="needs a tokenizer"):
        llm(kv=KVCompressor(KV.model))
    assert "kv" not in model.to_dict()
