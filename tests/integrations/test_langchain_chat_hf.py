"""`ChatCompressedHF`: LangChain's own suites, and answers that are those of the compressed cache."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("langchain_tests")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_ctxshrink import ChatCompressedHF
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from ctxshrink.errors import ConfigError
from ctxshrink.kv.compressor import KVCompressor
from ctxshrink.kv.pool import ContextPool
from tests.kv.models import PAGE, model_of, tokenizer_of

KV = KVCompressor(model_of("llama-gqa"), tokenizer_of(), keep=0.3, recent=8)


def chat(**settings: Any) -> ChatCompressedHF:
    return ChatCompressedHF(**{"kv": KV, "max_tokens": 12, **settings})


class _Standard:
    @property
    def chat_model_class(self) -> type[ChatCompressedHF]:
        return ChatCompressedHF

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"kv": KV}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"temperature": 0, "max_tokens": 16, "stop": []}  # there is no server: no timeout and no retries

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False


class TestStandardUnit(_Standard, ChatModelUnitTests):
    pass


class TestStandardIntegration(_Standard, ChatModelIntegrationTests):
    @property
    def supported_usage_metadata_details(self) -> Any:
        return {"invoke": ["cache_read_input", "cache_creation_input"], "stream": []}

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        return chat(context=KV.compress(PAGE)).invoke("Who signed it?")

    def invoke_with_cache_creation_input(self, *, stream: bool = False) -> AIMessage:
        return chat().invoke([SystemMessage(PAGE), HumanMessage("Who signed it?")])


def figures(message: AIMessage) -> tuple[int, int, int, int]:
    usage: Any = message.usage_metadata
    details = usage["input_token_details"]
    return usage["input_tokens"], details["cache_read"], details["cache_creation"], usage["output_tokens"]


def test_answers_from_a_context() -> None:
    context = KV.compress(PAGE)
    model = chat(context=context)
    found = model.invoke("Who signed it?")
    assert found.content == KV.ask(context, "Who signed it?", max_new_tokens=12)
    asked = KV.question(context, "Who signed it?").shape[1]
    assert figures(found) == (context.length + asked, context.length, 0, 12)
    told = found.response_metadata
    assert told["finish_reason"] == "length"
    assert told["kv"]["tokens"] == context.length
    assert told["kv"]["nbytes"] == context.report.nbytes < told["kv"]["nbytes_full"]
    assert (told["kv"]["read"], told["kv"]["reused"]) == (asked, context.length)


async def test_streams_tokens_and_the_same_text() -> None:
    class Recorder(BaseCallbackHandler):
        def __init__(self) -> None:
            self.tokens: list[str] = []

        def on_llm_new_token(self, token: str, **_: Any) -> Any:
            self.tokens.append(token)

    model, recorder = chat(context=KV.compress(PAGE)), Recorder()
    chunks = list(model.stream("Who signed it?", config={"callbacks": [recorder]}))
    assert len(chunks) > 3
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    invoked = model.invoke("Who signed it?")
    assert isinstance(whole, AIMessageChunk)
    assert (whole.content, whole.usage_metadata) == (invoked.content, invoked.usage_metadata)
    assert whole.response_metadata["kv"] == invoked.response_metadata["kv"]
    assert "".join(recorder.tokens) == whole.content
    streamed = [chunk.content async for chunk in model.astream("Who signed it?")]
    assert streamed == [chunk.content for chunk in chunks]
    assert (await model.ainvoke("Who signed it?")).content == whole.content


def test_stop_strings_and_settings_of_a_call() -> None:
    model = chat(context=KV.compress(PAGE))
    whole = str(model.invoke("Who?").content)
    stop = whole[3:6]
    cut = model.invoke("Who?", stop=[stop])
    assert cut.content == whole[: whole.index(stop)].rstrip()
    assert cut.response_metadata["finish_reason"] == "stop"
    assert chat(context=KV.compress(PAGE), stop=[stop]).invoke("Who?").content == cut.content
    assert figures(model.invoke("Who?", max_tokens=3))[3] == 3
    assert isinstance(model.bind(temperature=0.7).invoke("Who?").content, str)
    with pytest.raises(ConfigError, match="does not take seed"):
        model.invoke("Who?", seed=1)


def test_a_conversation_is_read_once_and_grows() -> None:
    model = chat()
    talk: list[BaseMessage] = [SystemMessage(PAGE), HumanMessage("Who signed it?")]
    first = model.invoke(talk)
    total, read, created, _ = figures(first)
    system = created
    assert read == 0
    assert total > system > 50
    assert first.content == KV.ask(
        KV.compress([{"role": "system", "content": PAGE}]), "Who signed it?", max_new_tokens=12
    )

    assert figures(model.invoke(talk))[1:3] == (system, 0)
    talk += [first, HumanMessage("When?")]
    second = model.invoke(talk)
    assert figures(second)[1] == system
    grown = figures(second)[2]
    assert 0 < grown < system
    talk += [second, HumanMessage("Where?")]
    third = model.invoke(talk)
    assert figures(third)[1] == system + grown
    assert third.response_metadata["kv"]["kept"] < figures(third)[1] + figures(third)[2]
    other = model.invoke([SystemMessage("Be short."), *talk[1:]])
    assert figures(other)[1] == 0


def test_a_pool_too_small_for_anything_only_costs_time() -> None:
    talk: list[BaseMessage] = [SystemMessage(PAGE), HumanMessage("Who signed it?")]
    model = chat(pool=ContextPool(1))
    assert model.invoke(talk).content == chat().invoke(talk).content
    assert figures(model.invoke(talk))[1] == 0


def test_kvzip_reads_a_grown_conversation_again() -> None:
    kv = KVCompressor(KV.model, KV.tokenizer, select="kvzip", keep=0.5, recent=8)
    model = chat(kv=kv)
    first = model.invoke([SystemMessage(PAGE), HumanMessage("Who?")])
    second = model.invoke([SystemMessage(PAGE), HumanMessage("Who?"), first, HumanMessage("When?")])
    assert figures(second)[1] == 0
    assert figures(second)[2] > figures(first)[2]


def test_what_cannot_be_compressed_is_read_as_it_is_and_says_so() -> None:
    alone = chat().invoke("Who signed it?")
    assert alone.response_metadata["kv"]["reason"] == "there is nothing before the newest turn"
    turns = tokenizer_of().__class__(tokenizer_object=tokenizer_of()._tokenizer, eos_token="</s>", bos_token="<s>")
    turns.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'user' and loop.last %}{{ messages[0]['content'] }} {% endif %}"
        "{% if not loop.first %}{{ m['content'] }}</s>{% endif %}{% endfor %}"
    )
    model = chat(kv=KVCompressor(KV.model, turns))
    found = model.invoke([SystemMessage("Be short."), HumanMessage("A boat."), AIMessage("Yes."), HumanMessage("Who?")])
    assert "changes earlier messages" in found.response_metadata["kv"]["reason"]
    assert figures(found)[1:3] == (0, 0)


def test_tool_results_and_thoughts_are_told_as_templates_read_them() -> None:
    call = {"name": "log", "args": {"day": 3}, "id": "1"}
    said = AIMessage([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "I look."}], tool_calls=[call])
    talk = [HumanMessage("Who?"), said, ToolMessage("Ann Lindt.", tool_call_id="1", name="log"), HumanMessage("When?")]
    found = chat().invoke(talk)
    assert figures(found)[2] > 0
    plain = [
        HumanMessage("Who?"),
        AIMessage("I look."),
        ToolMessage("Ann Lindt.", tool_call_id="1"),
        HumanMessage("When?"),
    ]
    assert chat().invoke(plain).content == found.content


def test_another_context_is_another_model_to_caches_of_answers() -> None:
    names = [chat()._get_llm_string(), chat(max_tokens=13)._get_llm_string()]
    names += [chat(context=KV.compress(text))._get_llm_string() for text in (PAGE, PAGE[1:])]
    assert len(set(names)) == 4
    assert chat(context=KV.compress(PAGE))._get_llm_string() == names[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kv": KVCompressor(KV.model)}, "needs a tokenizer"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
    ],
)
def test_wrong_settings_are_refused_at_once(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chat(**settings)


def test_several_rows_are_no_context_of_a_chat() -> None:
    ids = KV.compress(PAGE).ids.long()
    with pytest.raises(ValueError, match="2 rows"):
        chat(context=KV.compress(ids.expand(2, -1)))
    with pytest.raises(ConfigError, match="its content must be text"):
        chat().invoke([HumanMessage([{"type": "image_url", "image_url": {"url": "data:,"}}])])
