"""Any Hugging Face causal language model as a scorer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import ConfigError, MissingExtraError, ModelError
from ctxshrink.scorers._windows import Window, split_windows, tail
from ctxshrink.tokens import well_formed

__all__ = ["TransformersScorer"]

_BATCH_TOKENS = 8192
_LOGITS = 32_000_000
"""Logits held at once: 128 MB in float32."""


class TransformersScorer:
    """Negative log-likelihoods by a Hugging Face causal model; implements `ctxshrink.types.Scorer`.

    Contexts are cut and long targets are scored as in `EmbeddedScorer`. Windows are batched with others of like
    length. Needs the extra ``transformers``.

    Args:
        model: A model name or folder for ``AutoModelForCausalLM``, or a loaded model.
        tokenizer: Its tokenizer, a name or a loaded one; None takes the model's name.
        device: A torch device; None leaves a loaded model where it is, and puts a named one on the CPU.
        max_context: Tokens of the window; None takes the model's own, at most 4,096.

    Raises:
        MissingExtraError: transformers or torch is not installed.
        ConfigError: There is no tokenizer, or it has neither a start nor an end token.
        ModelError: The model cannot be loaded.
    """

    def __init__(
        self, model: Any, tokenizer: Any = None, *, device: str | None = None, max_context: int | None = None
    ) -> None:
        try:
            import torch
            import transformers
        except ImportError as error:
            raise MissingExtraError("TransformersScorer", "transformers") from error
        self._torch = torch
        if tokenizer is None:
            if not isinstance(model, str):
                raise ConfigError("tokenizer must be given with a loaded model")
            tokenizer = model
        auto: Any = transformers
        try:
            if isinstance(tokenizer, str):
                tokenizer = auto.AutoTokenizer.from_pretrained(tokenizer)
            loaded = auto.AutoModelForCausalLM.from_pretrained(model) if isinstance(model, str) else model
        except (OSError, ValueError) as error:
            raise ModelError(f"cannot load {model!r} with transformers: {error}") from error
        self._model: Any = loaded.to(device) if device is not None else loaded
        self._model.eval()
        self._tokenizer: Any = tokenizer
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        if start is None:
            raise ConfigError("tokenizer has neither a start (bos) nor an end (eos) token to begin a text with")
        self._bos = int(start)
        config = self._model.config
        own = int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 1024)
        self.max_context = min(own, 4096) if max_context is None else max_context
        if not 8 <= self.max_context <= own:
            raise ConfigError(f"max_context must be in [8, {own}], not {self.max_context}")
        self.name = str(getattr(config, "_name_or_path", "") or type(self._model).__name__)

    def __repr__(self) -> str:
        return f"TransformersScorer({self.name!r})"

    def nll(self, pairs: Sequence[tuple[str, str]], /) -> list[NDArray[np.float32]]:
        """Nats of every token of each target after its context; see `ctxshrink.types.Scorer.nll`.

        Raises:
            ModelError: The model gives no finite numbers.
        """
        out: list[NDArray[np.float32]] = []
        windows: list[Window] = []
        for i, (context, target) in enumerate(pairs):
            ids = self._encode(target)
            before = self._encode(tail(context, self.max_context))
            out.append(np.zeros(len(ids), dtype=np.float32))
            windows.extend(split_windows(i, before, ids, self.max_context, self._bos))
        windows.sort(key=lambda w: len(w.tokens))
        batch: list[Window] = []
        for window in windows:
            if batch and (len(batch) + 1) * len(window.tokens) > _BATCH_TOKENS:
                self._run(batch, out)
                batch = []
            batch.append(window)
        if batch:
            self._run(batch, out)
        for nats in out:
            if not np.isfinite(nats).all():
                raise ModelError(f"{self.name}: the model gave a likelihood that is not finite")
        return [np.round(nats, 3) for nats in out]

    def _encode(self, text: str) -> list[int]:
        if not text:
            return []
        return list(self._tokenizer(well_formed(text), add_special_tokens=False)["input_ids"])

    def _run(self, batch: Sequence[Window], out: list[NDArray[np.float32]]) -> None:
        torch = self._torch
        device = self._model.device
        longest = max(len(w.tokens) for w in batch) - 1
        ids = torch.full((len(batch), longest), self._bos, dtype=torch.long)
        real = torch.zeros((len(batch), longest), dtype=torch.long)
        for row, w in enumerate(batch):  # padded at the right: causal attention keeps the padding out of the rest
            n = len(w.tokens) - 1
            ids[row, :n] = torch.tensor(w.tokens[:-1])
            real[row, :n] = 1
        with torch.inference_mode():
            hidden = self._model.base_model(input_ids=ids.to(device), attention_mask=real.to(device))[0]
            head = self._model.get_output_embeddings()
            for row, w in enumerate(batch):
                n = len(w.tokens) - 1
                rows = hidden[row, n - w.scored : n]
                targets: Any = torch.tensor(w.tokens[-w.scored :], device=device)
                piece = max(1, _LOGITS // head.weight.shape[0])
                parts = [
                    torch.nn.functional.cross_entropy(head(a).float(), b, reduction="none")
                    for a, b in zip(rows.split(piece), targets.split(piece), strict=True)
                ]
                out[w.pair][w.offset : w.offset + w.scored] = torch.cat(parts).cpu().numpy()
