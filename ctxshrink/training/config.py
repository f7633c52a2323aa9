"""The scorer's recipe as a value, and how it is read from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from ctxshrink.errors import ConfigError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class DataConfig:
    """What to train on.

    Attributes:
        root: The corpus folder, ``<language>/<name>.jsonl[.xz]`` with rows of ``{"id", "text"}``.
        include: Glob patterns below it.
        exclude: Parts of names to leave out.
        held_out: Share of each file's documents that is for evaluation only.
        epochs: How often a language's documents stand in the stream; 1 unless named.
        random_share: Share of the copy sequences that repeat random ids, in [0, 1].
        copy_rows: Copy rows made per length; they are used in turn.
    """

    root: str = "corpus"
    include: tuple[str, ...] = ("*/*.jsonl.xz", "*/*.jsonl")
    exclude: tuple[str, ...] = ()
    held_out: float = 0.01
    epochs: Mapping[str, int] = field(default_factory=dict[str, int])
    random_share: float = 0.5
    copy_rows: int = 8000


@dataclass(frozen=True, slots=True)
class TokenizerConfig:
    """The byte-level BPE.

    Attributes:
        vocab_size: Entries, 257 to 65,535.
        sample_bytes: Most bytes of a language that it is trained on.
        sample_bytes_other: The same for languages that are not named.
    """

    vocab_size: int = 12288
    sample_bytes: Mapping[str, int] = field(default_factory=dict[str, int])
    sample_bytes_other: int = 4_500_000


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A Llama model with tied embeddings. Names and meanings are those of Hugging Face's ``LlamaConfig``."""

    num_hidden_layers: int = 6
    hidden_size: int = 256
    num_attention_heads: int = 4
    num_key_value_heads: int = 4
    intermediate_size: int = 704
    max_position_embeddings: int = 1024
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How to train.

    Attributes:
        lengths: Sequence lengths in order of use.
        shares: Share of the budget spent at each length; sums to 1.
        copy_shares: At each length, share of the rows of every batch that are copy sequences, in [0, 1].
        batch_tokens: Tokens of a step.
        tokens: Budget in tokens; 0 for none.
        seconds: Budget in seconds of training, restarts included; 0 for none. The learning rate falls to 0 over
            whichever budget is used up first. Only a token budget alone is reproducible.
        warmup: Share of the budget over which the learning rate rises.
        muon_lr: Peak learning rate of the hidden matrices (Muon).
        adam_lr: Peak learning rate of embeddings and norms (AdamW).
        weight_decay: Decoupled decay of the hidden matrices, times the learning rate.
        clip: Largest norm of the gradient.
        init: A checkpoint to start from, of a model with the same vocabulary and width and as many layers or fewer;
            added layers begin without effect. The stream goes on where it stood, the budget starts anew.
        seed: Of the initial weights, the order of the data and the copy sequences.
        threads: On a CPU, threads that share the rows of a batch; 0 or 1 leaves it to torch's own threads.
        device: ``cpu`` or a CUDA device.
        dtype: ``bfloat16`` (autocast) or ``float32``.
        compile: Compile the blocks with torch.compile; on a CPU that needs a C++ compiler.
        checkpoint_seconds: Time between checkpoints.
    """

    lengths: tuple[int, ...] = (512, 1024)
    shares: tuple[float, ...] = (0.85, 0.15)
    copy_shares: tuple[float, ...] = (0.3, 0.3)
    batch_tokens: int = 8192
    tokens: int = 0
    seconds: float = 0.0
    warmup: float = 0.01
    muon_lr: float = 0.02
    adam_lr: float = 0.003
    weight_decay: float = 0.01
    clip: float = 1.0
    init: str = ""
    seed: int = 1
    threads: int = 0
    device: str = "cpu"
    dtype: str = "bfloat16"
    compile: bool = True
    checkpoint_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class MixtureConfig:
    """What the network's probabilities are mixed with; see `ctxshrink.scorers._mixture`.

    Attributes:
        fit_tokens: Tokens, at most a twentieth of the stream, that are kept from training to fit the weights on; 0 for
            no mixture.
        ngrams: Most n-grams of the table, 3 to 4 bytes each; 0 for none.
    """

    fit_tokens: int = 250_000
    ngrams: int = 1_500_000


@dataclass(frozen=True, slots=True)
class ScorerConfig:
    """The whole recipe of a scorer.

    Attributes:
        work: Folder for arrays, checkpoints and the log; relative paths are relative to the current folder.
        output: Folder that receives ``model.onnx``, ``tokenizer.json`` and ``config.json``.
    """

    work: str = "scorer-work"
    output: str = "scorer"
    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    mixture: MixtureConfig = MixtureConfig()

    def __post_init__(self) -> None:
        m, t = self.model, self.train
        checks = (
            (257 <= self.tokenizer.vocab_size <= 65535, "tokenizer.vocab_size must be in [257, 65535]"),
            (0 <= self.data.held_out < 1, "data.held_out must be in [0, 1)"),
            (0 <= self.data.random_share <= 1, "data.random_share must be in [0, 1]"),
            (all(0 <= s <= 1 for s in t.copy_shares), "train.copy_shares must be in [0, 1]"),
            (m.hidden_size % (2 * m.num_attention_heads) == 0, "model.hidden_size must be a multiple of 2 * heads"),
            (m.num_attention_heads % m.num_key_value_heads == 0, "model.num_key_value_heads must divide the heads"),
            (
                len(t.lengths) == len(t.shares) == len(t.copy_shares) > 0,
                "train.lengths, train.shares and train.copy_shares must be of equal length",
            ),
            (abs(sum(t.shares) - 1) < 1e-6, "train.shares must sum to 1"),
            (t.tokens > 0 or t.seconds > 0, "train.tokens or train.seconds must be set"),
            (max(t.lengths, default=0) <= m.max_position_embeddings, "train.lengths must fit the model's window"),
            (self.mixture.fit_tokens >= 0, "mixture.fit_tokens must not be negative"),
            (self.mixture.ngrams >= 0, "mixture.ngrams must not be negative"),
            (t.dtype in ("bfloat16", "float32"), "train.dtype must be bfloat16 or float32"),
        )
        for ok, message in checks:
            if not ok:
                raise ConfigError(message)


def load_config(path: str | Path) -> ScorerConfig:
    """Reads a recipe.

    Args:
        path: A TOML file with the tables ``data``, ``tokenizer``, ``model``, ``train`` and ``mixture``.

    Raises:
        ConfigError: The file is missing, is not TOML, or has an unknown key or a value of the wrong type.
    """
    return read_recipe(path, ScorerConfig)


def read_recipe(path: str | Path, cls: type[_T]) -> _T:
    """A recipe of dataclasses within dataclasses from a TOML file; errors as in `load_config`."""
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    return _build(cls, table, "")


def _build(cls: type[_T], table: Mapping[str, Any], prefix: str) -> _T:
    hints = get_type_hints(cls)
    known = {f.name for f in fields(cast(Any, cls))}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"unknown setting {prefix}{key}; known: {', '.join(sorted(known))}")
        values[key] = _value(hints[key], value, f"{prefix}{key}")
    for setting in fields(cast(Any, cls)):
        if setting.name not in values and setting.default is MISSING and setting.default_factory is MISSING:
            raise ConfigError(f"the configuration must name a {prefix}{setting.name}")
    return cls(**values)


def _value(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{name} must be a table")
        return _build(cast(type[Any], hint), cast("dict[str, Any]", value), f"{name}.")
    if hint in (str, bool, int):
        if type(value) is not hint:
            raise ConfigError(f"{name} must be {hint.__name__}, not {type(value).__name__}")
        return value
    if hint is float:
        if type(value) not in (int, float):
            raise ConfigError(f"{name} must be a number, not {type(value).__name__}")
        return float(value)
    if isinstance(value, list):
        return tuple(cast("list[Any]", value))
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    raise ConfigError(f"{name} has a value of the wrong type: {type(value).__name__}")
