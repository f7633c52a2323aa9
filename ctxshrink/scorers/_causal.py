"""Runs a Hugging Face causal model over a tree of prefixes, and finds out first what that model allows.

Three things differ from model to model: whether the logits are the head applied to the last hidden states (not where
they are scaled or capped afterwards), whether keys and values can be cut, padded and joined (not in recurrent layers),
and whether positions are an argument. The first two are tried out once on a few tokens against the model's own plain
forward pass; a model that gives other numbers is run the plain way.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxshrink.scorers._kept import Block, Blocks
from ctxshrink.scorers._prefixes import Node, keep_prefixes, known_prefixes, share_prefixes
from ctxshrink.scorers._windows import Window, group_windows

BATCH_TOKENS = 8192
"""Tokens of a batch, those before included."""
_BATCH_CPU = 1024
"""The same on a CPU, which gains nothing from more; fewer texts of different lengths are padded to one."""
SHORTEST = 32
"""Tokens of the shortest prefix that is worth a run of its own."""

_LOGITS = 32_000_000
"""Logits held at once: 128 MB in float32."""
_LOGITS_CPU = 3_000_000
"""The same on a CPU, where memory that is used again is faster than fresh memory."""
_HELD_BYTES = 2**30
"""Keys and values held at once, about."""
_MOST_HELD = 131_072
_SESSION_BYTES = 2**29
"""Keys and values that a session holds."""
_PROBE = (40, 27)
"""Lengths of the two texts on which a model is tried out."""
_LAYERS = frozenset({"full_attention", "sliding_attention"})
"""Kinds of layers whose keys and values are one per token, and whose masks follow from distances alone."""
_EXACT, _ROUNDED = 5e-3, 0.2
"""Nats by which a way of running may differ: at most, in float32; on average, in 16 bits."""


class CausalModel:
    """A model and what it allows.

    Args:
        model: A `transformers.PreTrainedModel` with a language-model head, in evaluation mode.
        reuse: False reads every window from its start.

    Attributes:
        reuses: True when shared prefixes are read once.
    """

    def __init__(self, model: Any, *, reuse: bool = True) -> None:
        import torch

        self._torch: Any = torch
        self._model = model
        self._base = model.base_model
        self._takes = _parameters(model)
        self._shared = self._takes & _parameters(self._base)
        self._vocabulary = int(model.get_input_embeddings().weight.shape[0])
        self._direct = self.reuses = False
        self._held, self._batch = _MOST_HELD, _BATCH_CPU if model.device.type == "cpu" else BATCH_TOKENS
        self._try_out(reuse)

    def blocks(self) -> Blocks:
        """An empty memory for `nll`."""
        return Blocks(SHORTEST, _SESSION_BYTES)

    def nll(self, windows: Sequence[Window], out: Sequence[NDArray[np.float32]], blocks: Blocks | None = None) -> None:
        """Writes the nats of every scored token of the windows to ``out[pair][index]``.

        Args:
            windows: What is scored.
            out: Where the nats go.
            blocks: What is known from earlier calls, and takes up what is read now.
        """
        if not self.reuses:
            blocks = None
        for group in group_windows(sorted(windows, key=lambda w: w.tokens), self._held):
            known = None if blocks is None else known_prefixes(group, blocks)
            tree = share_prefixes(group, SHORTEST if self.reuses else None, known)
            for level in tree.levels:
                for batch in _batches(level, self._batch):
                    self._run(batch, out, keep=blocks is not None)
            if blocks is not None:
                keep_prefixes(group, tree.chains, blocks, self._cut)

    def _run(self, batch: Sequence[Node], out: Sequence[NDArray[np.float32]], *, keep: bool = False) -> None:
        """Runs nodes of one depth: what stands before is padded at the left, what is new at the right.

        So the distance between two tokens of a text is that between their places in the batch, which is what sliding
        windows and relative positions go by; causal attention keeps the padding at the right out of the rest. Keys and
        values of the new tokens are kept where a node follows, or of all where ``keep``.
        """
        torch, device = self._torch, self._model.device
        before, new = max(n.start for n in batch), max(len(n.ids) for n in batch)
        ids = torch.zeros((len(batch), new), dtype=torch.long)
        for row, n in enumerate(batch):
            ids[row, : len(n.ids)] = torch.tensor(n.ids)
        given = {"input_ids": ids}
        if before:  # without, the model's own causal mask and positions are right, and its faster kernel serves
            given |= _places(torch, batch, before, new)
        inputs: dict[str, Any] = {name: value.to(device) for name, value in given.items() if name in self._shared}
        with torch.inference_mode():
            if keep or any(n.shared for n in batch) or before:
                inputs |= {"past_key_values": self._past(batch, before), "use_cache": True}
            elif "use_cache" in self._shared:
                inputs["use_cache"] = False
            found = self._nats(batch, inputs)
            for row, n in enumerate(batch):
                if keep or n.shared:
                    n.cache = _own(inputs["past_key_values"], row, slice(before, before + len(n.ids)))
        where = [(pair, index) for n in batch for _, _, pair, index in n.wanted]
        for (pair, index), nats in zip(where, found, strict=True):
            out[pair][index] = nats

    def _nats(self, batch: Sequence[Node], inputs: dict[str, Any]) -> list[float]:
        """Of everything that the nodes want, in order."""
        torch = self._torch
        rows = [row for row, n in enumerate(batch) for _ in n.wanted]
        if not rows:
            self._base(**inputs)  # for its keys and values
            return []
        places = [place for n in batch for place, _, _, _ in n.wanted]
        targets = torch.tensor([token for n in batch for _, token, _, _ in n.wanted], device=self._model.device)
        if self._direct:
            hidden = self._base(**inputs)[0]
            head = self._model.get_output_embeddings()
            most = _LOGITS if self._model.device.type != "cpu" else _LOGITS_CPU
            piece = max(1, most // head.weight.shape[0])
            chosen = hidden[rows, places].split(piece)
            parts = [_cross_entropy(torch, head(a), b) for a, b in zip(chosen, targets.split(piece), strict=True)]
            return torch.cat(parts).tolist()
        if "logits_to_keep" in self._takes:
            kept = sorted(set(places))
            inputs = {**inputs, "logits_to_keep": torch.tensor(kept, device=self._model.device)}
            rank = {place: i for i, place in enumerate(kept)}
            places = [rank[place] for place in places]
        logits = self._model(**inputs).logits
        return _cross_entropy(torch, logits[rows, places], targets).tolist()

    def _past(self, batch: Sequence[Node], before: int) -> Any:
        """A cache of what stands before each node; an empty one at the start of texts.

        It is a plain `DynamicCache` for sliding windows too: it holds all tokens, and the model's mask leaves out those
        outside the window. One made for such layers would forget what another branch of the tree still needs.
        """
        from transformers import DynamicCache

        cache: Any = DynamicCache()
        if not before:
            return cache
        chains = [n.chain() for n in batch]
        sample = next(part for chain in chains for part in chain).cache
        for layer, kinds in enumerate(sample):
            joined: list[Any] = []
            for kind, one in enumerate(kinds):
                heads, _, width = one.shape
                whole = one.new_zeros((len(batch), heads, before, width))
                for row, (node, chain) in enumerate(zip(batch, chains, strict=True)):
                    for part in chain:
                        at = before - node.start + part.start
                        whole[row, :, at : at + len(part.ids)] = part.cache[layer][kind]
                joined.append(whole)
            cache.update(joined[0], joined[1], layer)
        return cache

    def _cut(self, chain: Sequence[Node], start: int, end: int) -> Block:
        """Keys and values of some tokens of a chain."""
        parts = [n for n in chain if n.start < end and n.end > start]
        layers: list[tuple[Any, Any]] = []
        for layer in range(len(parts[0].cache)):
            both = [
                self._torch.cat(
                    [n.cache[layer][kind][:, max(0, start - n.start) : end - n.start] for n in parts], dim=1
                )
                for kind in (0, 1)
            ]
            layers.append((both[0], both[1]))
        return Block(layers, sum(t.numel() * t.element_size() for both in layers for t in both))

    def _try_out(self, reuse: bool) -> None:
        torch = self._torch
        head = self._model.get_output_embeddings()
        known = self._vocabulary if head is None else min(self._vocabulary, int(head.weight.shape[0]))
        drawn = np.random.default_rng(0).integers(0, known, sum(_PROBE)).tolist()
        texts = [tuple(drawn[: _PROBE[0]]), tuple(drawn[_PROBE[0] :])]
        with torch.inference_mode():
            truth: list[Any] = []
            for t in texts:
                ids = torch.tensor([t], device=self._model.device)
                logits = self._model(input_ids=ids[:, :-1]).logits[0]
                truth.append(_cross_entropy(torch, logits, ids[0, 1:]).cpu().numpy())
        self._direct = True
        self._direct = self._agrees(texts, truth, cut=None)
        if not self._direct:  # the model gives logits at all tokens, or at those that any row wants
            self._batch = min(self._batch, max(1, _LOGITS // self._vocabulary))
        if not reuse or not self._one_per_token():
            return
        self.reuses = self._agrees(texts, truth, cut=8)

    def _one_per_token(self) -> bool:
        config = self._model.config.get_text_config()
        kinds = getattr(config, "layer_types", None)
        return not getattr(self._model, "_is_stateful", False) and (kinds is None or set(kinds) <= _LAYERS)

    def _agrees(self, texts: Sequence[tuple[int, ...]], truth: Sequence[Any], cut: int | None) -> bool:
        """Whether the texts get the plain pass's numbers, whole or each cut in two where ``cut`` tokens are left."""
        levels: list[list[Node]] = [[], []]
        for pair, text in enumerate(texts):
            split = len(text) - 1 - (cut or 0)
            first = Node(None, text[:split], 0, shared=cut is not None)
            first.wanted.extend((i, text[i + 1], pair, i) for i in range(split))
            levels[0].append(first)
            if cut is not None:
                second = Node(first, text[split:-1], split)
                second.wanted.extend((i, text[split + i + 1], pair, split + i) for i in range(cut))
                levels[1].append(second)
        out = [np.full(len(t) - 1, np.nan, dtype=np.float32) for t in texts]
        try:
            for level in filter(None, levels):
                self._run(level, out)
        except Exception:  # noqa: BLE001  the model is anybody's code: what fails here is a way that it cannot be run
            return False
        if cut is not None:
            held = sum(t.numel() * t.element_size() for kinds in levels[0][0].cache for t in kinds)
            self._held = min(_MOST_HELD, max(4096, _HELD_BYTES * len(levels[0][0].ids) // max(1, held)))
        off = np.abs(np.concatenate(out) - np.concatenate(list(truth)))
        exact = self._model.dtype in (self._torch.float32, self._torch.float64)
        return bool(off.max() <= _EXACT if exact else off.mean() <= _ROUNDED)


def _places(torch: Any, batch: Sequence[Node], before: int, new: int) -> dict[str, Any]:
    """Mask and positions of nodes after others."""
    mask = torch.zeros((len(batch), before + new), dtype=torch.long)
    positions = torch.zeros((len(batch), new), dtype=torch.long)
    for row, n in enumerate(batch):
        mask[row, before - n.start : before + len(n.ids)] = 1
        # Padding repeats the last position: a table of learned positions has no more than the window.
        positions[row] = torch.arange(n.start, n.start + new).clamp(max=n.end - 1)
    return {"attention_mask": mask, "position_ids": positions}


def _batches(level: Sequence[Node], most: int) -> Iterator[list[Node]]:
    """Nodes of like lengths together, of at most ``most`` tokens with their padding and what stands before them."""
    batch: list[Node] = []
    before = new = 0
    for node in sorted(level, key=lambda n: (n.start, len(n.ids))):
        wide = max(before, node.start) + max(new, len(node.ids))
        if batch and (len(batch) + 1) * wide > most:
            yield batch
            batch, before, new = [], 0, 0
        batch.append(node)
        before, new = max(before, node.start), max(new, len(node.ids))
    if batch:
        yield batch


def _own(cache: Any, row: int, tokens: slice) -> list[tuple[Any, Any]]:
    """Keys and values of a row's new tokens, (heads, tokens, width) by layer."""
    return [(layer.keys[row, :, tokens].clone(), layer.values[row, :, tokens].clone()) for layer in cache.layers]


def _cross_entropy(torch: Any, logits: Any, targets: Any) -> Any:
    return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")


def _parameters(module: Any) -> frozenset[str]:
    return frozenset(inspect.signature(module.forward).parameters)
