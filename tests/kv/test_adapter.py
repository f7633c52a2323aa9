"""KV-Distill's artefact: files, refusals, and a LoRA that touches what is selected and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ctxshrink.errors import ConfigError, ModelError
from ctxshrink.kv.adapter import AdapterSizes, KVDistillAdapter
from ctxshrink.kv.compressor import KVCompressor
from ctxshrink.kv.prefill import read
from ctxshrink.kv.types import Adjuster, Selector
from tests.kv.models import ids_of, model_of


def trained(model: Any, seed: int = 3) -> KVDistillAdapter:
    """An adapter whose LoRA weights do something."""
    adapter = KVDistillAdapter.new(model, width=16, rank=2, seed=seed)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in adapter.loras.parameters():
            p.copy_(torch.randn(p.shape, generator=draw) * 0.2)
    return adapter.requires_grad_(False)


@pytest.mark.parametrize("family", ["llama-gqa", "llama-mqa", "qwen3", "phi3", "gemma3"])
def test_an_adapter_ranks_and_adjusts_every_layer_that_is_compressed(family: str) -> None:
    model = model_of(family)
    adapter = trained(model)
    assert isinstance(adapter, Selector)
    assert isinstance(adapter, Adjuster)
    got = read(model, ids_of(2, 40), selector=adapter)
    assert tuple(got.scores) == adapter.card.sizes.layers == tuple(got.adjusted)
    for index, scores in got.scores.items():
        [block] = got.context.layers[index].blocks
        keys, values = got.adjusted[index]
        assert scores.shape == block.positions.shape
        assert bool(scores.isfinite().all())
        assert keys.shape == values.shape == block.dense()[0].shape
        assert not torch.allclose(keys, block.dense()[0])
        assert not torch.allclose(values, block.dense()[1])


def test_the_lora_changes_selected_positions_only() -> None:
    model = model_of("llama-gqa")
    adapter = trained(model)
    ids = ids_of(1, 60)
    plain = read(model, ids, selector=adapter)
    short = KVCompressor(model, select=adapter, keep=0.3, sink=2, recent=4).compress(ids)
    for index in adapter.card.sizes.layers:
        [whole] = plain.context.layers[index].blocks
        exact, adjusted = whole.dense(), plain.adjusted[index]
        blocks = short.layers[index].blocks
        assert sum(len(b) for b in blocks) == 18
        for block in blocks:
            at = block.positions.long()[..., None].expand(-1, -1, -1, exact[0].shape[-1])
            untouched = (block.positions < 2) | (block.positions >= 56)
            for stored, old, new in zip(block.dense(), exact, adjusted, strict=True):
                expected = torch.where(untouched[..., None], old.gather(2, at), new.gather(2, at))
                torch.testing.assert_close(stored, expected)


def test_a_new_adapter_changes_nothing_but_the_choice() -> None:
    model = model_of("llama-gqa")
    got = read(model, ids_of(1, 30), selector=KVDistillAdapter.new(model))
    for index, (keys, values) in got.adjusted.items():
        [block] = got.context.layers[index].blocks
        torch.testing.assert_close((keys, values), block.dense(), rtol=0, atol=0)


def test_padding_does_not_change_what_a_row_is_worth() -> None:
    model = model_of("llama-gqa")
    adapter = trained(model)
    ids = ids_of(1, 25)
    padded = torch.cat([torch.zeros(1, 7, dtype=torch.long), ids], dim=1)
    mask = torch.cat([torch.zeros(1, 7, dtype=torch.long), torch.ones_like(ids)], dim=1)
    alone, beside = read(model, ids, selector=adapter), read(model, padded, mask, selector=adapter)
    for index, scores in alone.scores.items():
        torch.testing.assert_close(beside.scores[index][..., 7:], scores, rtol=1e-4, atol=1e-4)


def test_an_adapter_comes_back_from_its_files(tmp_path: Path) -> None:
    model = model_of("llama-gqa")
    adapter = trained(model)
    adapter.save(tmp_path / "a")
    back = KVDistillAdapter.load(tmp_path / "a", model)
    assert back.card == adapter.card
    for name, weight in adapter.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], weight, rtol=1e-3, atol=1e-3)  # float16 in the file
    assert not any(p.requires_grad for p in back.parameters())
    back.save(tmp_path / "b")
    for file in ("adapter.safetensors", "card.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_another_model_is_refused(tmp_path: Path) -> None:
    trained(model_of("llama-gqa")).save(tmp_path)
    with pytest.raises(ConfigError, match="another model"):
        KVDistillAdapter.load(tmp_path, model_of("llama-mqa"))
    with pytest.raises(ConfigError, match="no KV adapter"):
        KVDistillAdapter.load(tmp_path / "nothing", model_of("llama-gqa"))


def _cut(folder: Path) -> None:
    file = folder / "adapter.safetensors"
    file.write_bytes(file.read_bytes()[:-40])


def _other_format(folder: Path) -> None:
    file = folder / "card.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))


def _no_json(folder: Path) -> None:
    (folder / "card.json").write_text("{")


def _other_sizes(folder: Path) -> None:
    file = folder / "card.json"
    card = json.loads(file.read_text())
    file.write_text(json.dumps({**card, "sizes": {**card["sizes"], "width": 8}}))


@pytest.mark.parametrize("harm", [_cut, _other_format, _no_json, _other_sizes])
def test_damaged_files_are_named(tmp_path: Path, harm: Any) -> None:
    model = model_of("llama-gqa")
    trained(model).save(tmp_path)
    harm(tmp_path)
    with pytest.raises(ModelError):
        KVDistillAdapter.load(tmp_path, model)


def test_sizes_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        AdapterSizes.of(model_of("llama-gqa"), rank=0)
