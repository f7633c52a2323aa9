"""What a trained scorer is worth: bits per byte on held-out text beside two yardsticks, and whether it copies."""

from __future__ import annotations

import json
import lzma
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctxshrink.training.config import ScorerConfig
from ctxshrink.training.copies import split_units
from ctxshrink.training.kneser_ney import KneserNey
from ctxshrink.training.scorer import import_torch
from ctxshrink.types import Scorer


@dataclass(frozen=True, slots=True)
class Row:
    """Bits per byte of one domain's held-out text; NaN where a model was not asked.

    Attributes:
        domain: What the texts are.
        size: Their UTF-8 bytes.
        scorer: Of the scorer.
        ngram: Of the n-gram model over the same tokens.
        xz: Of ``xz -9``, all texts of the domain as one file.
    """

    domain: str
    size: int
    scorer: float
    ngram: float
    xz: float


@dataclass(frozen=True, slots=True)
class Probe:
    """How well something is copied from the context.

    Attributes:
        name: The probe.
        accuracy: Share of the trials won.
        chance: What guessing would win.
        gain: Nats per token by which the context that holds the target beats one that does not.
        trials: Number of trials.
    """

    name: str
    accuracy: float
    chance: float
    gain: float
    trials: int


def read_held_out(work: Path, limit: int = 40_000) -> dict[str, list[str]]:
    """Held-out texts by domain, which is the folder and the first word of the file's name.

    Args:
        work: Work folder of the training.
        limit: Most characters of a file; a longer document is cut.
    """
    texts: dict[str, list[str]] = {}
    used: dict[str, int] = {}
    for row in json.loads((work / "held_out.json").read_text(encoding="utf-8")):
        path = Path(row["file"])
        text = str(row["text"])[: max(0, limit - used.get(row["file"], 0))]
        used[row["file"]] = used.get(row["file"], 0) + len(text)
        if text:
            texts.setdefault(f"{path.parts[0]} {path.name.split('.')[0].split('_')[0]}", []).append(text)
    return texts


def bits_per_byte(
    texts: Mapping[str, Sequence[str]], scorer: Scorer | None, ngram: KneserNey | None, tokenizer: Any
) -> list[Row]:
    """One row per domain.

    Args:
        texts: Held-out texts by domain; each is scored from its start.
        scorer: The scorer, or None.
        ngram: The n-gram model over the scorer's tokens, or None.
        tokenizer: The scorer's `tokenizers.Tokenizer`; its id 0 starts a text.
    """
    rows: list[Row] = []
    for domain, documents in texts.items():
        size = sum(len(d.encode("utf-8", "replace")) for d in documents)
        neural = counted = math.nan
        if scorer is not None:
            neural = sum(float(n.sum()) for d in documents for n in scorer.nll([("", d)])) / math.log(2) / size
        if ngram is not None:
            ids = [np.asarray([0, *tokenizer.encode(d, add_special_tokens=False).ids]) for d in documents]
            counted = sum(float(ngram.nll(i).sum()) for i in ids) / math.log(2) / size
        packed = lzma.compress("\n".join(documents).encode("utf-8", "replace"), preset=9)
        rows.append(Row(domain, size, neural, counted, 8 * len(packed) / size))
    return rows


def repeat_probe(scorer: Scorer, texts: Sequence[str], trials: int = 200, seed: int = 7) -> Probe:
    """A sentence after the passage that holds it, against the same sentence after another passage.

    Won when the passage that holds it makes it likelier.
    """
    rng = random.Random(seed)
    passages = [t[:1200] for t in texts if len(split_units(t[:1200])) > 3]
    pairs: list[tuple[str, str]] = []
    for _ in range(trials):
        held, other = rng.sample(passages, 2)
        target = "\n\n" + rng.choice(split_units(held))[:300]
        pairs += [(held, target), (other, target)]
    return _compare("repeat a sentence", scorer, pairs)


