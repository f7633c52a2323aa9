"""Tiny causal models of the supported families, with random weights, and a tokenizer with a chat template."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

FULL = ("llama-mha", "llama-gqa", "llama-mqa", "qwen2", "qwen3", "mistral", "phi3", "olmo2", "granite")
"""Models of full-attention layers only."""
HYBRID = ("gemma3", "gemma2")
"""Layers with sliding windows between layers of full attention."""
VOCABULARY = 331

_SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 2048,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "initializer_range": 0.3,  # decided attention: with 0.02 every token looks the same
}


@cache
def model_of(family: str, *, attention: str = "sdpa", layers: int = 3) -> Any:
    """A model in evaluation mode; the same weights each time. It is shared: never change it."""
    import transformers as t

    heads = {"llama-mha": 4, "llama-mqa": 1}.get(family, 2)
    small = {**_SMALL, "num_key_value_heads": heads, "attn_implementation": attention, "num_hidden_layers": layers}
    torch.manual_seed(7)
    if family.startswith("llama"):
        model: Any = t.LlamaForCausalLM(t.LlamaConfig(**small))
    elif family == "qwen2":
        model = t.Qwen2ForCausalLM(t.Qwen2Config(**small))
    elif family == "qwen3":
        model = t.Qwen3ForCausalLM(t.Qwen3Config(**small, head_dim=8))
    elif family == "mistral":
        model = t.MistralForCausalLM(t.MistralConfig(**small, sliding_window=None))
    elif family == "mistral-window":
        model = t.MistralForCausalLM(t.MistralConfig(**small, sliding_window=16))
    elif family == "phi3":
        model = t.Phi3ForCausalLM(t.Phi3Config(**small))
    elif family == "olmo2":
        model = t.Olmo2ForCausalLM(t.Olmo2Config(**small))
    elif family == "granite":
        model = t.GraniteForCausalLM(t.GraniteConfig(**small))
    elif family in ("gemma2", "gemma3"):
        kinds = ["sliding_attention", "full_attention", "sliding_attention"]
        config = t.Gemma2Config if family == "gemma2" else t.Gemma3TextConfig
        made = t.Gemma2ForCausalLM if family == "gemma2" else t.Gemma3ForCausalLM
        sizes = {**small, "attn_implementation": "eager" if family == "gemma2" else attention}
        model = made(config(**sizes, head_dim=8, sliding_window=16, layer_types=kinds))
    elif family == "mamba":
        model = t.MambaForCausalLM(t.MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2))
    else:
        raise ValueError(family)
    return model.eval()


def ids_of(rows: int, tokens: int, seed: int = 0) -> torch.Tensor:
    """Random token ids without the special ones, shape (rows, tokens)."""
    made = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (rows, tokens), generator=made)


PAGE = (
    "The harbour office opened in 1931. Its first director was Ann Lindt, who kept a diary; the diary is lost. "
    "Payments are due on 3 May 2024 and must never exceed $4,500.00. Boats over 12 m need permit INV-2291. "
    "Who signed it? When does the office open? user assistant system Question Answer "
)
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@cache
def tokenizer_of() -> Any:
    """A byte-level BPE of `VOCABULARY` entries at most, with special tokens and a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    made.train_from_iterator([PAGE], trainer)
    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>", padding_side="left"
    )
    tokenizer.chat_template = CHAT
    return tokenizer
