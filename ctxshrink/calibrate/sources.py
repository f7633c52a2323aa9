"""Does calibrating on some records of a source help with the others? ``ctxshrink bench calibrate``."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from rich.console import Console

from ctxshrink.bench.data import on_dev_side
from ctxshrink.bench.report import table
from ctxshrink.errors import ConfigError
from ctxshrink.guardrails import Adjustment, PerplexityGuardrail
from ctxshrink.shrinker import Shrinker

from .examples import MODES, Example, Mode, read_labelled
from .fit import ModeFit, fit_mode
from .intervals import Estimate, ratio
from .observations import Observation, by_record, lost_share, observe
from .run import LEAST_RECORDS, check_keeps, check_limit
from .validate import Outcome, outcome

FOLDERS: Final = ("rag", "chat", "tools")


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source: fitted on its development half, measured on its other half.

    Attributes:
        source: Its name.
        examples: Records that the calibration had.
        records: Records that it is measured on.
        shipped: Outcome of the guardrail as shipped, over all keeps.
        calibrated: Outcome of the calibrated one.
        fewer_misses: By how much the miss rate fell.
        more_savings: By how much the saved share of the tokens rose.
        limit: The stated miss rate.
    """

    source: str
    examples: int
    records: int
    shipped: Outcome
    calibrated: Outcome
    fewer_misses: Estimate
    more_savings: Estimate
    limit: float

    @property
    def gain(self) -> str:
        """What it helped: more savings count only while the miss rate is within the limit, or no higher than before."""
        within = self.calibrated.miss_rate.value <= self.limit or self.fewer_misses.value >= 0
        gains = ["fewer misses"] * (self.fewer_misses.value > 1e-9)
        gains += ["more savings"] * (within and self.more_savings.value > 1e-9)
        return " and ".join(gains) or "none"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "source": self.source,
            "examples": self.examples,
            "records": self.records,
            "shipped": self.shipped.to_dict(),
            "calibrated": self.calibrated.to_dict(),
            "fewer_misses": self.fewer_misses.to_dict(),
            "more_savings": self.more_savings.to_dict(),
            "gain": self.gain,
        }


