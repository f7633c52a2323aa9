"""The scorer of a vLLM server: the numbers of the model at hand, and an error for whatever else comes back."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ctxshrink.errors import ConfigError, ModelError
from ctxshrink.scorers import ServerScorer, TransformersScorer
from tests.scorers.conftest import CONFIG, TEXT, Tiny, loaded
from tests.scorers.loopback import Answer, Completions, Request, ask, good, refused, serve

WINDOW = CONFIG.max_position_embeddings
KEY = "sk-secret-of-the-test"
PAIRS = [(TEXT[:140], TEXT[140:200]), ("", TEXT), (TEXT * 6, " The wind"), ("", TEXT * 6), (TEXT[:140], ""), ("a", "b")]


@pytest.fixture
def vllm(tiny: Tiny) -> Iterator[tuple[str, Completions]]:
    """A server of the tiny model, and what it has been asked."""
    served = Completions(*loaded(tiny), name="tiny", window=WINDOW + 2, key=KEY)
    with serve(served) as url:
        yield url, served


def test_the_numbers_are_those_of_the_model_at_hand(tiny: Tiny, vllm: tuple[str, Completions]) -> None:
    expected = TransformersScorer(*loaded(tiny)).nll(PAIRS)
    for tokenizer in (None, loaded(tiny)[1], tiny.tokenizer):
        scorer = ServerScorer(vllm[0], "tiny", tokenizer=tokenizer, start=0, api_key=KEY, max_context=WINDOW)
        for found, wanted in zip(scorer.nll(PAIRS), expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_the_address_may_end_in_v1(vllm: tuple[str, Completions]) -> None:
    for url in (vllm[0] + "/v1", vllm[0] + "/v1/", vllm[0] + "/"):
        [nats] = ServerScorer(url, "tiny", api_key=KEY, max_context=WINDOW).nll([("", "gate")])
        assert len(nats) > 0


def test_a_pair_is_sent_once_and_a_text_is_tokenized_once(vllm: tuple[str, Completions]) -> None:
    url, served = vllm
    scorer = ServerScorer(url, "tiny", api_key=KEY, max_context=WINDOW)
    scorer.nll([("the gate", "north"), ("the gate", "level")] * 10)
    asked = [r.body["prompt"] for r in served.requests if r.path == "/tokenize" and not r.body["add_special_tokens"]]
    assert sorted(asked) == ["a", "level", "north", "the gate"]
    [completion] = [r.body for r in served.requests if r.path == "/v1/completions"]
    assert len(completion["prompt"]) == 2
    served.requests.clear()
    scorer.nll([("the gate", "north")])
    assert [r.path for r in served.requests] == ["/v1/completions"]


def test_many_pairs_go_in_several_requests(tiny: Tiny, vllm: tuple[str, Completions]) -> None:
    url, served = vllm
    scorer = ServerScorer(url, "tiny", tokenizer=loaded(tiny)[1], api_key=KEY, max_context=WINDOW)
    pairs = [("", f"gate {i}") for i in range(300)]
    found = scorer.nll(pairs)
    assert len(served.requests) == 2
    np.testing.assert_allclose(found[299], scorer.nll([pairs[299]])[0], atol=1e-4)


def test_nothing_is_sent_before_the_first_call_or_for_nothing(vllm: tuple[str, Completions]) -> None:
    scorer = ServerScorer(vllm[0], "tiny", api_key=KEY)
    assert scorer.nll([]) == []
    assert [len(n) for n in scorer.nll([("", "")])] == [0]
    assert vllm[1].requests == []


def test_a_wrong_name_key_or_window_is_said(tiny: Tiny, vllm: tuple[str, Completions]) -> None:
    url, _ = vllm
    tokenizer = loaded(tiny)[1]
    with pytest.raises(ModelError, match="status 404: The model `other` does not exist"):
        ServerScorer(url, "other", tokenizer=tokenizer, api_key=KEY).nll([("", "x")])
    with pytest.raises(ModelError, match="status 401") as caught:
        ServerScorer(url, "tiny", api_key="wrong-" + KEY).nll([("", "x")])
    assert KEY not in str(caught.value)
    with pytest.raises(ModelError, match=f"max_context={WINDOW} or less"):
        ServerScorer(url, "tiny", api_key=KEY, max_context=WINDOW + 1).nll([("", "x")])
    with pytest.raises(ModelError, match="maximum context length is 194"):
        ServerScorer(url, "tiny", tokenizer=tokenizer, api_key=KEY, max_context=400).nll([("", TEXT * 6)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": "localhost:8000"}, "url must be like"),
        ({"url": "ftp://localhost"}, "url must be like"),
        ({"url": "http://"}, "url must be like"),
        ({"url": "http://h:99999"}, "url must be like"),
        ({"url": "http://h/v1?key=1"}, "url must be like"),
        ({"url": "http://me:hidden@h"}, "api_key"),
        ({"api_key": "two\r\nlines"}, "api_key"),
        ({"api_key": ""}, "api_key"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"max_context": 7}, "max_context"),
        ({"start": -1}, "start"),
        ({"tokenizer": 7}, "tokenizer"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ServerScorer(**{"url": "http://localhost", "model": "m", **arguments})
    assert "hidden" not in str(caught.value)


def test_the_key_is_not_shown() -> None:
    scorer: Any = ServerScorer("http://localhost:1", "m", api_key=KEY)
    assert repr(scorer) == "ServerScorer('http://localhost:1', 'm')"
    assert KEY not in repr(scorer._client)


def changed(change: Callable[[Any], Any], path: str = "/v1/completions") -> Callable[[Request], Answer]:
    """A good server, but for its answers at a path."""

    def answer(request: Request) -> Answer:
        found = good(request)
        return Answer(change(found.body)) if request.path == path else found

    return answer


def last(value: Any) -> Callable[[Request], Answer]:
    """A good server, but for the last log-probability of its answers."""

    def change(body: Any) -> Any:
        for choice in body["choices"]:
            for entry in choice["prompt_logprobs"][-1].values():
                entry["logprob"] = value
        return body

    return changed(change)


def first_choice(change: Callable[[Any], None]) -> Callable[[Request], Answer]:
    def apply(body: Any) -> Any:
        change(body["choices"][0])
        return body

    return changed(apply)


def test_the_plain_server_is_good() -> None:
    one, other = ask(good)
    assert one.tolist() == [1.0] * 6
    assert other.tolist() == [1.0] * 5


def reversed_choices(body: Any) -> Any:
    return {"choices": body["choices"][::-1]}


def test_choices_are_taken_by_their_index() -> None:
    one, other = ask(changed(reversed_choices))
    assert (len(one), len(other)) == (6, 5)


DEEP = b"[" * 200_000
WRONG: dict[str, tuple[Callable[[Request], Answer], str]] = {
    "NaN": (last(float("nan")), "not finite"),
    "infinity": (last(float("-inf")), "not finite"),
    "vLLM's minus infinity": (last(-9999.0), "not finite"),
    "null": (last(None), "not finite"),
    "text": (last("-1.0"), "not finite"),
    "true": (last(True), "not finite"),
    "above 0": (last(0.5), "above 0"),
    "a huge number below 0": (last(-(10**400)), "not finite"),
    "a huge number": (last(10**400), "above 0"),
    "fewer entries than tokens": (first_choice(lambda c: c["prompt_logprobs"].pop()), "for 14 tokens"),
    "more entries than tokens": (first_choice(lambda c: c["prompt_logprobs"].append(None)), "for 14 tokens"),
    "an empty entry": (first_choice(lambda c: c["prompt_logprobs"].__setitem__(-1, {})), "lack a token"),
    "a null entry": (first_choice(lambda c: c["prompt_logprobs"].__setitem__(-1, None)), "lack a token"),
    "another token": (
        first_choice(lambda c: c["prompt_logprobs"].__setitem__(-1, {"9999": {"logprob": -1.0}})),
        "lack a token",
    ),
    "bare numbers": (first_choice(lambda c: c.update(prompt_logprobs=[None] + [-1.0] * 13)), "lack a token"),
    "no prompt_logprobs": (first_choice(lambda c: c.pop("prompt_logprobs")), "no prompt_logprobs"),
    "null prompt_logprobs": (first_choice(lambda c: c.update(prompt_logprobs=None)), "no prompt_logprobs"),
    "a choice too few": (changed(lambda b: {"choices": b["choices"][:1]}), "1 choices for 2 prompts"),
    "a choice twice": (changed(lambda b: {"choices": b["choices"][:1] * 2}), "not numbered"),
    "choices without numbers": (first_choice(lambda c: c.update(index=None)), "not numbered"),
    "choices of another shape": (changed(lambda _: {"choices": ["x", "y"]}), "not numbered"),
    "no choices": (changed(lambda _: {"id": 1}), "no list of choices"),
    "a list": (changed(lambda _: [1]), "no list of choices"),
    "a page": (changed(lambda _: b"<html>busy</html>"), "not JSON"),
    "nothing": (changed(lambda _: b""), "not JSON"),
    "deep nesting": (changed(lambda _: DEEP), "not JSON"),
    "bytes that are no text": (changed(lambda _: b"\xff\xfe\x00"), "not JSON"),
    "too long": (changed(lambda _: b" " * 3_000_000), "longer than"),
    "ids of another shape": (changed(lambda _: {"tokens": ["a"]}, "/tokenize"), "no list of token ids"),
    "a list of lists of ids": (changed(lambda _: {"tokens": [[1]]}, "/tokenize"), "no list of token ids"),
    "ids below 0": (changed(lambda _: {"tokens": [-1]}, "/tokenize"), "no list of token ids"),
    "a wrong count": (changed(lambda _: {"tokens": [1], "count": 2}, "/tokenize"), "it says 2"),
    "no /tokenize": (lambda r: refused(404, "gone") if r.path == "/tokenize" else good(r), "/tokenize: status 404"),
    "a small window": (changed(lambda b: {**b, "max_model_len": 100}, "/tokenize"), "max_context=98"),
    "no start token": (changed(lambda _: {"tokens": [5]}, "/tokenize"), "start="),
    "a redirect": (lambda _: Answer(b"", 307, {"Location": "http://localhost:1/"}), "status 307"),
    "an ending too soon": (lambda _: Answer(b"{}", headers={"Content-Length": "100"}), "connection failed|no whole"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_answer_is_an_error(what: str) -> None:
    answer, message = WRONG[what]
    with pytest.raises(ModelError, match=message):
        ask(answer)


def test_what_is_sent() -> None:
    sent: list[Request] = []

    def answer(request: Request) -> Answer:
        sent.append(request)
        return good(request)

    ask(answer, api_key=KEY, start=1)
    body = sent[-1].body
    assert body["model"] == "m"
    assert body["max_tokens"] == 1
    assert body["prompt_logprobs"] >= 1
    assert body["temperature"] == 1.0
    assert body["prompt"][0] == [1, *(b + 2 for b in b"contexttarget")]
    assert all(r.headers["Authorization"] == f"Bearer {KEY}" for r in sent)
    assert "context" not in json.dumps(body)


def test_a_shrinker_goes_on_without_its_server() -> None:
    from ctxshrink import PerplexityGuardrail, Shrinker

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    down = ServerScorer(f"http://127.0.0.1:{port}", "m", retries=0)
    text = "The office is closed on Mondays. The invoice INV-2291 was sent in May. Nobody answered the phone. " * 5
    result = Shrinker(guardrail=PerplexityGuardrail(scorer=down)).shrink_text(text, query="Which invoice?", keep=0.4)
    assert isinstance(result.output, str)
    assert "INV-2291" in result.output
