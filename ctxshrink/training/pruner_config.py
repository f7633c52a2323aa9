"""The pruner's recipe as a value, and how it is read from TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ctxshrink.errors import ConfigError
from ctxshrink.training.config import read_recipe


@dataclass(frozen=True, slots=True)
class PrunerDataConfig:
    """What to train on.

    Attributes:
        files: JSON lines of ``{"query", "sentences", "labels"}`` or chats, see
            `ctxshrink.training.pruner_data.read_rows`.
        shares: Share of the rows of a file that is read, by the file's name; 1 unless named.
        languages: Values of ``lang`` that are read; rows without one are English.
    """

    files: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict[str, float])
    languages: tuple[str, ...] = ("en",)


@dataclass(frozen=True, slots=True)
class PrunerTrainConfig:
    """How to train.

    Attributes:
        window: Most tokens that the encoder reads at once.
        windows: Windows a step.
        questions: Most questions a step.
        steps: Budget in steps; 0 for none.
        seconds: Budget in seconds of training, restarts included; 0 for none.
        warmup: Share of the budget over which the learning rate rises; it falls to 0 linearly after that.
        lr: Peak learning rate (AdamW).
        hold: Weight of the squared distance from the base encoder's weights (L2-SP), times the learning rate.
        clip: Largest norm of the gradient.
        seed: Of the new head and of the order of the data.
        threads: Threads of torch; 0 leaves it to torch.
        device: ``cpu`` or a CUDA device.
        dtype: ``bfloat16`` (autocast) or ``float32``.
        checkpoint_seconds: Time between checkpoints.
    """

    window: int = 256
    windows: int = 48
    questions: int = 96
    steps: int = 0
    seconds: float = 0.0
    warmup: float = 0.05
    lr: float = 5e-5
    hold: float = 2.0
    clip: float = 1.0
    seed: int = 1
    threads: int = 0
    device: str = "cpu"
    dtype: str = "bfloat16"
    checkpoint_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class PrunerConfig:
    """The whole recipe of a pruner.

    Attributes:
        base: Folder of the encoder to start from: ``config.json``, ``model.safetensors``, ``tokenizer.json``.
        work: Folder for checkpoints and the log.
        output: Folder that receives the model.
    """

    base: str = "base"
    work: str = "pruner-work"
    output: str = "pruner"
    data: PrunerDataConfig = PrunerDataConfig()
    train: PrunerTrainConfig = PrunerTrainConfig()

    def __post_init__(self) -> None:
        t = self.train
        checks = (
            (bool(self.data.files), "data.files must name at least one file"),
            (t.steps > 0 or t.seconds > 0, "train.steps or train.seconds must be set"),
            (64 <= t.window <= 512, "train.window must be in [64, 512]"),
            (t.windows > 1 and t.questions > 0, "train.windows must be at least 2, train.questions at least 1"),
            (t.dtype in ("bfloat16", "float32"), "train.dtype must be bfloat16 or float32"),
        )
        for ok, message in checks:
            if not ok:
                raise ConfigError(message)


def load_pruner_config(path: str | Path) -> PrunerConfig:
    """Reads a recipe.

    Args:
        path: A TOML file with ``base``, ``work``, ``output`` and the tables ``data`` and ``train``.

    Raises:
        ConfigError: The file is missing, is not TOML, or has an unknown key or a value of the wrong type.
    """
    return read_recipe(path, PrunerConfig)
