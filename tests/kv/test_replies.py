"""Replies in pieces: joined they are the answer, cut where a stop string starts, with every token counted."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig

from ctxshrink.errors import ConfigError
from ctxshrink.kv.asking import Answering
from ctxshrink.kv.compressor import KVCompressor
from ctxshrink.kv.replies import Reply, _Decoded, _Shown
from tests.kv.models import PAGE, model_of, tokenizer_of


@pytest.fixture(scope="module")
def kv() -> KVCompressor:
    return KVCompressor(model_of("llama-gqa"), tokenizer_of(), keep=0.3, recent=8)


def reply(kv: KVCompressor, tokens: int = 24, stop: tuple[str, ...] = (), config: Any = None) -> Reply:
    context = kv.compress(PAGE)
    answering = Answering(kv.model, kv.tokenizer, tokens, config)
    return Reply(answering, context, kv.question(context, "Who signed it?"), stop)


def test_pieces_are_the_answer(kv: KVCompressor) -> None:
    found = reply(kv)
    pieces = list(found.pieces())
    assert len(pieces) > 3
    assert "".join(pieces) == kv.ask(kv.compress(PAGE), "Who signed it?", max_new_tokens=24)
    assert (found.tokens, found.finish) == (24, "length")


def test_without_a_context_all_ids_are_read(kv: KVCompressor) -> None:
    ids = torch.tensor([kv.tokenizer(PAGE)["input_ids"]])
    made = kv.model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    found = Reply(Answering(kv.model, kv.tokenizer, 12), None, ids)
    assert found.text() == kv.tokenizer.decode(made, skip_special_tokens=True).strip()
    assert found.tokens == 12


def test_a_stop_string_ends_the_answer_before_it(kv: KVCompressor) -> None:
    whole = reply(kv).text()
    stop = whole[5:9]
    found = reply(kv, stop=("never said", stop))
    assert found.text() == whole[: whole.index(stop)].rstrip()
    assert found.finish == "stop"
    assert 0 < found.tokens < 24


def test_the_end_token_ends_it(kv: KVCompressor) -> None:
    context = kv.compress(PAGE)
    ids = kv.question(context, "Who signed it?")
    made = Answering(kv.model, kv.tokenizer, 24).generate(context, ids)[0, ids.shape[1] :].tolist()
    last = made[6]
    config = GenerationConfig(do_sample=False, eos_token_id=[last], pad_token_id=0)
    found = reply(kv, config=config)
    assert found.text() == kv.tokenizer.decode(made[: made.index(last) + 1], skip_special_tokens=True).strip()
    assert (found.tokens, found.finish) == (made.index(last) + 1, "stop")


def test_beam_search_comes_in_one_piece(kv: KVCompressor) -> None:
    config = GenerationConfig(do_sample=False, num_beams=2, eos_token_id=2, pad_token_id=0)
    found = reply(kv, config=config)
    [piece] = list(found.pieces())
    assert piece == kv.ask(kv.compress(PAGE), "Who signed it?", max_new_tokens=24, generation_config=config)
    assert found.tokens <= 24


def test_who_leaves_stops_the_generation(kv: KVCompressor) -> None:
    before = set(threading.enumerate())
    found = reply(kv, tokens=100_000)
    with closing(found.pieces()) as pieces:
        next(pieces)
    assert found.tokens < 1000
    assert set(threading.enumerate()) <= before


def test_errors_of_the_model_are_the_readers(kv: KVCompressor) -> None:
    context = KVCompressor(model_of("qwen2"), tokenizer_of()).compress(PAGE)
    with pytest.raises(ConfigError, match="made by another model"):
        Reply(Answering(kv.model, kv.tokenizer, 4), context, torch.tensor([[5]])).text()
    with pytest.raises(ConfigError, match="stop string is empty"):
        reply(kv, stop=("",))


@given(st.lists(st.text(alphabet="ab \n", max_size=4), max_size=12), st.lists(st.text("ab \n", min_size=1, max_size=4)))
def test_any_pieces_and_stops(pieces: list[str], stops: list[str]) -> None:
    shown, said = _Shown(stops), ""
    for piece in pieces:
        said += shown.add(piece)
        if shown.stopped:
            break
    said += "" if shown.stopped else shown.rest()
    whole = "".join(pieces)
    ends = [whole.index(stop) for stop in stops if stop in whole]
    assert said == whole[: min(ends, default=len(whole))].strip()


@given(st.text(max_size=40), st.integers(1, 3))
def test_decoding_step_by_step_is_decoding(text: str, step: int) -> None:
    tokenizer = tokenizer_of()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    decoded = _Decoded(tokenizer)
    pieces = [decoded.add(ids[i : i + step]) for i in range(0, len(ids), step)]
    whole = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert "".join(pieces) + decoded.rest() == whole
    assert not any("�" in piece for piece in pieces) or "�" in text
