"""How fast and how large: decoding and reading with a compressed cache and with the model's own, in turn."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, cast

import torch
from torch import Tensor

from ctxshrink.errors import ConfigError
from ctxshrink.kv.compressor import KVCompressor

VOCABULARY: Final = 512
_WARM: Final = 2
"""First steps of a decoding that are not counted."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A random Llama with grouped queries.

    Attributes:
        hidden: Hidden size.
        layers: Layers.
        heads: Query heads.
        groups: Key-value heads.
        size: Size of a head; None is the hidden size by heads.
        half: In bfloat16 rather than float32.
    """

    hidden: int = 256
    layers: int = 2
    heads: int = 8
    groups: int = 2
    size: int | None = None
    half: bool = False


HELD: Final = Shape(hidden=256, layers=8, heads=8, groups=4, size=128)
"""For memory: 32 KiB of keys and values for each token, so that the cache is most of what a process holds."""


@dataclass(frozen=True, slots=True)
class Pace:
    """One length of context; each time is the median of the repeats, seconds.

    Attributes:
        tokens: Tokens of the context.
        kept: Entries that a head keeps.
        full_step: Decoding a token behind the model's own cache.
        step: The same behind the compressed one.
        full_prefill: Reading the context, without anything else.
        prefill: Reading and compressing it.
        full_bytes: Bytes of the model's own cache: keys and values.
        nbytes: Bytes of the compressed context.
    """

    tokens: int
    kept: int
    full_step: float
    step: float
    full_prefill: float
    prefill: float
    full_bytes: int
    nbytes: int

    @property
    def speedup(self) -> float:
        """Decoded tokens per second, over those of the full cache."""
        return self.full_step / self.step

    @property
    def overhead(self) -> float:
        """Time to read and compress over the time to read."""
        return self.prefill / self.full_prefill


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process of its own holds, bytes; on a GPU, what its allocator has given out.

    Attributes:
        tokens: Tokens of the context.
        full: Growth by reading the context into the model's own cache.
        compressed: Growth that is left when that is gone and the compressed context is there.
        full_tensors: Bytes of the cache's keys and values.
        tensors: Bytes of the compressed context.
    """

    tokens: int
    full: int
    compressed: int
    full_tensors: int
    tensors: int


def build(shape: Shape, device: str, *, seed: int = 0) -> Any:
    """The model, in evaluation mode; its weights are random, and the same for the same seed."""
    from transformers import LlamaConfig, LlamaForCausalLM

    settings: Any = {
        "vocab_size": VOCABULARY, "hidden_size": shape.hidden, "intermediate_size": 2 * shape.hidden,
        "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads, "num_key_value_heads": shape.groups,
        "head_dim": shape.size or shape.hidden // shape.heads,
        "max_position_embeddings": 1 << 21, "eos_token_id": None, "bos_token_id": 0, "pad_token_id": None,
    }  # fmt: skip
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: there is no usable GPU here; take --device cpu")
    with cast(Any, torch.random).fork_rng(devices=[]):
        cast(Any, torch).manual_seed(seed)
        model: Any = LlamaForCausalLM(LlamaConfig(**settings))
    return model.to(device, torch.bfloat16 if shape.half else torch.float32).eval()


