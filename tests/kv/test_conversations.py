"""Conversations: what was read is found again, by no one else, and read once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from ctxshrink.errors import ConfigError
from ctxshrink.kv.compressor import KVCompressor
from ctxshrink.kv.conversations import KVConversations, tokens_of
from ctxshrink.kv.pool import ContextPool
from ctxshrink.kv.prompts import prompt_ids
from ctxshrink.kv.types import LayerInput
from tests.kv.models import PAGE, model_of, tokenizer_of

TALK = [{"role": "system", "content": PAGE}, {"role": "user", "content": "Who signed it?"}]


def compressor(**settings: Any) -> KVCompressor:
    return KVCompressor(model_of("llama-gqa"), tokenizer_of(), **{"keep": 0.3, "recent": 8, **settings})


def test_the_parts_are_the_prompt() -> None:
    found = KVConversations(compressor(), pool=ContextPool(2**24)).asked(TALK)
    assert found.context is not None
    joined = torch.cat([found.context.ids.long(), found.ids], dim=-1)
    assert joined.tolist() == prompt_ids(tokenizer_of(), TALK).tolist()
    assert found.tokens == joined.shape[1] == found.created + found.ids.shape[1]
    assert found.figures()["kept"] < found.figures()["tokens"] == tokens_of(found.context)


def test_one_pool_keeps_compressors_apart() -> None:
    def by_place(layer: LayerInput) -> torch.Tensor:
        return torch.arange(layer.keys.shape[2]).expand(layer.keys.shape[:3]).float()

    pool = ContextPool(2**24)
    made = [compressor(), compressor(keep=0.5), compressor(select="snapkv"), compressor(quant="int8")]
    made += [compressor(select=by_place), compressor(select=by_place)]  # two functions might only look the same
    assert [KVConversations(kv, pool=pool).asked(TALK).reused for kv in made] == [0] * len(made)
    assert KVConversations(compressor(), pool=pool).asked(TALK).created == 0


def test_the_longest_beginning_is_extended() -> None:
    talks = KVConversations(compressor(), pool=ContextPool(2**24))
    turns = [{"role": role, "content": "Ann Lindt."} for role in ("assistant", "user") * 3]
    before = talks.asked(TALK).created
    for count in (2, 4, 6):
        found = talks.asked([*TALK, *turns[:count]])
        assert found.reused == before
        assert 0 < found.created < 60
        before += found.created
    branch = talks.asked([*TALK, *turns[:3], {"role": "user", "content": "When?"}])
    assert branch.reused > 0
    longer = [*TALK, *turns]
    assert torch.cat([found.context.ids.long(), found.ids], -1).tolist() == prompt_ids(tokenizer_of(), longer).tolist()  # type: ignore[union-attr]


def test_a_new_conversation_in_many_threads_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kv = compressor()
    reads, gate, plain = list[int](), threading.Barrier(4), kv.compress

    def counted(context: Any) -> Any:
        reads.append(1)
        return plain(context)

    monkeypatch.setattr(kv, "compress", counted)
    talks = KVConversations(kv, pool=ContextPool(2**24))

    def ask(_: int) -> Any:
        gate.wait()
        return talks.asked(TALK)

    with ThreadPoolExecutor(4) as workers:
        found = list(workers.map(ask, range(4)))
    assert len(reads) == 1
    assert sorted(one.created > 0 for one in found) == [False, False, False, True]


def test_a_context_takes_every_message() -> None:
    kv = compressor()
    context = kv.compress(PAGE)
    found = KVConversations(kv, context=context, pool=ContextPool(1)).asked(TALK[1:])
    assert found.context is context
    assert found.ids.tolist() == kv.question(context, "Who signed it?").tolist()
    assert (found.reused, found.created) == (context.length, 0)


def test_no_messages_are_refused() -> None:
    with pytest.raises(ConfigError, match="there is no question"):
        KVConversations(compressor(), pool=ContextPool(1)).asked([])
