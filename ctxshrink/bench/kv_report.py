"""The tables of ``ctxshrink bench kv``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import stdev
from typing import Any

from rich.console import Console

from .kv_detector import CEILING, SIGNALS, Detector
from .kv_long import Conversation
from .kv_needle import FULL, Outcome
from .kv_speed import Memory, Pace
from .report import number, table
from .stats import mean


@dataclass(frozen=True, slots=True)
class Cell:
    """One selector at one share.

    Attributes:
        task: Name of the task.
        method: The selector.
        keep: Share that was asked for.
        accuracy: Share of the answers that are right, mean of the seeds.
        spread: Standard deviation of that over the seeds; NaN for one seed.
        behind: Points by which that is below the full cache's, in the same contexts.
        kl: Nats per token of answers.
        kl_spread: Standard deviation over the seeds.
        nbytes: Bytes of a context.
        share: These over the bytes of the full cache.
        entries: Entries that a head stores.
        seeds: Seeds.
        answers: Answers, of all seeds.
    """

    task: str
    method: str
    keep: float
    accuracy: float
    spread: float
    behind: float
    kl: float
    kl_spread: float
    nbytes: float
    share: float
    entries: int
    seeds: int
    answers: int


def cells(outcomes: Sequence[Outcome]) -> list[Cell]:
    """The table, in the order of the outcomes."""
    groups = dict[tuple[str, str, float], list[Outcome]]()
    for o in outcomes:
        groups.setdefault((o.task, o.method, o.keep), []).append(o)
    return [_cell(*key, group) for key, group in groups.items()]


def _cell(task: str, method: str, keep: float, group: Sequence[Outcome]) -> Cell:
    seeds = [[o for o in group if o.seed == seed] for seed in dict.fromkeys(o.seed for o in group)]
    right = [mean([mean(o.right) for o in own]) for own in seeds]
    kls = [mean([o.kl for o in own]) for own in seeds]
    full = mean([mean(o.right_full) for o in group])
    return Cell(
        task, method, keep, mean(right), _spread(right), 100 * (full - mean(right)), mean(kls), _spread(kls),
        mean([o.nbytes for o in group]), mean([o.share for o in group]), max(o.entries for o in group), len(seeds),
        sum(len(o.right) for o in group),
    )  # fmt: skip


def _spread(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else float("nan")


def rows(found: Sequence[Any]) -> list[dict[str, Any]]:
    """JSON-ready; a number that is none becomes null."""
    return [{k: None if v != v else v for k, v in asdict(row).items()} for row in found]


def show_cells(found: Sequence[Cell], out: Console) -> None:
    """Accuracy, KL and bytes: a line for each selector, a column for each share."""
    for task in dict.fromkeys(c.task for c in found):
        own = {(c.method, c.keep): c for c in found if c.task == task}
        full = next((c for c in own.values() if c.method == FULL), None)
        keeps = list(dict.fromkeys(c.keep for c in own.values() if c.method != FULL))
        lines = list(dict.fromkeys(method for method, _ in own if method != FULL))
        of_full = "" if full is None else f"; full cache {full.accuracy:.1%}, {full.nbytes:,.0f} bytes"
        answers = max((c.answers for c in own.values()), default=0)
        for title, show in (
            (f"{task}: answers right, mean ± standard deviation of seeds ({answers:,} answers{of_full})", _accuracy),
            (f"{task}: KL from the full cache on answers, nats per token", _kl),
            (f"{task}: bytes stored, and their share of the full cache's", _stored),
        ):
            made = table(title, ["selector", *(f"keep {keep:.0%}" for keep in keeps)])
            for method in lines:
                made.add_row(method, *(show(own[method, keep]) if (method, keep) in own else "–" for keep in keeps))
            out.print(made)


def _accuracy(cell: Cell) -> str:
    return f"{cell.accuracy:.1%}" + ("" if cell.spread != cell.spread else f" ± {100 * cell.spread:.1f}")


def _kl(cell: Cell) -> str:
    return f"{cell.kl:.3f}"


def _stored(cell: Cell) -> str:
    return f"{cell.nbytes:,.0f} ({cell.share:.1%})"


def show_detectors(found: Sequence[Detector], out: Console) -> None:
    """AUROC of the guardrail's signals."""
    for task in dict.fromkeys(d.task for d in found):
        names = {
            "auto": "KL, passages", "asked": "KL, questions", "auto ppl": "perplexity ratio, passages",
            "asked ppl": "perplexity ratio, questions", CEILING: "ceiling",
        }  # fmt: skip
        made = table(
            f"{task}: AUROC of 'answer wrong with the compressed cache, right with the full one'",
            ["caches of", "answers", "lost", *(names[s] for s in (*SIGNALS, CEILING))],
            caption="ceiling: the share of answers that this selector loses at this share, known beforehand",
        )
        for over in dict.fromkeys(d.over for d in found if d.task == task):
            own = {d.signal: d for d in found if d.task == task and d.over == over}
            one = own[CEILING]
            made.add_row(over, f"{one.answers:,}", f"{one.lost:.1%}", *(_auroc(own[s]) for s in (*SIGNALS, CEILING)))
        out.print(made)


def _auroc(found: Detector) -> str:
    low, high = found.interval
    return number(found.auroc) + (f" ({low:.2f}–{high:.2f})" if low == low else "")


def show_speed(found: Sequence[Pace], out: Console) -> None:
    """Times of the full and the compressed cache."""
    made = table(
        "decoding a token and reading the context, medians of runs in turn",
        ["tokens", "kept", "full, ms", "compressed, ms", "tokens/s", "read, s", "read + compress, s", "time", "bytes"],
        caption="tokens/s, time and bytes are ratios: compressed over full",
    )
    for p in found:
        made.add_row(
            f"{p.tokens:,}", f"{p.kept:,}", f"{1e3 * p.full_step:.2f}", f"{1e3 * p.step:.2f}", f"{p.speedup:.2f}×",
            f"{p.full_prefill:.3f}", f"{p.prefill:.3f}", f"{p.overhead:.2f}×", f"{p.nbytes / p.full_bytes:.3f}",
        )  # fmt: skip
    out.print(made)


def show_memory(found: Memory, out: Console) -> None:
    """What a process holds."""
    made = table(
        f"memory of a process of its own after reading {found.tokens:,} tokens, MiB",
        ["cache", "tensors", "growth of the process"],
    )
    for name, tensors, grown in (
        ("full", found.full_tensors, found.full),
        ("compressed", found.tensors, found.compressed),
    ):
        made.add_row(name, f"{tensors / 2**20:,.1f}", f"{grown / 2**20:,.1f}")
    out.print(made)


def show_conversation(found: Conversation, out: Console) -> None:
    """The long conversation."""
    made = table(f"a conversation of {found.tokens:,} tokens in {found.turns:,} turns", ["", "value"])
    for name, value in _told(found):
        made.add_row(name, value)
    out.print(made)


def _told(found: Conversation) -> Iterator[tuple[str, str]]:
    yield "bytes in the end; at most", f"{found.last_bytes:,}; {found.most_bytes:,}"
    yield "bytes of the full cache", f"{found.full_bytes:,}"
    yield "most entries of a head", f"{found.most_entries:,}"
    yield "turns until it was full", f"{found.warm:,}"
    yield (
        "a turn after that, ms (first tenth; last)",
        f"{1e3 * found.first_seconds:.1f}; {1e3 * found.last_seconds:.1f}",
    )
    yield "last over first", f"{found.growth:.2f}"
