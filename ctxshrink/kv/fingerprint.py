"""Which model a compressed context belongs to."""

from __future__ import annotations

import hashlib
import json
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ctxshrink.errors import ConfigError

__all__ = ["check_model", "fingerprint"]

_SAMPLED = 64
_known: WeakKeyDictionary[nn.Module, tuple[tuple[object, ...], str]] = WeakKeyDictionary()


def fingerprint(model: Any) -> str:
    """A hash of a model's configuration and of a sample of every weight that makes keys and values.

    64 values, spread over each parameter, and its shape are hashed as float32: another checkpoint or a fine-tuned one
    differs, and the same weights in another place are the same. A model in another type (bfloat16) is another model.
    """
    # Writes in place count up the version; a conversion or a move puts other data in its place.
    stamp = tuple((p._version, p.dtype, p.data_ptr()) for p in model.parameters())
    known = _known.get(model)
    if known is not None and known[0] == stamp:
        return known[1]
    sha = hashlib.sha256(json.dumps(_plain(model.config), sort_keys=True, default=str).encode())
    for name, weight in sorted(cast("list[tuple[str, Tensor]]", list(model.named_parameters()))):
        flat = weight.detach().reshape(-1)
        places = torch.linspace(0, max(0, flat.numel() - 1), min(_SAMPLED, flat.numel()), dtype=torch.float64).long()
        sample = flat[places.to(flat.device)].float().cpu().numpy()
        sha.update(f"{name}{tuple(weight.shape)}{weight.dtype}".encode() + sample.tobytes())
    _known[model] = stamp, sha.hexdigest()
    return sha.hexdigest()


def check_model(made_by: str, model: Any) -> None:
    """Refuses a model that did not make a context.

    Args:
        made_by: `CompressedContext.fingerprint`.
        model: The model that is to go on from it.

    Raises:
        ConfigError: It is another one.
    """
    if fingerprint(model) != made_by:
        raise ConfigError(
            "the context was made by another model (or this one was changed or converted since): compress it again"
        )


def _plain(config: Any) -> dict[str, Any]:
    """The settings that say how the model computes, without where it came from and how it attends.

    Those that a model of its kind has anyway are left out, so that a new setting of a new release changes nothing.
    """
    skip = ("transformers_version", "use_cache", "architectures", "dtype", "torch_dtype")
    return {k: v for k, v in config.to_diff_dict().items() if k not in skip and not k.startswith("_")}
