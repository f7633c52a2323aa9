"""Saved contexts: the same when loaded, by any process, for the model and tokenizer that made them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from ctxshrink.errors import ConfigError

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from ctxshrink.kv.context import CompressedContext  # noqa: E402
from ctxshrink.kv.files import load_context, save_context  # noqa: E402
from ctxshrink.kv.prefill import continue_logits  # noqa: E402
from ctxshrink.kv.types import Block, KVAttempt, KVReport, KVVerdict, LayerStates  # noqa: E402

from .contexts import context_of, tensors_of  # noqa: E402
from .models import ids_of, model_of, tokenizer_of  # noqa: E402


def test_nothing_of_a_context_is_left_out() -> None:
    """A field that is added to one of these must be added to `ctxshrink.kv._parts`, and then here."""
    told = {kind.__name__: [f.name for f in fields(kind)] for kind in (CompressedContext, LayerStates, Block)}
    assert told == {
        "CompressedContext": ["layers", "length", "padding", "ids", "fingerprint", "prompt", "report"],
        "LayerStates": ["blocks", "window"],
        "Block": ["keys", "values", "positions", "scores", "covers", "tier"],
    }
    told = {kind.__name__: [f.name for f in fields(kind)] for kind in (KVReport, KVAttempt, KVVerdict)}
    assert told == {
        "KVReport": [
            "tokens", "kept", "nbytes", "nbytes_full", "attempts", "fallback", "reason", "prefill_seconds",
            "compress_seconds",
        ],
        "KVAttempt": ["select", "keep", "nbytes", "verdict"],
        "KVVerdict": ["ok", "kl", "ppl_ratio", "reason"],
    }  # fmt: skip


@pytest.mark.parametrize("family", ["llama-gqa", "qwen3", "gemma3"])
@pytest.mark.parametrize("quantized", [True, False])
def test_what_is_loaded_is_what_was_saved(tmp_path: Path, family: str, quantized: bool) -> None:
    made = context_of(family, quantized=quantized)
    made.save(tmp_path / "a.ctxkv")
    back = CompressedContext.load(tmp_path / "a.ctxkv", model_of(family))
    for ours, theirs in zip(tensors_of(back), tensors_of(made), strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)
    assert (back.length, back.fingerprint, back.prompt, back.report) == (
        made.length,
        made.fingerprint,
        made.prompt,
        made.report,
    )
    assert [[(b.covers, b.tier) for b in s.blocks] for s in back.layers] == [
        [(b.covers, b.tier) for b in s.blocks] for s in made.layers
    ]
    assert [s.window for s in back.layers] == [s.window for s in made.layers]
    assert back.nbytes == made.nbytes
    asked = ids_of(2, 5, seed=3)
    assert torch.equal(
        continue_logits(model_of(family), back, asked), continue_logits(model_of(family), made, asked)
    )  # fmt: skip


def test_the_same_context_gives_the_same_bytes_and_a_loaded_one_can_be_saved(tmp_path: Path) -> None:
    made = context_of()
    made.save(tmp_path / "a")
    made.save(str(tmp_path / "b"))
    load_context(tmp_path / "a", model_of("llama-gqa")).save(tmp_path / "a")  # over the file that it is mapped from
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) & 0o077 == 0


def test_others_can_read_it_as_safetensors(tmp_path: Path) -> None:
    context_of().save(tmp_path / "a")
    tensors = safetensors.load_file(tmp_path / "a")
    assert tensors["layers.0.blocks.1.keys"].shape == (2, 2, 8, 8)
    assert tensors["layers.2.blocks.0.values.codes"].dtype == torch.uint8


def test_tensors_are_mapped_from_the_file(tmp_path: Path) -> None:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("asks Linux what is mapped")
    context_of().save(tmp_path / "mapped.ctxkv")
    context = load_context(tmp_path / "mapped.ctxkv", model_of("llama-gqa"))
    ranges = [
        [int(end, 16) for end in line.split()[0].split("-")]
        for line in maps.read_text().splitlines()
        if line.endswith("mapped.ctxkv")
    ]
    for tensor in tensors_of(context):
        assert any(low <= tensor.data_ptr() < high for low, high in ranges)


_OTHER_PROCESS = """
import sys
import torch
from ctxshrink.kv.files import load_context
from ctxshrink.kv.prefill import continue_logits
from tests.kv.models import ids_of, model_of
torch.set_num_threads(1)
context = load_context(sys.argv[1], model_of("llama-gqa"))
print(continue_logits(model_of("llama-gqa"), context, ids_of(2, 5, seed=3)).argmax(-1).tolist())
"""


def test_another_process_answers_the_same_from_the_file(tmp_path: Path) -> None:
    context_of().save(tmp_path / "a")
    ours = load_context(tmp_path / "a", model_of("llama-gqa"))  # open in both at once
    root = Path(__file__).parents[2]
    found = subprocess.run(
        [sys.executable, "-c", _OTHER_PROCESS, str(tmp_path / "a")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert found.returncode == 0, found.stderr
    expected = continue_logits(model_of("llama-gqa"), ours, ids_of(2, 5, seed=3)).argmax(-1).tolist()
    assert json.loads(found.stdout) == expected


def test_another_model_is_refused(tmp_path: Path) -> None:
    context_of().save(tmp_path / "a")
    with pytest.raises(ConfigError, match="another model"):
        load_context(tmp_path / "a", model_of("llama-mha"))


def test_another_tokenizer_or_template_is_refused(tmp_path: Path) -> None:
    model, tokenizer = model_of("llama-gqa"), tokenizer_of()
    save_context(context_of(), tmp_path / "a", tokenizer=tokenizer)
    save_context(context_of(), tmp_path / "b")
    assert load_context(tmp_path / "a", model, tokenizer=tokenizer).length == 40
    before = tokenizer.chat_template
    try:
        tokenizer.chat_template = "{{ messages }}"
        with pytest.raises(ConfigError, match="another chat template"):
            load_context(tmp_path / "a", model, tokenizer=tokenizer)
        assert load_context(tmp_path / "b", model, tokenizer=tokenizer).length == 40  # notes none
        assert load_context(tmp_path / "a", model).length == 40
    finally:
        tokenizer.chat_template = before


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    context = context_of(rows=1, tokens=12)
    for path in (tmp_path / "none" / "a", tmp_path):
        with pytest.raises(ConfigError, match="context file"):
            save_context(context, path)
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_context(path, model_of("llama-gqa"))


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    made = context_of(rows=1, tokens=12)
    made.save(tmp_path / "a")
    before = (tmp_path / "a").read_bytes()
    bad = replace(made.layers[0].blocks[1], positions="not a tensor")
    broken = replace(made, layers=(replace(made.layers[0], blocks=(made.layers[0].blocks[0], bad)), *made.layers[1:]))
    with pytest.raises(AttributeError):
        save_context(broken, tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == before
