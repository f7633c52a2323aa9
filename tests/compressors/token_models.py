"""Tiny token-classification models with random weights, as LLMLingua-2's checkpoints are laid out."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any, Literal

Family = Literal["bert", "xlm-roberta"]
FAMILIES: tuple[Family, ...] = ("bert", "xlm-roberta")

TEXT = (
    "The harbour office opened in 1931. Its first director was Ann Lindt, who kept a diary; the diary is lost. "
    "Payments are due on 3 May 2024 and must never exceed $4,500.00. See https://port.example/a?b=1 for details. "
    "Boats over 12 m need permit INV-2291. Most visitors like the small café, which doesn't sell cake on Mondays. "
    "The old crane was moved to the north quay when the new one arrived, and nobody has used it since then. "
    "Der Hafen ist nicht groß, aber im Sommer kommen viele Gäste. Le port n'est pas loin de la gare. "
    "港口办公室于1931年成立，第一任主任是林安。日记的内容已经丢失。東京は日本の首都で、人口は約1400万人です。"
)


def tokenizer_of(family: Family) -> Any:
    """A tokenizer of the family's kind, trained on a page of text."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    texts = [TEXT, TEXT.lower(), " ".join(TEXT), " ".join(f"{c} x{c}" for c in string.printable)]
    if family == "bert":
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.decoder = decoders.WordPiece()
        made.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special))
        pad, unk, cls, sep, mask = special
        names = {"cls_token": cls, "sep_token": sep}
    else:
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        made = Tokenizer(models.Unigram())
        made.normalizer = normalizers.NFKC()
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>")
        made.train_from_iterator(texts, trainer)
        cls, pad, sep, unk, mask = special
        names = {"bos_token": cls, "eos_token": sep, "cls_token": cls, "sep_token": sep}
    ids = [(token, made.token_to_id(token)) for token in (cls, sep)]
    made.post_processor = processors.TemplateProcessing(single=f"{cls} $A {sep}", special_tokens=ids)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=pad, unk_token=unk, mask_token=mask, model_max_length=512, **names
    )


def build(family: Family, folder: Path, *, seed: int = 0, labels: int = 2, window: int = 512) -> Path:
    """Writes a model with its tokenizer into a folder."""
    import torch
    from transformers import (
        BertConfig,
        BertForTokenClassification,
        XLMRobertaConfig,
        XLMRobertaForTokenClassification,
    )

    tokenizer = tokenizer_of(family)
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "num_labels": labels,
        "initializer_range": 0.9,  # so that the words' probabilities lie far apart
        "pad_token_id": tokenizer.pad_token_id,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if family == "bert":
            model = BertForTokenClassification(BertConfig(max_position_embeddings=window, **sizes))
        else:
            ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
            config = XLMRobertaConfig(max_position_embeddings=window + 2, type_vocab_size=1, **ends, **sizes)
            model = XLMRobertaForTokenClassification(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
