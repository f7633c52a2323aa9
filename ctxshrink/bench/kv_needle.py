"""Compressed caches on the needle task: what every selector answers at every share, and what the guardrail says to it.

All methods see the same contexts in one run. A context is read once for each method; the shares are cut from that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor

from ctxshrink.errors import ConfigError, ModelError
from ctxshrink.kv._probes import Probes, auto_probes, diverge, last_logits, logits_of
from ctxshrink.kv.adapter import KVDistillAdapter
from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.guardrail import KVGuardrail
from ctxshrink.kv.latent import LatentEncoder
from ctxshrink.kv.prefill import read
from ctxshrink.kv.selectors import SELECTORS, resolve_selector
from ctxshrink.kv.selectors.random import Random
from ctxshrink.kv.shaping import Once, latent
from ctxshrink.kv.types import ContextSelector, QuantPair, Selector
from ctxshrink.training.needle import NeedleTask, domain_task, needle_batch

FULL: Final = "full"
DOMAIN: Final = "domain"
"""Name of the adapter that was tuned on a narrow domain, and of that task."""
MILD: Final = (0.9, 0.7)
"""Further shares that the guardrail is tried on: most caches that people make lose nothing, and these it must pass."""
PACKED: Final[Mapping[str, QuantPair]] = {"int8": ("int8", "int8"), "int4": ("int4", "int4")}
"""Caches that keep everything, in fewer bits: likewise."""
BATCH: Final = 16
"""Contexts that are read at once."""
Make = Callable[[float], CompressedContext]


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured.

    Attributes:
        keeps: Shares of the tokens.
        seeds: Of the contexts; each draws its own.
        contexts: Contexts of a seed.
        sink: First tokens that stay exact. It stands for the beginning-of-sequence token alone.
        recent: Last tokens that stay exact: none, as the last tokens of a needle context are like all others.
        quant: Types that keys and values are stored as.
    """

    keeps: Sequence[float]
    seeds: Sequence[int]
    contexts: int
    sink: int = 1
    recent: int = 0
    quant: QuantPair = (None, None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One context, compressed in one way.

    Attributes:
        task: Name of the task.
        method: Name of the selector, of the adapter's folder, or "full".
        keep: Share that was asked for.
        seed: Of the draw.
        context: Number of the context in it.
        right: For each question, whether its answer came out.
        right_full: The same with the full cache.
        kl: Mean KL from the full cache on the tokens of answers, nats per token.
        nbytes: Bytes of keys, values, positions and scales of the context.
        share: These over the bytes of the full cache's keys and values.
        entries: Entries that each head stores.
        signals: Scores of guardrails by name, higher for worse; empty where none was asked for.
    """

    task: str
    method: str
    keep: float
    seed: int
    context: int
    right: tuple[bool, ...]
    right_full: tuple[bool, ...]
    kl: float
    nbytes: float
    share: float
    entries: int
    signals: Mapping[str, float]


def load_model(folder: Path, device: str = "cpu") -> Any:
    """A causal model as `transformers` saves it, in float32, ready to generate.

    Raises:
        ConfigError: There is no such folder.
        ModelError: It cannot be loaded.
    """
    if not (folder / "config.json").is_file():
        raise ConfigError(f"--model {folder}: no config.json there: give the folder of a needle model")
    from transformers import AutoModelForCausalLM

    auto: Any = AutoModelForCausalLM
    try:
        return auto.from_pretrained(folder, dtype=torch.float32, local_files_only=True).to(device).eval()
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"--model {folder}: cannot be loaded: {error}") from error


def tasks_of(folder: Path, adapters: Mapping[str, Path]) -> dict[str, NeedleTask]:
    """The task of a needle model, and that of its narrow domain where there is an adapter for it.

    Args:
        folder: The model's.
        adapters: By name.

    Raises:
        ConfigError: See `load_task`.
    """
    task = load_task(folder)
    return {"needle": task} | ({DOMAIN: domain_task(task)} if DOMAIN in adapters else {})


def load_task(folder: Path) -> NeedleTask:
    """The task of a needle model, from ``needle.json`` beside it; the default task where there is none.

    Raises:
        ConfigError: The file is wrong.
    """
    path = folder / "needle.json"
    if not path.is_file():
        return NeedleTask()
    try:
        return NeedleTask(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: the fields of NeedleTask are needed: {error}") from error


def methods(names: Sequence[str], adapters: Mapping[str, Path], model: Any) -> dict[str, Any]:
    """Selectors by the names that the tables show.

    Args:
        names: Of `ctxshrink.kv.selectors.SELECTORS`.
        adapters: Folders of trained adapters by name.
        model: The model that they serve.

    Raises:
        ConfigError: A name is not known, or an adapter belongs to another model.
    """
    made: dict[str, Any] = {name: KVDistillAdapter.load(folder, model) for name, folder in adapters.items()}
    return made | {name: resolve_selector(name) for name in names or SELECTORS}


def steps(setting: Setting, tasks: int, count: int) -> int:
    """How often `measure` calls its ``step``."""
    return tasks * len(setting.seeds) * -(-setting.contexts // BATCH) * count


def measure(
    model: Any,
    tasks: Mapping[str, NeedleTask],
    selectors: Mapping[str, Any],
    setting: Setting,
    *,
    guardrail: bool = False,
    step: Callable[[str], None] = lambda _: None,
) -> Iterator[Outcome]:
    """Compresses and asks.

    Args:
        model: A needle model.
        tasks: By name.
        selectors: By name.
        setting: What is measured.
        guardrail: Read the guardrail's probes too.
        step: Called after each method on each batch, with its name.
    """
    for name, task in tasks.items():
        for seed in setting.seeds:
            for first in range(0, setting.contexts, BATCH):
                count = min(BATCH, setting.contexts - first)
                batch = _Batch(model, name, task, seed, first, count, guardrail)
                yield from batch.outcomes(FULL, 1.0, batch.full)
                for method, selector in selectors.items():
                    made = _maker(model, batch.ids, _seeded(selector, seed), setting)
                    for keep in dict.fromkeys([*(MILD if guardrail else ()), *setting.keeps]):
                        yield from batch.outcomes(method, keep, made(keep))
                    step(f"{name}, seed {seed}: {method}")
                for method, quant in PACKED.items() if guardrail else ():
                    whole = _maker(model, batch.ids, Random(), replace(setting, quant=quant))
                    yield from batch.outcomes(method, 1.0, whole(1.0))


def _seeded(selector: Any, seed: int) -> Any:
    return replace(selector, seed=seed) if isinstance(selector, Random) else selector


def _maker(model: Any, ids: Tensor, selector: Selector | ContextSelector | LatentEncoder, setting: Setting) -> Make:
    """Reads once, as `KVCompressor` does; gives a function from a share to what it leaves."""
    if isinstance(selector, LatentEncoder):
        made = latent(model, selector, read(model, ids), ids, setting.quant)
        return lambda _: made
    ranking = None if isinstance(selector, ContextSelector) else selector
    got = read(model, ids, selector=ranking)
    scores = selector.score_context(model, got.context) if isinstance(selector, ContextSelector) else got.scores
    return lambda keep: Once(keep, setting.sink, setting.recent, setting.quant).apply(got, scores)


class _Batch:
    """Contexts with their questions and what the full cache says to them."""

    def __init__(
        self, model: Any, name: str, task: NeedleTask, seed: int, first: int, count: int, guardrail: bool
    ) -> None:
        drawn = needle_batch(task, seed * 1_000_003 + first, count)
        self.model, self.name, self.seed, self.first = model, name, seed, first
        self.ids, self.questions, self.answers = (
            cast(Any, torch).from_numpy(x).to(model.device)
            for x in (drawn.context_ids, drawn.question_ids, drawn.answers)
        )
        self.full = read(model, self.ids).context
        said = last_logits(model, self.full, self.questions).argmax(-1)
        self.right_full = said == self.answers
        self.asked = _probes(self.questions, self.answers)
        self.read_behind: list[tuple[Probes, Tensor]] = []
        if guardrail:
            defaults = KVGuardrail()
            auto = auto_probes(self.full, None, count=defaults.count, length=defaults.length)
            # As a caller's sample questions without answers: the full cache's own are taken.
            self.read_behind = [
                (probes, logits_of(model, self.full, probes)) for probes in (auto, _probes(self.questions, said))
            ]

    def outcomes(self, method: str, keep: float, context: CompressedContext) -> Iterator[Outcome]:
        """One for each context."""
        right = last_logits(self.model, context, self.questions).argmax(-1) == self.answers
        kl = diverge(self.model, self.full, context, self.asked).mean_kl()
        signals = self._signals(context)
        stored, whole = (sum(s.nbytes for s in c.layers) / c.batch for c in (context, self.full))
        for row in range(context.batch):
            said = _flags(right[row]), _flags(self.right_full[row])
            scores = {name: float(values[row]) for name, values in signals.items()}
            yield Outcome(
                self.name, method, keep, self.seed, self.first + row, *said, float(kl[row]), stored, stored / whole,
                context.physical, scores,
            )  # fmt: skip

    def _signals(self, context: CompressedContext) -> dict[str, Tensor]:
        if not self.read_behind:
            return {}
        auto, asked = (diverge(self.model, self.full, context, p, known=known) for p, known in self.read_behind)
        found = {"auto": auto.mean_kl(), "auto ppl": auto.ppl_ratio()}
        questions = range(asked.kl.shape[1])
        for q in questions:
            # The guardrail's questions are others than the one whose answer is the label.
            part = asked.of([i for i in questions if i != q])
            found |= {f"asked {q}": part.mean_kl(), f"asked ppl {q}": part.ppl_ratio()}
        return found


def _probes(questions: Tensor, answers: Tensor) -> Probes:
    ids = torch.cat([questions, answers[..., None]], dim=-1)
    sizes = torch.full(ids.shape[:2], ids.shape[-1], device=ids.device)
    none = torch.zeros(ids.shape[1], dtype=torch.long)
    return Probes(ids, sizes, none, none + questions.shape[-1] - 1)


def _flags(row: Tensor) -> tuple[bool, ...]:
    return tuple(bool(x) for x in row)
