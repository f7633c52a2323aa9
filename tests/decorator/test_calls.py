"""How a decorated builder is called: as a method, as a coroutine function, from several tasks and threads."""

import asyncio
import copy
import functools
import inspect
import pickle
import threading
from typing import Any

import pytest

from ctxshrink.decorator import ShrinkingPrompt, shrink_prompt
from ctxshrink.errors import ConfigError
from ctxshrink.shrinker import Shrinker
from tests.decorator.material import ANSWER, CHUNKS, HISTORY, PLAIN, QUESTION, build, two


def test_positional_keyword_and_default_arguments_give_the_same_prompt() -> None:
    assert build(QUESTION, CHUNKS) == build(chunks=CHUNKS, question=QUESTION) == build(QUESTION, chunks=CHUNKS)

    @shrink_prompt(context="text", keep=0.5, shrinker=PLAIN)
    def with_default(text: str = CHUNKS[0]) -> str:
        return text

    assert with_default() == with_default(CHUNKS[0]) != CHUNKS[0]


def test_looks_like_the_builder() -> None:
    assert build.__name__ == "build"
    assert build.__doc__ == "Write the prompt."
    assert list(inspect.signature(build).parameters) == ["question", "chunks", "tone"]
    assert build.shrinker is PLAIN
    with pytest.raises(TypeError, match="question"):
        build(chunks=CHUNKS)  # pyright: ignore[reportCallIssue]


def test_is_pickled_and_copied_like_a_function() -> None:
    assert pickle.loads(pickle.dumps(build)) is build
    assert copy.deepcopy(build) is build
    nameless = shrink_prompt(keep=0.5, shrinker=PLAIN)(functools.partial(lambda text: text, "x"))
    with pytest.raises(ConfigError, match="partial returned str"):
        nameless()


async def test_async_builder_agrees_with_sync() -> None:
    @shrink_prompt(context=["chunks"], query="question", keep=0.3, shrinker=PLAIN)
    async def abuild(question: str, chunks: list[str], *, tone: str = "brief") -> str:
        await asyncio.sleep(0)
        return f"Answer in a {tone} tone.\n" + "\n".join(chunks) + f"\nQ: {question}"

    assert inspect.iscoroutinefunction(type(abuild).__call__)
    assert await abuild(QUESTION, CHUNKS) == build(QUESTION, CHUNKS)
    assert abuild.last_result == build.last_result

    @shrink_prompt(keep=0.4, shrinker=PLAIN)
    async def messages() -> list[dict[str, Any]]:
        return HISTORY

    assert await messages() == PLAIN.shrink_messages(HISTORY, keep=0.4).output


async def test_concurrent_calls_do_not_see_each_others_results() -> None:
    @shrink_prompt(context=["text"], keep=0.5, shrinker=PLAIN)
    async def prompt(text: str) -> str:
        return text

    async def one(text: str) -> tuple[str, str]:
        out = await prompt(text)
        await asyncio.sleep(0)
        assert prompt.last_result is not None
        return out, prompt.last_result.output["text"]

    pairs = await asyncio.gather(*(one(text) for text in CHUNKS * 4))
    assert all(out == seen for out, seen in pairs)
    assert len({out for out, _ in pairs}) == len(CHUNKS)
    assert prompt.last_result is None, "the tasks' results are their own"


def test_threads_do_not_see_each_others_results() -> None:
    build(QUESTION, CHUNKS)
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(build.last_result))
    thread.start()
    thread.join()
    assert seen == [None]
    assert build.last_result is not None


class _Assistant:
    def __init__(self) -> None:
        self.name = "Ada"

    @shrink_prompt(context=["chunks"], query="question", keep=0.3, shrinker=PLAIN)
    def method(self, question: str, chunks: list[str]) -> str:
        return self.name + "\n".join(chunks)

    @shrink_prompt(context=["chunks"], keep=0.3, shrinker=PLAIN)
    async def amethod(self, chunks: list[str]) -> str:
        return self.name + "\n".join(chunks)

    @staticmethod
    @shrink_prompt(context=["chunks"], keep=0.3, shrinker=PLAIN)
    def static(chunks: list[str]) -> str:
        return "\n".join(chunks)

    @classmethod
    @shrink_prompt(context=["chunks"], keep=0.3, shrinker=PLAIN)
    def klass(cls, chunks: list[str]) -> str:
        return cls.__name__ + "\n".join(chunks)


async def test_methods() -> None:
    assistant = _Assistant()
    prompt = assistant.method(QUESTION, CHUNKS)
    assert prompt.startswith("Ada")
    assert ANSWER in prompt
    assert assistant.method.shrinker is PLAIN
    assert assistant.method.last_result is _Assistant.method.last_result is not None
    plain = _Assistant.static(CHUNKS)
    assert plain == assistant.static(CHUNKS)
    assert len(plain) < len("\n".join(CHUNKS))
    assert await assistant.amethod(CHUNKS) == "Ada" + plain
    assert assistant.klass(CHUNKS) == "_Assistant" + plain
    with pytest.raises(ConfigError, match="above"):
        shrink_prompt(staticmethod(lambda: []))  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_bare_decorator_takes_the_default_shrinker() -> None:
    @shrink_prompt
    def messages() -> list[dict[str, Any]]:
        return [{"role": "user", "content": "Hello"}]

    assert isinstance(messages, ShrinkingPrompt)
    assert isinstance(messages.shrinker, Shrinker)
    assert messages() == [{"role": "user", "content": "Hello"}]


def test_variable_positional_arguments_can_be_named() -> None:
    decorated = shrink_prompt(context=["rest"], query="question", keep=0.3, shrinker=PLAIN)(two)
    out = decorated(QUESTION, ["untouched"], *CHUNKS)
    assert out[0] == "untouched"
    assert ANSWER in "".join(out)
    assert "apple" not in "".join(out)
