"""Fits the weights of the scorer's mixture on training text that neither the network nor the n-grams have seen.

The weights are those of a chain of two-way mixtures, so expectation maximization (Dempster, Laird and Rubin 1977) has
a closed form: a weight becomes the share of the tokens reaching its step that the step itself explains.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import ConfigError
from ctxshrink.scorers._mixture import WIDTH, Mixture, Steps
from ctxshrink.scorers._ngrams import FILE, NgramTable
from ctxshrink.scorers._windows import split_windows
from ctxshrink.training.config import ScorerConfig
from ctxshrink.training.ngrams import build_table, to_bytes
from ctxshrink.training.prepare import BOS_ID

Floats = NDArray[np.float64]

_PRIOR = (0.5, 4.5)
"""Imagined tokens that a step explained and that it did not, so that a case which was hardly seen stays near 0.1."""

_TOKENS = 8192
_ROUNDS = 30


def fit_weights(steps: Steps, nats: Floats, rounds: int = _ROUNDS) -> Floats:
    """The weights under which the text is likeliest, shape (steps, `WIDTH`).

    Args:
        steps: Of the tokens.
        nats: The network's, shape (tokens,).
        rounds: Of expectation maximization.

    Raises:
        ConfigError: There is no token.
    """
    if not len(nats):
        raise ConfigError("no text is left to fit the mixture on")
    base = np.exp(-nats.astype(np.float64))
    count = steps.cells.shape[1]
    weights = np.full((count, WIDTH), 0.1)
    for _ in range(rounds):
        used = [steps.used(weights, k) for k in range(count)]
        p = [base]
        for k, w in enumerate(used):
            p.append((1 - w) * p[-1] + w * steps.shares[:, k])
        reached = np.ones(len(base))  # probability, given the token, that no later step gave it
        for k in reversed(range(count)):
            here = reached * used[k] * steps.shares[:, k] / np.maximum(p[k + 1], 1e-30)
            seen = steps.cells[:, k] >= 0
            cells = steps.cells[seen, k]
            explained = np.bincount(cells, here[seen], WIDTH) + _PRIOR[0]
            weights[k] = explained / (np.bincount(cells, reached[seen], WIDTH) + sum(_PRIOR))
            reached = reached - here
    return np.clip(weights, 0.0, 0.9999)


def add_mixture(config: ScorerConfig, folder: Path) -> Mixture:
    """Counts the n-grams, fits the weights and writes both into a model folder.

    Args:
        config: The recipe; its work folder holds the stream and what was kept from it.
        folder: As `export_scorer` wrote it.

    Raises:
        ConfigError: Nothing was kept from the stream.
    """
    from ctxshrink.scorers import EmbeddedScorer

    work, path = Path(config.work), folder / "config.json"
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    stored.pop("mixture", None)
    stored["sha256"].pop(FILE, None)
    table = None
    if config.mixture.ngrams:
        stream = np.load(work / "stream.npy", mmap_mode="r")
        data = to_bytes(build_table(stream, int(stored["vocab_size"]), config.mixture.ngrams))
        (folder / FILE).write_bytes(data)
        stored["sha256"][FILE] = hashlib.sha256(data).hexdigest()
        table = NgramTable.read(data)  # as it is stored, so that the weights fit the rounded shares
    else:
        (folder / FILE).unlink(missing_ok=True)
    path.write_text(json.dumps(stored) + "\n", encoding="utf-8")
    scorer = EmbeddedScorer(folder, threads=config.train.threads)
    documents = split_blocks(np.load(work / "mixture.npy"))
    windows = [w for i, d in enumerate(documents) for w in split_windows(i, (), d, scorer.max_context, BOS_ID)]
    bare = Mixture(np.zeros((0, WIDTH)), table)
    nats = [scorer.nll_windows(group) for group in _groups(windows)]
    steps = [bare.steps(group) for group in _groups(windows)]
    if not steps:
        raise ConfigError("mixture: nothing was kept from the stream; set mixture.fit_tokens to 0")
    joined = Steps(np.concatenate([s.cells for s in steps]), np.concatenate([s.shares for s in steps]))
    mixture = Mixture(fit_weights(joined, np.concatenate(nats)), table)
    stored["mixture"] = mixture.to_config()
    path.write_text(json.dumps(stored) + "\n", encoding="utf-8")
    return mixture


def split_blocks(stream: NDArray[np.uint16]) -> list[list[int]]:
    """The blocks of a stream that occur in it, each once and without its first token, in order."""
    begins = np.flatnonzero(stream == BOS_ID)
    ends = np.append(begins[1:], len(stream))
    found = {tuple(stream[a + 1 : b].tolist()): None for a, b in zip(begins, ends, strict=True)}
    return [list(block) for block in found]


def _groups(windows: Sequence[Any]) -> list[list[Any]]:
    groups: list[list[Any]] = [[]]
    size = 0
    for w in windows:
        if groups[-1] and size + len(w.tokens) > _TOKENS:
            groups.append([])
            size = 0
        groups[-1].append(w)
        size += len(w.tokens)
    return groups
