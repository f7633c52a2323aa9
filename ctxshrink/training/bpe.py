"""Trains the byte-level BPE that the embedded models and the default token counter share.

Byte-level: every string has tokens and comes back unchanged. The pre-tokenizer bounds every run (letters 32, digits
3, punctuation and white space 16), so that a text of any shape, a word of 10 MB included, costs time linear in its
length; BPE itself is quadratic to log-linear in the length of one run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

BOS = "<|bos|>"
"""Starts every sequence, id 0. It is in the vocabulary but is no *added* token: text that spells it is plain text."""

PATTERN = (
    r"[^\r\n\p{L}\p{N}\p{M}]?[\p{L}\p{M}]{1,32}"
    r"|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}\p{M}]{1,16}[\r\n]{0,4}"
    r"|\s{0,16}[\r\n]{1,8}"
    r"|\s{1,16}(?!\S)"
    r"|\s{1,16}"
)


def train_bpe(texts: Iterable[str], path: Path, vocab_size: int) -> None:
    """Trains a tokenizer and writes it as a Hugging Face ``tokenizer.json``.

    Args:
        texts: What to train on.
        path: Where to write.
        vocab_size: Entries of the vocabulary, `BOS` and the 256 bytes included.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        max_token_length=32,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    spec = json.loads(tokenizer.to_str())
    spec["added_tokens"] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(spec, ensure_ascii=False), encoding="utf-8")
