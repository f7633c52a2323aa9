"""Turns a corpus into the arrays that training reads, once per configuration.

Written into the work folder: ``tokenizer.json``; ``stream.npy``, every training document as tokens, each block led by
`BOS`, in a seeded order; ``mixture.npy``, blocks kept from training to fit the mixture on; ``copies_<T>.npy``, rows of
T + 1 tokens that need copying; ``held_out.json``.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxshrink.training.bpe import train_bpe
from ctxshrink.training.config import DataConfig, ScorerConfig
from ctxshrink.training.copies import make_copy, random_repeat
from ctxshrink.training.corpus import Document, blocks, find_files, read_documents

BOS_ID = 0
_BLOCK = 4096
_BATCH = 512


def prepare(config: ScorerConfig, work: Path, say: Callable[[str], None]) -> None:
    """Makes what is not there yet of the tokenizer and the arrays.

    Args:
        config: The recipe.
        work: Folder for the arrays.
        say: Receives a line of progress.
    """
    work.mkdir(parents=True, exist_ok=True)
    names = ["tokenizer.json", "held_out.json", "stream.npy", *(f"copies_{t}.npy" for t in config.train.lengths)]
    if config.mixture.fit_tokens:
        names.append("mixture.npy")
    missing = {n for n in names if not (work / n).exists()}
    if not missing:
        return
    root = Path(config.data.root)
    files = find_files(root, config.data.include, config.data.exclude)
    documents = list(read_documents(root, files, config.data.held_out))
    training = [d for d in documents if not d.held_out]
    say(f"{len(documents)} documents, {len(documents) - len(training)} of them held out")
    if not (work / "tokenizer.json").exists():
        train_bpe(_tokenizer_sample(config, training), work / "tokenizer.json", config.tokenizer.vocab_size)
        say("tokenizer trained")
    tokenizer = load_tokenizer(work)
    held = [{"file": d.file, "id": d.id, "text": d.text} for d in documents if d.held_out]
    (work / "held_out.json").write_text(json.dumps(held), encoding="utf-8")
    texts = [d.text for d in training for _ in range(_epochs(config, d))]
    for length in dict.fromkeys(config.train.lengths):
        if f"copies_{length}.npy" in missing:
            rng = random.Random(f"{config.train.seed} {length}")
            np.save(work / f"copies_{length}.npy", copy_rows(rng, texts, tokenizer, length, config.data))
            say(f"copy rows of {length} tokens made")
    if missing & {"stream.npy", "mixture.npy"}:
        stream = build_stream(config, training, tokenizer)
        kept = hold_back(stream, min(config.mixture.fit_tokens, len(stream) // 20))
        say(f"{int((~kept).sum())} training tokens, {int(kept.sum())} kept for the mixture")
        np.save(work / "mixture.npy", stream[kept])
        np.save(work / "stream.npy", stream[~kept])


def hold_back(stream: NDArray[np.uint16], tokens: int, after: int = 0) -> NDArray[np.bool_]:
    """Which tokens of a stream are kept from training: whole blocks from its end, with all their copies.

    Args:
        stream: Blocks led by `BOS_ID`.
        tokens: Blocks are taken until there are so many, copies not counted.
        after: Blocks with a copy before this position stay: they were trained on.

    Returns:
        A mask of the stream's shape.
    """
    begins = np.flatnonzero(stream == BOS_ID)
    ends = np.append(begins[1:], len(stream))
    places: dict[bytes, list[int]] = {}
    for i, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        places.setdefault(hashlib.blake2b(stream[begin:end].tobytes(), digest_size=16).digest(), []).append(i)
    mask = np.zeros(len(stream), dtype=bool)
    taken = 0
    for copies in sorted(places.values(), key=lambda c: -c[-1]):
        if taken >= tokens:
            break
        if begins[copies[0]] >= after:
            taken += int(ends[copies[0]] - begins[copies[0]])
            for i in copies:
                mask[begins[i] : ends[i]] = True
    return mask


def load_tokenizer(work: Path) -> Any:
    """The tokenizer of a work folder."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(work / "tokenizer.json"))


def build_stream(config: ScorerConfig, training: Sequence[Document], tokenizer: Any) -> NDArray[np.uint16]:
    """All training documents as one run of tokens in a seeded order, shape (tokens,)."""
    pieces: list[NDArray[np.uint16]] = []
    for first in range(0, len(training), _BATCH):
        batch = training[first : first + _BATCH]
        for doc, ids in zip(batch, _encode(tokenizer, [d.text for d in batch]), strict=True):
            cut = [np.asarray([BOS_ID, *b], dtype=np.uint16) for b in blocks(ids, _BLOCK)]
            pieces.extend(cut * _epochs(config, doc))
    random.Random(config.train.seed).shuffle(pieces)
    return np.concatenate(pieces)


def copy_rows(
    rng: random.Random, texts: Sequence[str], tokenizer: Any, length: int, data: DataConfig
) -> NDArray[np.uint16]:
    """Rows of length + 1 tokens, each filled with copy sequences from its start; shape (rows, length + 1)."""
    rows = np.zeros((data.copy_rows, length + 1), dtype=np.uint16)
    source = _copy_tokens(rng, texts, tokenizer, length, data.random_share)
    for row in rows:
        used = 0
        while used < length + 1:
            ids = next(source)[: length + 1 - used]
            row[used : used + len(ids)] = ids
            used += len(ids)
    return rows


def _copy_tokens(
    rng: random.Random, texts: Sequence[str], tokenizer: Any, length: int, random_share: float
) -> Iterator[list[int]]:
    while True:
        made = [make_copy(rng, texts, rng.choice((length // 2, length, 2 * length))) for _ in range(_BATCH)]
        contexts = _encode(tokenizer, [c for c, _ in made])
        targets = _encode(tokenizer, [t for _, t in made])
        for context, target in zip(contexts, targets, strict=True):
            if rng.random() < random_share:
                yield [BOS_ID, *random_repeat(rng, tokenizer.get_vocab_size(), length)]
            ids = [BOS_ID, *context, *target]
            if len(ids) <= length + 1:
                yield ids


def _encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    clean = [t.encode("utf-8", "replace").decode() for t in texts]
    return [e.ids for e in tokenizer.encode_batch_fast(clean, add_special_tokens=False)]


def _epochs(config: ScorerConfig, document: Document) -> int:
    return config.data.epochs.get(document.language, 1)


def _tokenizer_sample(config: ScorerConfig, training: Sequence[Document]) -> list[str]:
    """A seeded sample with a cap per language, so that English does not take the whole vocabulary."""
    order = list(training)
    random.Random(config.train.seed).shuffle(order)
    used: dict[str, int] = {}
    sample: list[str] = []
    for doc in order:
        size = len(doc.text.encode("utf-8", "replace"))
        cap = config.tokenizer.sample_bytes.get(doc.language, config.tokenizer.sample_bytes_other)
        if used.get(doc.language, 0) + size <= cap:
            used[doc.language] = used.get(doc.language, 0) + size
            sample.append(doc.text)
    return sample
