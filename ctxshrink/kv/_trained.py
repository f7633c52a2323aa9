"""Folders of what is trained for one model: weights (safetensors, 16 bits) and a card (JSON)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ctxshrink.errors import ConfigError, ModelError

__all__ = ["load_trained", "save_trained"]

_CARD = "card.json"
_FORMAT = 1
_Made = TypeVar("_Made", bound=nn.Module)


def save_trained(module: nn.Module, folder: str | Path, card: Mapping[str, Any], weights: str) -> None:
    """Writes a module into a folder, which is made if need be.

    Args:
        module: What was trained.
        folder: The folder.
        card: What it is made of and where it comes from.
        weights: Name of the file of its weights.

    Raises:
        OSError: It cannot be written.
    """
    import safetensors.torch

    files: Any = safetensors.torch
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: w.detach().to("cpu", torch.float16).contiguous() for name, w in module.state_dict().items()}
    files.save_file(state, folder / weights)
    text = json.dumps({"format": _FORMAT, **card}, indent=2, sort_keys=True, default=str)
    (folder / _CARD).write_text(text + "\n", encoding="utf-8")


def load_trained(folder: str | Path, weights: str, what: str, make: Callable[[Mapping[str, Any]], _Made]) -> _Made:
    """Reads what `save_trained` wrote.

    Args:
        folder: The folder.
        weights: Name of the file of the weights.
        what: What is looked for, in words.
        make: Makes the untrained module of a card.

    Raises:
        ConfigError: There is none, or `make` refuses.
        ModelError: The files are damaged or of another format.
    """
    import safetensors.torch

    files: Any = safetensors.torch
    folder = Path(folder)
    if not (folder / _CARD).is_file() or not (folder / weights).is_file():
        raise ConfigError(f"{folder}: no {what} here ({weights} and {_CARD} are needed)")
    try:
        card: dict[str, Any] = json.loads((folder / _CARD).read_text(encoding="utf-8"))
        if card.pop("format") != _FORMAT:
            raise ModelError(f"{folder}: a {what} of another format; this version reads {_FORMAT}")
        made = make(card)
        made.load_state_dict({name: w.float() for name, w in files.load_file(folder / weights).items()})
    except (ConfigError, ModelError):
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, safetensors.SafetensorError) as error:
        raise ModelError(f"{folder}: not a usable {what}: {error}") from error
    return made