def restatement_probe(scorer: Scorer, texts: Sequence[str], trials: int = 200, seed: int = 8) -> Probe:
    """Half of a sentence's words, in order, after the passage that holds it, against another passage."""
    rng = random.Random(seed)
    passages = [t[:1200] for t in texts if len([u for u in split_units(t[:1200]) if u.count(" ") > 4]) > 2]
    pairs: list[tuple[str, str]] = []
    for _ in range(trials):
        held, other = rng.sample(passages, 2)
        words = rng.choice([u for u in split_units(held) if u.count(" ") > 4])[:300].split()
        target = "\n\nquery: " + " ".join(w for i, w in enumerate(words) if i % 2 == 0)
        pairs += [(held, target), (other, target)]
    return _compare("restate a sentence", scorer, pairs)


def lookup_probe(scorer: Scorer, trials: int = 100, choices: int = 10, seed: int = 9) -> Probe:
    """Ten records, then the key of one of them: is its value the likeliest of the ten per token?

    The gain is that of the value over the same value with its record left out of the context.
    """
    rng = random.Random(seed)
    won, gains = 0, 0.0
    for _ in range(trials):
        records = {f"{_word(rng)} {_word(rng)}": f"{_word(rng)}-{rng.randint(100, 9999)}" for _ in range(choices)}
        keys, values = list(records), list(records.values())
        asked = rng.randrange(len(keys))
        context = "\n".join(f"{k}: {v}" for k, v in records.items()) + f"\n\n{keys[asked]}:"
        without = "\n".join(f"{k}: {v}" for k, v in records.items() if k != keys[asked]) + f"\n\n{keys[asked]}:"
        found = scorer.nll([(context, " " + v) for v in values] + [(without, " " + values[asked])])
        means = [float(n.mean()) for n in found]
        won += int(int(np.argmin(means[:-1])) == asked)
        gains += means[-1] - means[asked]
    return Probe("look up a value", won / trials, 1 / choices, gains / trials, trials)


def int8_cost(config: ScorerConfig, texts: Sequence[str], tokenizer: Any) -> tuple[float, float]:
    """Nats per token of the texts' first windows with the trained weights and with their int8 values.

    Args:
        config: The recipe; its work folder holds the checkpoint.
        texts: What to measure on.
        tokenizer: The scorer's `tokenizers.Tokenizer`.
    """
    torch = import_torch()
    from ctxshrink.training.export import dequantized, load_weights
    from ctxshrink.training.llama import Llama

    weights = load_weights(Path(config.work) / "checkpoint.pt")
    ids = [
        [0, *tokenizer.encode(t, add_special_tokens=False).ids][: config.model.max_position_embeddings] for t in texts
    ]
    means: list[float] = []
    for named in (weights, dequantized(weights)):
        model = Llama(config.model, config.tokenizer.vocab_size)
        model.load_state_dict({n: torch.from_numpy(w) for n, w in named.items()})
        sums = [float(model.nll(torch.tensor([i[:-1]]), torch.tensor([i[1:]])).sum()) for i in ids]
        means.append(sum(sums) / sum(len(i) - 1 for i in ids))
    return means[0], means[1]


def to_markdown(rows: Sequence[Row], probes: Sequence[Probe]) -> str:
    """The two tables of a model card."""
    total = sum(r.size for r in rows)
    mean = Row(
        "all (by bytes)",
        total,
        *(sum(getattr(r, n) * r.size for r in rows) / max(total, 1) for n in ("scorer", "ngram", "xz")),
    )
    lines = ["| held-out text | bytes | scorer | 5-gram Kneser-Ney | xz -9 |", "|---|---:|---:|---:|---:|"]
    lines += [f"| {r.domain} | {r.size:,} | {r.scorer:.3f} | {r.ngram:.3f} | {r.xz:.3f} |" for r in (*rows, mean)]
    lines += ["", "| probe | won | chance | gain, nats per token | trials |", "|---|---:|---:|---:|---:|"]
    lines += [f"| {p.name} | {p.accuracy:.1%} | {p.chance:.0%} | {p.gain:.2f} | {p.trials} |" for p in probes]
    return "\n".join(lines) + "\n"


def _compare(name: str, scorer: Scorer, pairs: Sequence[tuple[str, str]]) -> Probe:
    nats = [float(n.mean()) for n in scorer.nll(pairs)]
    gains = [b - a for a, b in zip(nats[::2], nats[1::2], strict=True)]
    return Probe(name, sum(g > 0 for g in gains) / len(gains), 0.5, sum(gains) / len(gains), len(gains))


def _word(rng: random.Random) -> str:
    return "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 3)))
