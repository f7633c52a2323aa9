"""The embedded encoder: a contextual vector and a few logits for every token, without torch.

A row of token ids is computed alone or with rows of the very same length, never padded, and the scales of its int8
arithmetic are constants or its own tokens': its numbers are the same bits whatever else is in the call, cached or not.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import ConfigError, ModelError
from ctxshrink.models import PRUNER, load_session, load_tokenizer, read_config
from ctxshrink.models._vectors import CACHE, Encoded
from ctxshrink.tokens import well_formed

__all__ = ["Encoded", "Encoder"]

_GROUP = 16384
"""Tokens whose vectors are held at once while rows are computed: 13 MB."""
_RUN = 256
"""Most tokens of a run. Larger runs leave the processor's cache and are not faster."""
_MOST_THREADS = 8
_LARGEST = float(np.finfo(np.float16).max)


class Encoder:
    """Runs the encoder of a model folder.

    Loading waits for the first call. Safe to use from several threads. All encoders of a process share one session a
    folder, and one cache (64 MB at most) of the vectors of rows read before.

    Args:
        folder: A model folder as `ctxshrink train pruner` writes it; None for the one that is shipped.
        threads: Rows are spread over this many threads, each computing one run of rows at a time; one row alone is
            computed by one thread. 0 for as many as there are processors for this process, at most 8.

    Attributes:
        name: The model's name from its ``config.json``.
        window: Most tokens of a row, [CLS] and [SEP] included.
        width: Length of a vector.
        heads: Logits of a token.
        cls: Id of [CLS], the first token of every row.
        sep: Id of [SEP], the last one and the one between title and text.
        unk: Id of [UNK], what a word becomes that the vocabulary cannot spell.
        config: The whole ``config.json``.

    Raises:
        ModelError: The configuration is missing or is not an encoder's.
        ConfigError: ``threads`` is negative.
    """

    def __init__(self, folder: str | Path | None = None, *, threads: int = 0) -> None:
        if threads < 0:
            raise ConfigError(f"threads must be >= 0, not {threads}")
        self._folder = PRUNER if folder is None else Path(folder)
        self._threads = threads or _processors()
        self.config: Mapping[str, Any] = read_config(self._folder)
        try:
            if self.config["format"] != "ctxshrink-pruner" or self.config["version"] != 1:
                raise ValueError(f"format {self.config['format']!r}, version {self.config['version']!r}")
            self.name = str(self.config["name"])
            self.window, self.width, self.heads, self._vocabulary, self.cls, self.sep, self.unk = (
                int(self.config[key]) for key in ("window", "width", "heads", "vocab_size", "cls", "sep", "unk")
            )
            self._salt = str(self.config["sha256"]["model.onnx"]).encode()
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{self._folder / 'config.json'}: not the configuration of a pruner: {error}") from error

    def __repr__(self) -> str:
        return f"Encoder({self.name!r})"

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without [CLS] and [SEP]. Lone surrogates are read as U+FFFD.

        Raises:
            ModelError: The tokenizer is missing, truncated or foreign.
        """
        encodings = load_tokenizer(self._folder).encode_batch_fast(
            [well_formed(t) for t in texts], add_special_tokens=False
        )
        return [e.ids for e in encodings]

    def encode(self, rows: Sequence[Sequence[int]]) -> list[Encoded]:
        """Vectors and logits of every row; `stream` does the same without holding all of them.

        Args:
            rows: Token ids, [CLS] and [SEP] included, at most `window` each.

        Raises:
            ConfigError: A row is longer than the window or holds an id that is none.
            ModelError: The model cannot be loaded, is foreign, or gives numbers that are not finite.
        """
        return list(self.stream(rows))

    def stream(self, rows: Iterable[Sequence[int]]) -> Iterator[Encoded]:
        """Vectors and logits of one row after the other, in order; reads ahead by 16,384 tokens.

        Args:
            rows: As for `encode`.

        Raises:
            ConfigError: As for `encode`.
            ModelError: As for `encode`.
        """
        group: list[NDArray[np.int64]] = []
        tokens = 0
        for row in rows:
            group.append(self._checked(row))
            tokens += len(row)
            if tokens >= _GROUP:
                yield from self._group(group)
                group, tokens = [], 0
        yield from self._group(group)

    def _checked(self, row: Sequence[int]) -> NDArray[np.int64]:
        if len(row) > self.window:
            raise ConfigError(f"a row has {len(row)} tokens, the window {self.window}: split it")
        if len(row) and not 0 <= min(row) <= max(row) < self._vocabulary:
            raise ConfigError(f"a row holds {min(row)} … {max(row)}; token ids are 0 … {self._vocabulary - 1}")
        return np.asarray(row, dtype=np.int64)

    def _group(self, rows: Sequence[NDArray[np.int64]]) -> Iterator[Encoded]:
        keys = [blake2b(row.tobytes(), digest_size=16, key=self._salt[:64]).digest() for row in rows]
        found: dict[bytes, Encoded] = {}
        missing: dict[int, dict[bytes, NDArray[np.int64]]] = defaultdict(dict)  # by length; equal rows once
        for key, row in zip(keys, rows, strict=True):
            if key not in found:
                known = CACHE.get(key)
                if known is None:
                    missing[len(row)][key] = row
                else:
                    found[key] = known
        for key, encoded in self._compute(missing):
            CACHE.put(key, encoded)
            found[key] = encoded
        for key in keys:
            yield found[key]

    def _compute(self, missing: Mapping[int, Mapping[bytes, NDArray[np.int64]]]) -> Iterable[tuple[bytes, Encoded]]:
        runs: list[list[tuple[bytes, NDArray[np.int64]]]] = []
        for length in sorted(missing, reverse=True):  # the longest first: threads then end at about the same time
            same = list(missing[length].items())
            size = max(1, _RUN // length) if length else len(same)
            runs += [same[i : i + size] for i in range(0, len(same), size)]
        if min(self._threads, len(runs)) <= 1:
            return chain.from_iterable(map(self._run, runs))
        with ThreadPoolExecutor(min(self._threads, len(runs)), "ctxshrink-encoder") as pool:
            return chain.from_iterable(list(pool.map(self._run, runs)))

    def _run(self, rows: Sequence[tuple[bytes, NDArray[np.int64]]]) -> list[tuple[bytes, Encoded]]:
        """Rows of one length."""
        ids = np.stack([row for _, row in rows])
        if not ids.size:
            vectors, logits = np.zeros((len(ids), 0, self.width), np.float32), np.zeros((len(ids), 0, self.heads))
        else:
            vectors, logits = self._outputs(ids)
        return [
            (key, Encoded(v.astype(np.float16), g.astype(np.float32)))
            for (key, _), v, g in zip(rows, vectors, logits, strict=True)
        ]

    def _outputs(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        file = self._folder / "model.onnx"
        # One thread inside a run: runs side by side keep all processors busy with less waiting for each other.
        session = load_session(self._folder, 1)
        try:
            vectors, logits = session.run(["vectors", "logits"], {"input_ids": ids})
        except Exception as error:  # onnxruntime's exceptions have no common class of their own
            raise ModelError(f"{file}: not the graph of a pruner: {error}") from error
        if vectors.shape != (*ids.shape, self.width) or logits.shape != (*ids.shape, self.heads):
            raise ModelError(f"{file}: the model gave {vectors.shape} and {logits.shape} for {ids.shape} tokens")
        # A comparison with NaN is false, so this is one pass for NaN, infinity and what float16 cannot hold.
        if not (np.abs(vectors).max() <= _LARGEST and np.isfinite(logits).all()):
            raise ModelError(f"{file}: the model gave numbers that are not finite")
        return vectors, logits


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    available = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return min(available, _MOST_THREADS)
