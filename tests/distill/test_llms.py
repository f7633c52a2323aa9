"""Language models of LangChain and LlamaIndex, and endpoints, through the same four lines."""

from __future__ import annotations

from typing import Any

import pytest

from ctxshrink.distill import Source
from ctxshrink.distill.llms import LLM, Completion, LangChainLLM, LlamaIndexLLM, OpenAIEndpoint, as_llm
from ctxshrink.errors import ConfigError, CtxShrinkError
from tests.distill.chat import KEY, listed, model, said
from tests.distill.harbour import FACTS, HARBOUR, facts_of
from tests.scorers.loopback import Answer


def test_an_endpoint() -> None:
    with model(lambda _: said("Hello.", prompt_tokens=7, completion_tokens=2)) as (url, asked):
        llm = OpenAIEndpoint(url + "/v1/chat/completions", "m-1", api_key=KEY, temperature=None)
        assert llm.complete("Be short.", "Say \ud800hello", max_tokens=9) == Completion("Hello.", 7, 2)
        newer = OpenAIEndpoint(url, "m-2", max_tokens_field="max_completion_tokens")
        newer.complete("s", "u", max_tokens=5)
    first, second = asked.requests
    assert first.path == second.path == "/v1/chat/completions"
    assert first.body["max_tokens"] == 9
    assert "temperature" not in first.body
    assert second.body["max_completion_tokens"] == 5
    assert first.body["messages"][1]["content"] == "Say \ufffdhello"
    assert KEY not in repr(llm)
    assert isinstance(llm, LLM)


@pytest.mark.parametrize("content", [None, "", 3, ["x"]])
def test_an_answer_without_text_is_empty(content: object) -> None:
    with model(lambda _: said(content)) as (url, _):
        assert OpenAIEndpoint(url, "m").complete("s", "u", max_tokens=5) == Completion("")


@pytest.mark.parametrize(
    "body", [[], {}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": "x"}]}, "x", None]
)
def test_an_answer_of_another_form_is_an_error(body: object) -> None:
    with model(lambda _: Answer(body)) as (url, _), pytest.raises(CtxShrinkError, match="no choices"):
        OpenAIEndpoint(url, "m").complete("s", "u", max_tokens=5)


def test_an_error_repeats_neither_the_key_nor_the_text() -> None:
    refused = Answer({"error": {"message": f"the key {KEY} may not say 'the secret text'"}}, 403)
    with model(lambda _: refused) as (url, _), pytest.raises(CtxShrinkError, match="status 403") as caught:
        OpenAIEndpoint(url, "m", api_key=KEY).complete("s", "the secret text", max_tokens=5)
    assert "secret" not in str(caught.value)


def test_what_is_wrong_raises() -> None:
    for arguments, named in (
        ({"url": "ftp://host", "model": "m"}, "url"),
        ({"url": "http://host", "model": ""}, "model"),
        ({"url": "http://host", "model": "m", "timeout": 0}, "timeout"),
        ({"url": "http://host", "model": "m", "api_key": "a b"}, "api_key"),
        ({"url": "http://host", "model": "m", "max_tokens_field": "n"}, "max_tokens_field"),
    ):
        with pytest.raises(ConfigError, match=named):
            OpenAIEndpoint(**arguments)
    with pytest.raises(ConfigError, match="llm must be"):
        as_llm(object())


def test_a_chat_model_of_langchain() -> None:
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    usage: Any = {"input_tokens": 11, "output_tokens": 4, "total_tokens": 15}
    blocks: Any = [{"type": "text", "text": listed(FACTS)}]
    answers = [AIMessage("Hi."), AIMessage(listed(FACTS), usage_metadata=usage), AIMessage(blocks)]
    chat = GenericFakeChatModel(messages=iter(answers))
    llm = as_llm(chat)
    assert isinstance(llm, LangChainLLM)
    assert llm.name == "generic-fake-chat-model"
    assert llm.complete("s", "u", max_tokens=9) == Completion("Hi.")
    assert llm.complete("s", "u", max_tokens=9) == Completion(listed(FACTS), 11, 4)
    [made] = facts_of(chat).distill([Source(HARBOUR)])
    assert made.text == "\n".join(FACTS)


def test_models_of_llama_index() -> None:
    from llama_index.core.base.llms.types import CompletionResponse, LLMMetadata
    from llama_index.core.llms import CustomLLM, MockLLM

    class Scripted(CustomLLM):
        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata(model_name="scripted-1")

        def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
            return CompletionResponse(text=listed(FACTS))

        def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            raise NotImplementedError

    llm = as_llm(Scripted())
    assert isinstance(llm, LlamaIndexLLM)
    assert llm.name == "scripted-1"
    [made] = facts_of(Scripted()).distill([Source(HARBOUR)])
    assert made.text == "\n".join(FACTS)
    mock = as_llm(MockLLM(max_tokens=5))
    assert mock.name == "MockLLM"
    assert mock.complete("s", "u", max_tokens=5).text == "text text text text text"
    [made] = facts_of(mock).distill([Source(HARBOUR)])
    assert made.method == "extractive"


def test_a_model_by_its_path_is_named_by_its_last_part() -> None:
    class Local:
        model_name = "/home/someone/models/tiny-chat/"

    assert LangChainLLM(Local()).name == "tiny-chat"
    assert LangChainLLM(Local(), name="mine").name == "mine"
