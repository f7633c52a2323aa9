"""A tiny BERT of random weights under Hugging Face's names, a WordPiece tokenizer for it, and its exported folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LAYERS, WIDTH, HEADS, MIDDLE, POSITIONS, LOGITS = 2, 48, 4, 96, 40, 2
WORDS = ("the", "gate", "of", "north", "lock", "opens", "at", "six", "keeper", "writes", "##s", "book", ".", ",", "412")
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS)
UNK, CLS, SEP = 1, 2, 3


def bert_weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Weights with a few channels much wider than the others, as trained encoders have them."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(VOCABULARY), WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "head.weight": (LOGITS, WIDTH),
        "head.bias": (LOGITS,),
    }
    norms = ["embeddings.LayerNorm"]
    for i in range(LAYERS):
        p = f"encoder.layer.{i}."
        matrices = {f"attention.self.{n}": (WIDTH, WIDTH) for n in ("query", "key", "value")} | {
            "attention.output.dense": (WIDTH, WIDTH),
            "intermediate.dense": (MIDDLE, WIDTH),
            "output.dense": (WIDTH, MIDDLE),
        }
        for name, shape in matrices.items():
            shapes |= {f"{p}{name}.weight": shape, f"{p}{name}.bias": shape[:1]}
        norms += [f"{p}attention.output.LayerNorm", f"{p}output.LayerNorm"]
    weights = {name: rng.normal(0, 0.2, shape) for name, shape in shapes.items()}
    for name in norms:
        gain = rng.uniform(0.6, 1.4, WIDTH)
        gain[:2] = 6
        weights |= {f"{name}.weight": gain, f"{name}.bias": rng.normal(0, 0.3, WIDTH)}
    return {name: np.asarray(value, dtype=np.float32) for name, value in weights.items()}


def random_rows(count: int, seed: int = 0, longest: int = POSITIONS) -> list[list[int]]:
    """Rows of token ids of all lengths from [CLS] [SEP] up to the longest."""
    rng = np.random.default_rng(seed)
    words = (rng.integers(4, len(VOCABULARY), rng.integers(0, longest - 1)).tolist() for _ in range(count))
    return [[CLS, *row, SEP] for row in words]


def write_tokenizer(path: Path, *, special: bool = True) -> Path:
    """A ``tokenizer.json`` that truncates and pads, as those of sentence encoders do."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    vocabulary = {w if special else w.strip("[]"): i for i, w in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]" if special else "UNK"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(path))
    return path


def write_folder(folder: Path) -> Path:
    """The folder that `export_encoder` writes."""
    from ctxshrink.training.encoder_export import export_encoder

    tokenizer = write_tokenizer(folder / "base.json")
    export_encoder(bert_weights(), folder, tokenizer, random_rows(20, seed=1), "tiny", {"mix": [1, 2]}, heads=HEADS)
    return folder
