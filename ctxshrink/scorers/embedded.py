"""The embedded scorer: a small Llama model run by onnxruntime, offline and without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxshrink._lru import LruCache, digest
from ctxshrink.errors import ConfigError, ModelError
from ctxshrink.models import SCORER, load_session, load_tokenizer, read_config, read_file
from ctxshrink.scorers._chunks import Chunk, Known, place
from ctxshrink.scorers._kept import Block, Blocks, Session
from ctxshrink.scorers._mixture import Mixture
from ctxshrink.scorers._ngrams import FILE, NgramTable
from ctxshrink.scorers._offsets import TokenScorer, tile
from ctxshrink.scorers._pairs import score_distinct
from ctxshrink.scorers._windows import Window, group_windows, split_windows
from ctxshrink.tokens import well_formed
from ctxshrink.types import Span

__all__ = ["EmbeddedScorer"]

_ROWS = 8
"""Chunks a run: bounds the logits to 8 * 64 * vocabulary floats, 25 MB."""
_GROUP = 8192
"""Tokens whose keys and values are held at once: 8 kB each, 64 MB."""
_SESSION_BYTES = 2**27
"""Keys and values that a session holds: those of 16,384 tokens."""
_DECIMALS = 3
_MIXED = 32768
"""Tokens of windows that are mixed at once; bounds the pairs of places to a few dozen MB."""

_cache: LruCache[NDArray[np.float32]] = LruCache(8_000_000)


class EmbeddedScorer:
    """Negative log-likelihoods by the embedded causal model; implements `ctxshrink.scorers.TokenScorer`.

    Texts are read in chunks of 64 tokens at fixed positions. Equal chunks after equal beginnings are computed once per
    call, or once per `session`: several targets after one context, or a context that continues another, pay for the
    common part once. As all chunks of a run have the same shape and the arithmetic is float32 per row, a pair's numbers
    do not depend on what else is in the call or was in the session; they are rounded to 0.001 nats.

    A context longer than the window is cut at the left, in steps of 128 tokens. A target that does not fit is scored
    in pieces of half a window, each after as much of the text before it as fits. Context and target are tokenized
    apart. Lone surrogates are read as U+FFFD. Safe to use from several threads.

    Where ``config.json`` has a mixture, the network's probabilities are mixed with an explicit copy distribution over
    the window and, if there is one, with a table of n-grams (`ctxshrink.training.mixture`).

    Args:
        folder: A model folder as `ctxshrink train scorer` writes it; None for the one that is shipped.
        threads: Threads of onnxruntime; 0 for one per physical core. Scorers of one folder and thread count share
            their session.
        cache: Keep the scores used last in the process, up to 8 MB of them, and look there first. They are kept by a
            hash of model, context and target, and are the same numbers.

    Attributes:
        name: The model's name from its ``config.json``.
        max_context: Tokens of the window.

    Raises:
        ModelError: A file of the model is missing, truncated or foreign.
        ConfigError: ``threads`` is negative.
    """

    def __init__(self, folder: str | Path | None = None, *, threads: int = 0, cache: bool = True) -> None:
        if threads < 0:
            raise ConfigError(f"threads must be >= 0, not {threads}")
        self._cached = cache
        self._folder = SCORER if folder is None else Path(folder)
        self._threads = threads
        config = read_config(self._folder)
        try:
            self.name = str(config["name"])
            self.max_context = int(config["window"])
            self._chunk, self._bos = int(config["chunk"]), int(config["bos"])
            self._cache_shape = (int(config["layers"]), 2, int(config["kv_heads"]), int(config["head_size"]))
            self._stored: Mapping[str, Any] | None = config.get("mixture")
            self._sums = json.dumps({"sha256": config["sha256"], "mixture": self._stored}, sort_keys=True)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{self._folder / 'config.json'}: not the configuration of a scorer: {error}") from error

    def __repr__(self) -> str:
        return f"EmbeddedScorer({self.name!r})"

    def nll(self, pairs: Sequence[tuple[str, str]], /) -> list[NDArray[np.float32]]:
        """Nats of every token of each target after its context; see `ctxshrink.types.Scorer.nll`.

        Raises:
            ModelError: The model cannot be loaded or gives no finite numbers.
        """
        return self._nll(pairs, None)

    def session(self) -> TokenScorer:
        """The same scorer, and the same numbers, that keeps what it read from one call to the next.

        What begins like a text of an earlier call is read from where they part, in chunks. It holds up to 128 MB, and
        is for one thread.
        """
        blocks = Blocks(self._chunk, _SESSION_BYTES)
        return Session(self, lambda pairs: self._nll(pairs, blocks))

    def _nll(self, pairs: Sequence[tuple[str, str]], blocks: Blocks | None) -> list[NDArray[np.float32]]:
        compute = partial(self._look_up if self._cached else self._compute, blocks=blocks)
        return score_distinct(pairs, self.max_context, compute)

    def token_spans(self, targets: Sequence[str], /) -> list[list[Span]]:
        """Where the tokens of each target stand; see `ctxshrink.scorers.TokenScorer.token_spans`.

        Raises:
            ModelError: The tokenizer cannot be loaded.
        """
        encodings = load_tokenizer(self._folder).encode_batch(
            [well_formed(t) for t in targets], add_special_tokens=False
        )
        return [tile(e.offsets, len(t)) for e, t in zip(encodings, targets, strict=True)]

    def _look_up(self, pairs: Sequence[tuple[str, str]], blocks: Blocks | None) -> list[NDArray[np.float32]]:
        """Scores of pairs that all differ, from the cache where they are there."""
        keys = [digest(self._sums, *pair) for pair in pairs]
        found = {k: nats.copy() for k in keys if (nats := _cache.get(k)) is not None}
        missing = {k: pair for k, pair in zip(keys, pairs, strict=True) if k not in found}
        for key, nats in zip(missing, self._compute(list(missing.values()), blocks), strict=True):
            found[key] = nats
            _cache.put(key, nats.copy())
        return [found[k] for k in keys]

    def nll_windows(self, windows: Sequence[Window], blocks: Blocks | None = None) -> NDArray[np.float64]:
        """The network's own nats, without a mixture, of the scored tokens of windows, one window after the other.

        Args:
            windows: What is scored.
            blocks: What is known from earlier calls, and takes up what is read now.
        """
        placed = [replace(w, pair=i, offset=0) for i, w in enumerate(windows)]
        out = [np.zeros(w.scored, dtype=np.float32) for w in placed]
        placed.sort(key=lambda w: w.tokens)  # what shares a beginning lies side by side
        for group in group_windows(placed, _GROUP):
            self._score(group, out, blocks)
        nats = np.concatenate([np.zeros(0, dtype=np.float32), *out]).astype(np.float64)
        if not np.isfinite(nats).all():
            raise ModelError(f"{self._folder / 'model.onnx'}: the model gave a likelihood that is not finite")
        return nats

    def _compute(self, pairs: Sequence[tuple[str, str]], blocks: Blocks | None) -> list[NDArray[np.float32]]:
        """Scores of pairs whose contexts were cut to what can matter."""
        ids = self._encode(pairs)
        windows = [
            w
            for i, (context, target) in enumerate(pairs)
            for w in split_windows(i, ids[context], ids[target], self.max_context, self._bos)
        ]
        nats = self.nll_windows(windows, blocks)
        mixture = self._mixture()
        if mixture is not None and windows:
            ends = np.cumsum([w.scored for w in windows])
            parts: list[NDArray[np.float64]] = []
            first = 0
            for group in group_windows(windows, _MIXED):
                last = first + len(group)
                parts.append(mixture.mix(group, nats[ends[first] - windows[first].scored : ends[last - 1]]))
                first = last
            nats = np.concatenate(parts)
        rounded = np.round(nats.astype(np.float32), _DECIMALS)
        sizes = [len(ids[target]) for _, target in pairs]  # the windows of a pair follow each other
        return np.split(rounded, np.cumsum(sizes)[:-1]) if pairs else []

    def _mixture(self) -> Mixture | None:
        return None if self._stored is None else _load_mixture(self._folder, self._sums)

    def _encode(self, pairs: Sequence[tuple[str, str]]) -> Mapping[str, list[int]]:
        texts = {t: None for pair in pairs for t in pair}
        encodings = load_tokenizer(self._folder).encode_batch_fast(
            [well_formed(t) for t in texts], add_special_tokens=False
        )
        return {text: e.ids for text, e in zip(texts, encodings, strict=True)}

    def _score(self, windows: Sequence[Window], out: list[NDArray[np.float32]], blocks: Blocks | None) -> None:
        levels: list[list[Chunk]] = []
        known: Known = {}
        for window in windows:
            place(window, self._chunk, levels, known, blocks)
        session = load_session(self._folder, self._threads)
        for depth, nodes in enumerate(levels):
            unread = [n for n in nodes if n.wanted or n.cache is None]
            for first in range(0, len(unread), _ROWS):
                batch = unread[first : first + _ROWS]
                self._run(session, depth, batch, out)
                for node in batch:
                    if blocks is not None and node.key and node.cache is not None:
                        blocks.put(node.key, Block(node.cache, node.cache.nbytes))

    def _run(self, session: Any, depth: int, nodes: Sequence[Chunk], out: list[NDArray[np.float32]]) -> None:
        """Runs one batch of chunks that start at the same position."""
        size, rows = self._chunk, len(nodes)
        ids = np.full((rows, size), self._bos, dtype=np.int64)
        layers, two, heads, width = self._cache_shape
        past = np.empty((layers, two, rows, heads, depth * size, width), dtype=np.float32)
        select: list[int] = []
        targets: list[int] = []
        for row, node in enumerate(nodes):
            ids[row, : len(node.ids)] = node.ids
            for i, parent in enumerate(node.chain):
                past[:, :, row, :, i * size : (i + 1) * size] = parent.read()
            for position, token, _ in node.wanted:
                select.append(row * size + position)
                targets.append(token)
        # A few rows more or less would change which matrix kernel is used, and with it the last bits.
        padding = [0] * (-len(select) % 16 if select else 16)
        mask = np.zeros((size, (depth + 1) * size), dtype=np.float32)
        mask[:, depth * size :] = np.triu(np.full((size, size), -np.inf, dtype=np.float32), 1)
        nll, present = session.run(
            ["nll", "present"],
            {
                "input_ids": ids,
                "positions": np.arange(depth * size, (depth + 1) * size, dtype=np.int64),
                "mask": mask,
                "past": past,
                "select": np.asarray(select + padding, dtype=np.int64),
                "targets": np.asarray(targets + padding, dtype=np.int64),
            },
        )
        slots = [slot for node in nodes for _, _, slot in node.wanted]
        for (pair, index), nats in zip(slots, nll[: len(slots)].tolist(), strict=True):
            out[pair][index] = nats
        for row, node in enumerate(nodes):
            if node.shared or node.key:
                node.cache = present[:, :, row].copy()


@lru_cache(maxsize=4)
def _load_mixture(folder: Path, described: str) -> Mixture:
    """The mixture of a folder, shared in the process; ``described`` holds its weights and the files' sums."""
    stored = json.loads(described)
    try:
        table = NgramTable.read(read_file(folder, FILE)) if FILE in stored["sha256"] else None
        return Mixture.read(stored["mixture"], table)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / 'config.json'}: the mixture cannot be read: {error}") from error
