"""A sentence encoder for the baselines that rank by cosine: any BERT-like folder, means over tokens, unit length."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import ConfigError, MissingExtraError, ModelError

BATCH: Final = 32
"""Texts in one forward pass, sorted by length: the default of sentence-transformers."""
LONGEST: Final = 512
"""Most tokens of a text where the folder names no limit of its own."""
_HINT: Final = (
    "give --encoder the folder of a sentence encoder such as all-MiniLM-L6-v2 (config.json, model.safetensors, "
    "tokenizer.json); nothing is downloaded"
)


class SentenceEncoder:
    """Unit vectors of texts: the mean of the last hidden states over all tokens, as all-MiniLM-L6-v2 was trained.

    The same vectors as ``SentenceTransformer(folder).encode(texts, normalize_embeddings=True)``, without that package.
    Texts longer than the folder's ``max_seq_length`` are cut there.

    Vectors are remembered until `forget`, so that one record at several shares, and several methods on one record, are
    encoded once. `spared` adds up the time that this saved, for those who measure.

    Args:
        folder: A folder in the Hugging Face layout.

    Attributes:
        spared: Seconds that remembered texts took when they were encoded.

    Raises:
        MissingExtraError: transformers or torch is not installed.
        ConfigError: There is no such folder, or it is not a sentence encoder that averages over tokens.
        ModelError: Its files cannot be loaded.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.json").is_file():
            raise ConfigError(f"--encoder {folder}: no config.json there; {_HINT}")
        pooling = _settings(folder / "1_Pooling" / "config.json")
        if pooling and not pooling.get("pooling_mode_mean_tokens", pooling.get("pooling_mode") == "mean"):
            raise ConfigError(f"--encoder {folder}: its vectors are not means over tokens (1_Pooling/config.json)")
        try:
            import torch
            import transformers
        except ImportError as error:
            raise MissingExtraError("ranking by a sentence encoder", "bench") from error
        auto: Any = transformers
        try:
            self._tokenizer: Any = auto.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            self._model: Any = auto.AutoModel.from_pretrained(str(folder), local_files_only=True).eval()
        except Exception as error:  # the libraries raise many kinds for files that are missing, truncated or foreign
            raise ModelError(f"--encoder {folder}: cannot be loaded: {error}") from error
        self._torch = torch
        own = int(getattr(self._model.config, "max_position_embeddings", LONGEST))
        self._longest = min(own, int(_settings(folder / "sentence_bert_config.json").get("max_seq_length") or LONGEST))
        self._known: dict[str, tuple[NDArray[np.float32], float]] = {}
        self.spared = 0.0

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (texts, dimensions)."""
        if not texts:
            return np.zeros((0, int(self._model.config.hidden_size)), dtype=np.float32)
        self.spared += sum(self._known[t][1] for t in dict.fromkeys(texts) if t in self._known)
        new = sorted((t for t in dict.fromkeys(texts) if t not in self._known), key=len, reverse=True)
        for first in range(0, len(new), BATCH):
            batch = new[first : first + BATCH]
            start = time.perf_counter()
            vectors = self._forward(batch)
            each = (time.perf_counter() - start) / len(batch)
            self._known.update({text: (vector, each) for text, vector in zip(batch, vectors, strict=True)})
        return np.stack([self._known[t][0] for t in texts])

    def cosine(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Cosine of each text with the query, shape (texts,)."""
        vectors = self.encode([query, *texts]).astype(np.float64)
        return vectors[1:] @ vectors[0]

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by the encoder's own tokenizer, without special tokens."""
        if not texts:
            return []
        return [len(ids) for ids in self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]]

    def forget(self) -> None:
        """Drop all remembered vectors; call it between records."""
        self._known.clear()

    def _forward(self, texts: list[str]) -> NDArray[np.float32]:
        inputs = self._tokenizer(texts, padding=True, truncation=True, max_length=self._longest, return_tensors="pt")
        with self._torch.inference_mode():
            hidden = self._model(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            means = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            return self._torch.nn.functional.normalize(means, dim=1).numpy()


def require_encoder(folder: Path | None, wanted_by: Sequence[str]) -> Path:
    """The folder that the user gave.

    Raises:
        ConfigError: None was given; names what needs it and what to give.
    """
    if folder is None:
        raise ConfigError(f"{', '.join(wanted_by)}: {_HINT}")
    return folder


def _settings(file: Path) -> dict[str, Any]:
    """The JSON object in a file; nothing where there is no such file."""
    if not file.is_file():
        return {}
    try:
        found: object = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: cannot be read as JSON: {error}") from error
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
