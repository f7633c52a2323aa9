"""The embedded scorer's network for `transformers`: a small language model that is at hand wherever the package is.

It is read from ``model.onnx``, the weights that ship; there is no second copy of them. What comes out is the network
alone, without the n-grams and the copy distribution that the scorer mixes it with.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import MissingExtraError, ModelError
from ctxshrink.models import SCORER, read_config, read_file
from ctxshrink.training.config import ModelConfig

__all__ = ["read_weights", "scorer_as_llama"]

_NAMES = {
    "norm1": "input_layernorm",
    "norm2": "post_attention_layernorm",
    "self_attn.q_proj": "self_attn.q_proj",
    "self_attn.k_proj": "self_attn.k_proj",
    "self_attn.v_proj": "self_attn.v_proj",
    "self_attn.o_proj": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
"""Names of `ctxshrink.training.export` and those of Hugging Face's ``LlamaForCausalLM``, below ``model.layers.N.``."""


def scorer_as_llama(folder: Path = SCORER) -> tuple[Any, Any]:
    """The network as a ``LlamaForCausalLM`` in float32, ready for inference, and its tokenizer.

    Sequences start with the tokenizer's start token, which the tokenizer does not add by itself, as the scorer joins
    texts that it tokenized apart. It also stands between the texts that the network was trained on, and is the end
    token for that reason.

    Args:
        folder: A model folder as `ctxshrink train scorer` writes it.

    Returns:
        The model and a ``PreTrainedTokenizerFast``, new ones at each call.

    Raises:
        MissingExtraError: transformers, torch or onnx is not installed.
        ModelError: A file is missing, truncated or foreign.
    """
    try:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    except ImportError as error:
        raise MissingExtraError("the scorer's network as a transformers model", "kv") from error
    c, weights = read_weights(folder)
    bos = int(read_config(folder)["bos"])
    config = cast(Any, LlamaConfig)(
        vocab_size=len(weights["model.embed_tokens.weight"]),
        hidden_size=c.hidden_size,
        intermediate_size=c.intermediate_size,
        num_hidden_layers=c.num_hidden_layers,
        num_attention_heads=c.num_attention_heads,
        num_key_value_heads=c.num_key_value_heads,
        max_position_embeddings=c.max_position_embeddings,
        rms_norm_eps=c.rms_norm_eps,
        rope_theta=c.rope_theta,
        tie_word_embeddings=True,
        bos_token_id=bos,
        eos_token_id=bos,
        pad_token_id=bos,
    )
    model = cast(Any, LlamaForCausalLM)(config)
    state = {name: torch.tensor(w) for name, w in weights.items()}
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    read_file(folder, "tokenizer.json")  # is it the one that the network was trained with?
    tokenizer = cast(Any, PreTrainedTokenizerFast)(
        tokenizer_file=str(folder / "tokenizer.json"), model_max_length=c.max_position_embeddings, padding_side="left"
    )
    start = tokenizer.convert_ids_to_tokens(bos)
    tokenizer.add_special_tokens({"bos_token": start, "eos_token": start, "pad_token": start})
    return model.eval(), tokenizer


def read_weights(folder: Path = SCORER) -> tuple[ModelConfig, dict[str, NDArray[np.float32]]]:
    """Sizes and weights of an exported scorer, the int8 weights as floats, by Hugging Face's names.

    Raises:
        MissingExtraError: onnx is not installed.
        ModelError: A file is missing, truncated or foreign.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingExtraError("reading the scorer's weights", "train") from error
    described = read_config(folder)
    graph = onnx.load_from_string(read_file(folder, "model.onnx")).graph
    stored: dict[str, NDArray[Any]] = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    try:
        layers, kv = int(described["layers"]), int(described["kv_heads"])
        size, window = int(described["head_size"]), int(described["window"])
        weights = {"model.embed_tokens.weight": stored["embed.int8"] * stored["embed.scale"]}
        for i in range(layers):
            for ours, theirs in _NAMES.items():
                name = f"model.layers.{i}.{ours}"
                w = (
                    stored[name]
                    if ours.startswith("norm")
                    else stored[f"{name}.int8"].T * stored[f"{name}.scale"][:, None]
                )
                weights[f"model.layers.{i}.{theirs}.weight"] = np.ascontiguousarray(w, dtype=np.float32)
        weights["model.norm.weight"] = np.array(stored["norm"], dtype=np.float32)
        hidden = weights["model.norm.weight"].size
        config = ModelConfig(
            num_hidden_layers=layers,
            hidden_size=hidden,
            num_attention_heads=hidden // size,
            num_key_value_heads=kv,
            intermediate_size=len(weights["model.layers.0.mlp.gate_proj.weight"]),
            max_position_embeddings=window,
            rope_theta=_theta(stored["cos"], stored["sin"]),
            rms_norm_eps=float(f"{stored['eps'].item():.7g}"),  # the decimal that was meant
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / 'model.onnx'}: not a scorer's network: {error}") from error
    return config, weights


def _theta(cos: NDArray[np.float32], sin: NDArray[np.float32]) -> float:
    """The base of the rotary frequencies ``theta ** (-i / half)`` (Su et al. 2021), from the angles at position 1."""
    half = cos.shape[1]
    i = half // 2
    angle = math.atan2(float(sin[1, i]), float(cos[1, i]))
    theta = angle ** (-half / i)
    near = round(theta)  # float32 angles give 10000.002
    return float(near) if abs(theta - near) < 1e-5 * theta else theta