def compare_sources(
    data: Path,
    guardrail_for: Callable[[str, Mapping[str, Adjustment]], PerplexityGuardrail],
    *,
    max_miss_rate: float = 0.02,
    keeps: Sequence[float] = (0.5, 0.25, 0.1),
    examples: int = 200,
    limit: int | None = None,
    live: bool = False,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> list[SourceRow]:
    """Calibrate on the development half of every source and measure on its test half.

    Args:
        data: A JSON-lines file, a folder of them, or a folder of ``rag``, ``chat`` and ``tools``.
        guardrail_for: Makes the guardrail of a source, of these adjustments; it should not have been fitted on it.
        max_miss_rate: The stated miss rate.
        keeps: Shares to keep, in (0, 1).
        examples: Most records to calibrate on.
        limit: Most records to measure on.
        live: Measure what `Shrinker` makes of it with retries and fallbacks, once with each guardrail; without, an
            output that is rejected counts as not compressed.
        seed: Of the draws and the bootstrap.
        progress: Called with the name of each source.

    Raises:
        ConfigError: An argument is out of range, or a file cannot be read.
    """
    check_limit(max_miss_rate)
    tried = check_keeps(keeps)
    rows: list[SourceRow] = []
    files = [file for file in _files(data) if read_labelled(file).examples]
    for file in files:  # What is wrong with any of them is said before the work.
        guardrail_for(file.stem, {})
    for file in files:
        progress(file.stem)
        dev, test = _half(file, "dev", examples, seed), _half(file, "test", limit, seed)
        shipped = guardrail_for(file.stem, {})
        fits = _fit(observe(dev, shipped, tried).observations, shipped, max_miss_rate)
        if not fits or not test:
            continue
        if live:
            adjusted = guardrail_for(file.stem, {mode: fit.adjustment for mode, fit in fits.items()})
            before, after = (_live(test, guardrail, tried) for guardrail in (shipped, adjusted))
            ones = ([True] * len(before), [True] * len(after))
        else:
            before = after = list(observe(test, shipped, tried).observations)
            ones = (
                [o.accepted for o in before],
                [fits[o.mode].accepts(o.risk) if o.mode in fits else o.accepted for o in before],
            )
        if before:
            rows.append(_row(file.stem, len(dev), before, ones[0], after, ones[1], max_miss_rate, seed))
    return rows


def _files(data: Path) -> list[Path]:
    folders = [data / name for name in FOLDERS if (data / name).is_dir()] if data.is_dir() else []
    files = [f for folder in folders or [data] for f in sorted(folder.glob("*.jsonl"))] if data.is_dir() else [data]
    if not files or not files[0].is_file():
        raise ConfigError(f"--data {data}: no such file, or a folder without .jsonl files")
    return files


def _half(file: Path, side: Literal["dev", "test"], limit: int | None, seed: int) -> tuple[Example, ...]:
    """One side of a source; a small one may have none of its groups there."""
    whole = read_labelled(file).examples
    found = [e for e in whole if on_dev_side(e.record.group) == (side == "dev")]
    if limit is not None and len(found) > limit:
        picks = sorted(random.Random(f"{seed}:{file.stem}").sample(range(len(found)), limit))
        found = [found[i] for i in picks]
    return tuple(found)


def _fit(
    observations: Sequence[Observation], guardrail: PerplexityGuardrail, max_miss_rate: float
) -> dict[Mode, ModeFit]:
    found: dict[Mode, ModeFit] = {}
    for mode in MODES:
        rows = [o for o in observations if o.mode == mode]
        if len(by_record(rows)) >= LEAST_RECORDS:
            found[mode] = fit_mode(rows, max_miss_rate, guardrail.limit(mode))
    return found


def _live(examples: Sequence[Example], guardrail: PerplexityGuardrail, keeps: Sequence[float]) -> list[Observation]:
    """What comes out of the whole product, as observations that are all accepted."""
    shrinker = Shrinker(guardrail=guardrail)
    found: list[Observation] = []
    for index, example in enumerate(examples):
        for keep in keeps:
            result = example.shrink(shrinker, keep)
            lost = lost_share(example, result)
            if lost is not None:
                key, group = f"{index}:{example.record.id}", example.record.group
                sizes = (result.tokens_before, result.tokens_after)
                ok = not result.fallbacks
                found.append(Observation(key, group, example.mode, keep, result.risk, ok, lost, 1, *sizes))
    return found


def _row(
    source: str,
    examples: int,
    before: Sequence[Observation],
    accepted_before: Sequence[bool],
    after: Sequence[Observation],
    accepted_after: Sequence[bool],
    limit: float,
    seed: int,
) -> SourceRow:
    pairs = list(zip(before, accepted_before, after, accepted_after, strict=True))
    groups = [b.group for b, *_ in pairs]
    fewer = [b.lost * was - a.lost * now for b, was, a, now in pairs]
    more = [(a.before - a.after) * now - (b.before - b.after) * was for b, was, a, now in pairs]
    return SourceRow(
        source,
        examples,
        len(by_record(before)),
        outcome(before, accepted_before, seed),
        outcome(after, accepted_after, seed),
        ratio(fewer, [1.0] * len(pairs), groups, seed),
        ratio(more, [float(b.before) for b in before], groups, seed),
        limit,
    )


def show_sources(rows: Sequence[SourceRow], out: Console) -> None:
    """A table over sources."""
    shown = table(
        "calibrated on the development half of each source, measured on the other half",
        ["source", "fitted on", "measured on", "lost", "lost, calibrated", "saved", "saved, calibrated", "gain"],
        caption="95 % intervals of the differences in brackets",
    )
    for row in rows:
        shown.add_row(
            row.source,
            str(row.examples),
            str(row.records),
            f"{row.shipped.miss_rate.value:.1%}",
            f"{row.calibrated.miss_rate.value:.1%} [dim]({_change(row.fewer_misses, -1)})[/dim]",
            f"{row.shipped.savings.value:.1%}",
            f"{row.calibrated.savings.value:.1%} [dim]({_change(row.more_savings, 1)})[/dim]",
            row.gain,
        )
    out.print(shown)
    helped = sum(row.gain != "none" for row in rows)
    out.print(f"fewer misses or more savings on {helped} of {len(rows)} sources")


def _change(estimate: Estimate, sign: int) -> str:
    low, high = sorted((sign * estimate.low, sign * estimate.high))
    return f"{low:+.1%} to {high:+.1%}"
