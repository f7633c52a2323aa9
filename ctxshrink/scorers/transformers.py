"""Any Hugging Face causal language model as a scorer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import ConfigError, MissingExtraError, ModelError
from ctxshrink.scorers._encoding import LocalEncoder
from ctxshrink.scorers._kept import Blocks, Session
from ctxshrink.scorers._offsets import TokenScorer
from ctxshrink.scorers._pairs import score_distinct
from ctxshrink.scorers._windows import Window, split_windows
from ctxshrink.types import Span

__all__ = ["TransformersScorer"]

_DTYPES = ("auto", "bfloat16", "float16", "float32")
_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len")
_WINDOW = 4096


class TransformersScorer:
    """Negative log-likelihoods by a Hugging Face causal model; implements `ctxshrink.scorers.TokenScorer`.

    Contexts are cut and long targets are scored as in `EmbeddedScorer`. A pair that is given twice is scored once, and
    token prefixes of 32 tokens and more that several pairs share, as a context with several targets, are read once and
    their keys and values reused. Batches are of like lengths.

    A model is tried out when the scorer is made: where its logits are not its head's (scaled or capped ones), its whole
    forward pass is run, and where its state cannot be cut and joined (recurrent layers, chunked attention), nothing is
    reused. The numbers are those of one plain pass for each pair: within 0.001 nats per token in float32, and within
    the rounding of the type, some hundredths of a nat, in 16 bits. Safe to use from several threads. Needs the extra
    ``transformers``.

    Args:
        model: A model name or folder for ``AutoModelForCausalLM``, or a loaded model, which is put in evaluation mode,
            and moved and converted where ``device`` and ``dtype`` say so.
        tokenizer: Its tokenizer, a name or a loaded one; None takes the model's name.
        device: A torch device such as ``"cuda"``; None leaves a loaded model where it is, and puts a named one on the
            CPU.
        dtype: Type of the weights: ``"bfloat16"``, ``"float16"`` or ``"float32"``; ``"auto"`` is the type that they
            have. Likelihoods are computed from the logits in float32.
        max_context: Tokens of the window; None takes the model's own, at most 4,096.
        reuse: False reads every window from its start; for comparison.

    Attributes:
        name: Name or folder of the model.
        max_context: Tokens of the window.

    Raises:
        MissingExtraError: transformers or torch is not installed.
        ConfigError: There is no tokenizer, it has neither a start nor an end token, the device or type is not to be
            had, or the window does not fit the model.
        ModelError: The model cannot be loaded or run.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        device: str | None = None,
        dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto",
        max_context: int | None = None,
        reuse: bool = True,
    ) -> None:
        try:
            import torch
            import transformers
        except ImportError as error:
            raise MissingExtraError("TransformersScorer", "transformers") from error
        from ctxshrink.scorers._causal import CausalModel

        if dtype not in _DTYPES:
            raise ConfigError(f"dtype must be one of {', '.join(_DTYPES)}, not {dtype!r}")
        if tokenizer is None:
            if not isinstance(model, str):
                raise ConfigError("tokenizer must be given with a loaded model")
            tokenizer = model
        loaded: Any = _load(transformers, model, dtype) if isinstance(model, str) else model
        self._encoder = LocalEncoder(tokenizer)
        try:
            if device is not None:
                loaded = loaded.to(device)
            if dtype != "auto":
                loaded = loaded.to(getattr(torch, dtype))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ConfigError(f"device {device!r} and dtype {dtype!r} cannot be had: {error}") from error
        loaded.eval()
        config = loaded.config.get_text_config()
        self.max_context = _window(config, max_context)
        self.name = str(getattr(loaded.config, "_name_or_path", "") or type(loaded).__name__)
        try:
            self._model = CausalModel(loaded, reuse=reuse)
        except Exception as error:  # anybody's model code is run here, and may raise anything
            raise ModelError(f"{self.name} cannot be run as a causal language model: {error}") from error

    def __repr__(self) -> str:
        return f"TransformersScorer({self.name!r})"

    @property
    def reuses_prefixes(self) -> bool:
        """True when shared prefixes are read once: the model allows it, and it was not turned off."""
        return self._model.reuses

    def nll(self, pairs: Sequence[tuple[str, str]], /) -> list[NDArray[np.float32]]:
        """Nats of every token of each target after its context; see `ctxshrink.types.Scorer.nll`.

        Raises:
            ModelError: The model gives no finite numbers.
        """
        return score_distinct(pairs, self.max_context, partial(self._compute, blocks=None))

    def session(self) -> TokenScorer:
        """The same scorer that keeps what it read from one call to the next, where `reuses_prefixes`.

        What begins like a text of an earlier call is read from about where they part. It holds up to 512 MB on the
        model's device, and is for one thread.
        """
        blocks = self._model.blocks()
        return Session(
            self, lambda pairs: score_distinct(pairs, self.max_context, partial(self._compute, blocks=blocks))
        )

    def token_spans(self, targets: Sequence[str], /) -> list[list[Span]]:
        """Where the tokens of each target stand; see `ctxshrink.scorers.TokenScorer.token_spans`.

        Raises:
            ConfigError: The tokenizer is one of the slow ones, which do not say.
        """
        return self._encoder.spans(targets)

    def _compute(self, pairs: Sequence[tuple[str, str]], blocks: Blocks | None) -> list[NDArray[np.float32]]:
        ids = self._encoder.encode(text for pair in pairs for text in pair)
        out = [np.full(len(ids[target]), np.nan, dtype=np.float32) for _, target in pairs]
        windows: list[Window] = []
        for i, (context, target) in enumerate(pairs):
            windows.extend(split_windows(i, ids[context], ids[target], self.max_context, self._encoder.start()))
        self._model.nll(windows, out, blocks)
        for nats in out:
            if not np.isfinite(nats).all():
                raise ModelError(f"{self.name}: the model gave a likelihood that is not finite")
        return out


def _load(transformers: Any, name: str, dtype: str) -> Any:
    try:
        return transformers.AutoModelForCausalLM.from_pretrained(name, dtype=dtype)
    except Exception as error:  # a damaged file fails in as many ways as there are formats
        raise ModelError(f"cannot load {name!r} with transformers: {error}") from error


def _window(config: Any, wanted: int | None) -> int:
    """Tokens of the window; a model that names no limit (recurrent layers, relative positions) has none."""
    own = next((int(v) for name in _LENGTHS if (v := getattr(config, name, None))), None)
    if wanted is None:
        return min(own or _WINDOW, _WINDOW)
    if not 8 <= wanted <= (own or wanted):
        limit = f"in [8, {own}]" if own else "at least 8"
        raise ConfigError(f"max_context must be {limit}, not {wanted}")
    return wanted