def measure(
    model: Any,
    lengths: Sequence[int],
    *,
    keep: float = 0.1,
    select: str = "keydiff",
    new: int = 24,
    repeats: int = 3,
    step: Callable[[str], None] = lambda _: None,
) -> Iterator[Pace]:
    """Times both in turn, length by length.

    Args:
        model: From `build`.
        lengths: Tokens of the contexts.
        keep: Share to keep.
        select: Selector.
        new: Tokens to decode and count.
        repeats: Of every time.
        step: Called after each repeat.

    Yields:
        One for each length.
    """
    compressor = KVCompressor(model, select=select, keep=keep)
    warm = 1  # the very first run loads whatever is loaded on use
    for tokens in lengths:
        ids = tokens_of(tokens).to(model.device)
        runs = list[_Run]()
        for _ in range(repeats + warm):
            runs.append(_run(model, compressor, ids, new))
            step(f"{tokens:,} tokens")
        runs, warm = runs[warm:], 0
        yield Pace(
            tokens, runs[0].kept, median([t for r in runs for t in r.full_steps]),
            median([t for r in runs for t in r.steps]), median([r.full_prefill for r in runs]),
            median([r.prefill for r in runs]), runs[0].full_bytes, runs[0].nbytes,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Run:
    full_prefill: float
    prefill: float
    full_steps: list[float]
    steps: list[float]
    kept: int
    full_bytes: int
    nbytes: int


def _run(model: Any, compressor: KVCompressor, ids: Tensor, new: int) -> _Run:
    tokens = ids.shape[1]
    full_prefill, cache = _timed(model, lambda: read_plain(model, ids))
    size = cache_bytes(cache)
    prefill, context = _timed(model, lambda: compressor.compress(ids))
    mine = context.to_cache()
    # Step by step in turn, so that what else the machine does meets both alike.
    pairs = [(_step(model, cache, tokens + i), _step(model, mine, tokens + i)) for i in range(_WARM + new)][_WARM:]
    return _Run(
        full_prefill, prefill, [p[0] for p in pairs], [p[1] for p in pairs], context.physical, size, context.nbytes
    )


def tokens_of(count: int, seed: int = 0) -> Tensor:
    """Random token ids, shape (1, count)."""
    return torch.randint(1, VOCABULARY, (1, count), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def read_plain(model: Any, ids: Tensor) -> Any:
    """The model's own cache after reading some tokens."""
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
    return cache


def cache_bytes(cache: Any) -> int:
    """Bytes of the keys and values of a cache of `transformers`."""
    return sum(int(layer.keys.nbytes + layer.values.nbytes) for layer in cache.layers)


@torch.no_grad()
def _step(model: Any, cache: Any, place: int) -> float:
    one = torch.ones(1, 1, dtype=torch.long, device=model.device)
    at = torch.full_like(one, place)
    return _timed(model, lambda: model(input_ids=one, position_ids=at, past_key_values=cache, use_cache=True).logits)[0]


def _timed(model: Any, work: Callable[[], Any]) -> tuple[float, Any]:
    _wait(model)
    start = time.perf_counter()
    made = work()
    _wait(model)
    return time.perf_counter() - start, made


def _wait(model: Any) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize()


def memory(shape: Shape, tokens: int, *, keep: float = 0.1, select: str = "keydiff", device: str = "cpu") -> Memory:
    """What is held before and after, in a fresh process.

    Raises:
        RuntimeError: The process failed.
    """
    settings = [shape.hidden, shape.layers, shape.heads, shape.groups, shape.size, shape.half]
    task = {"shape": settings, "tokens": tokens, "keep": keep, "select": select, "device": device}
    command = [sys.executable, "-m", "ctxshrink.bench.kv_speed"]
    done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the fresh process failed: {done.stderr.strip()[-500:]}")
    return Memory(**json.loads(done.stdout.splitlines()[-1]))


def _held(device: str) -> int:
    """Bytes that this process holds now, once what is free has been given back."""
    gc.collect()
    if device == "cuda":
        return int(torch.cuda.memory_allocated())
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        raise ConfigError("the memory of a process can be measured on Linux only")
    return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _hold(task: dict[str, Any]) -> dict[str, int]:
    device, tokens = str(task["device"]), int(task["tokens"])
    model = build(Shape(*task["shape"]), device)
    compressor = KVCompressor(model, select=task["select"], keep=task["keep"])
    ids = tokens_of(tokens).to(device)
    compressor.compress(ids[:, :64])  # whatever loads at first use is not the cache's
    read_plain(model, ids[:, :64])
    before = _held(device)
    cache = read_plain(model, ids)
    full, size = _held(device) - before, cache_bytes(cache)
    del cache
    context = compressor.compress(ids)
    small = _held(device) - before
    return {
        "tokens": tokens, "full": full, "compressed": small, "full_tensors": size, "tensors": context.nbytes
    }  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_hold(cast("dict[str, Any]", json.load(sys.stdin)))) + "\n")
