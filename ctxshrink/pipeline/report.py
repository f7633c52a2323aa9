"""What a run did, as figures that can be added up, and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ctxshrink.distill.types import Source

from ._skips import Skipped, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from .batch import Outcome

NAMED: Final = 1000
"""Most skipped and failed documents that a report names; all are counted."""

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a part of a run. Parts add up, in any order: ``a + b``.

    Attributes:
        documents: Texts that were read.
        bytes: Their size in UTF-8.
        skipped: What was not read, by reason.
        unchanged: Texts whose version was in the store, final, before the run.
        duplicates: Texts that came earlier in the run.
        distilled: Texts that were distilled and stored.
        fallen_back: Those of them that another method than the one asked for made, or that were kept whole.
        unfinished: Those of them that are tried again next time.
        pending: Texts that a run would distill: in a plan only.
        pending_bytes: Their size in UTF-8.
        failed: Texts that could not be distilled.
        methods: How many of the distilled texts each method made.
        tokens_before: Tokens of the texts whose versions are in the store after the run, each counted once.
        tokens_after: Tokens of these versions.
        calls: Calls of a language model.
        input_tokens: Tokens that it was given, by its own count.
        output_tokens: Tokens that it gave; of tries without an answer the most that it may have given.
        problems: What was skipped and what failed, one by one; the first `NAMED` of them.
    """

    documents: int = 0
    bytes: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict[str, int])
    unchanged: int = 0
    duplicates: int = 0
    distilled: int = 0
    fallen_back: int = 0
    unfinished: int = 0
    pending: int = 0
    pending_bytes: int = 0
    failed: int = 0
    methods: Mapping[str, int] = field(default_factory=dict[str, int])
    tokens_before: int = 0
    tokens_after: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    problems: tuple[Skipped, ...] = ()

    @classmethod
    def read(cls, items: Iterable[Source | Skipped]) -> Figures:
        """What came from the sources."""
        texts, skips = 0, list[Skipped]()
        size = 0
        for item in items:
            if isinstance(item, Skipped):
                skips.append(item)
            else:
                texts += 1
                size += len(item.text.encode("utf-8", "surrogatepass"))
        reasons = Counter(skip.reason for skip in skips)
        return cls(documents=texts, bytes=size, skipped=dict(reasons), problems=tuple(skips[:NAMED]))

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], method: str) -> Figures:
        """What became of a batch.

        Args:
            outcomes: Of `distill_batch`.
            method: The distiller's name.
        """
        counts: Counter[str] = Counter()
        methods: Counter[str] = Counter()
        problems: list[Skipped] = []
        for outcome in outcomes:
            if outcome.state == "failed":
                counts["failed"] += 1
                problems.append(Skipped(outcome.uri, "failed", outcome.reason))
            elif outcome.duplicate:
                counts["duplicates"] += 1
            elif outcome.state == "stored":
                counts["unchanged"] += 1
            elif outcome.derived is not None:
                made = outcome.derived.distillate
                counts["fallen_back"] += made.method != method
                counts["unfinished"] += not made.final
                methods[made.method] += 1
            if outcome.derived is not None and not outcome.duplicate:
                counts["tokens_before"] += outcome.derived.distillate.tokens_before
                counts["tokens_after"] += outcome.derived.distillate.tokens_after
        return cls(
            unchanged=counts["unchanged"],
            duplicates=counts["duplicates"],
            distilled=methods.total(),
            fallen_back=counts["fallen_back"],
            unfinished=counts["unfinished"],
            failed=counts["failed"],
            methods=dict(methods),
            tokens_before=counts["tokens_before"],
            tokens_after=counts["tokens_after"],
            problems=tuple(problems[:NAMED]),
        )

    def __add__(self, other: Figures) -> Figures:
        mine, theirs = ({name: getattr(part, name) for name in _COUNTS} for part in (self, other))
        return Figures(
            **{name: mine[name] + theirs[name] for name in _COUNTS},
            skipped=_sum(self.skipped, other.skipped),
            methods=_sum(self.methods, other.methods),
            problems=(self.problems + other.problems)[:NAMED] if other.problems else self.problems,
        )


_COUNTS: Final = tuple(name for name in Figures.__dataclass_fields__ if name not in ("skipped", "methods", "problems"))


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(one) + Counter(other)) if other else dict(one)


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did.

    Attributes:
        figures: Its figures.
        distiller: The distiller's name.
        recipe: `recipe_key` of its settings: rows in the store carry it.
        counter: Who counted the tokens.
        seconds: How long it took.
        stopped: Why it ended before its sources did; "" where it did not. What was done until then is in the store.
        planned: Nothing was distilled: the figures say what a run would do.
    """

    figures: Figures
    distiller: str
    recipe: str
    counter: str
    seconds: float
    stopped: str = ""
    planned: bool = False

    @property
    def documents_per_second(self) -> float:
        """Documents read in a second, unchanged ones included."""
        return self.figures.documents / self.seconds if self.seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        figures = asdict(self.figures)
        problems = [
            {"uri": printable(p.uri), "reason": printable(p.reason), "detail": printable(p.detail)}
            for p in self.figures.problems
        ]
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "figures"}
        return {**own, "documents_per_second": self.documents_per_second, **figures, "problems": problems}


def show(report: Report, out: Console) -> None:
    """Print the table, what was skipped and failed, and where the run stopped."""
    from rich.markup import escape

    figures = report.figures
    out.print(_table(report))
    for problem in figures.problems[:_SHOWN]:
        style = "red" if problem.reason == "failed" else "yellow"
        out.print(f"[{style}]{escape(_line(problem))}[/{style}]", soft_wrap=True)
    more = sum(figures.skipped.values()) + figures.failed - min(len(figures.problems), _SHOWN)
    if more > 0:
        out.print(f"… and {more:,} more; --json names the first {NAMED:,}")
    if report.stopped:
        out.print(
            f"[yellow]stopped:[/yellow] {escape(report.stopped)}; what is counted above is in the store, run again to "
            "go on",
            soft_wrap=True,
        )


def _line(problem: Skipped) -> str:
    return printable(" ".join(str(problem).split()))[:400]


def _size(number: int) -> str:
    return f"{number / 1e6:,.1f} MB" if number >= 1e6 else f"{number / 1e3:,.1f} kB"


def _table(report: Report) -> Table:
    from rich import box
    from rich.table import Table

    f = report.figures
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    shown.add_column("what", no_wrap=True)
    shown.add_column("number", justify="right", no_wrap=True)
    shown.add_column("more", overflow="fold")
    speed = f"{_size(f.bytes)}; {report.seconds:,.1f} s, {report.documents_per_second:,.1f} documents/s"
    shown.add_row("documents", f"{f.documents:,}", speed)
    if f.skipped:
        why = ", ".join(f"{reason}: {n:,}" for reason, n in sorted(f.skipped.items(), key=lambda kv: (-kv[1], kv[0])))
        shown.add_row("skipped", f"{sum(f.skipped.values()):,}", why)
    shown.add_row("unchanged", f"{f.unchanged:,}", "in the store already")
    if f.duplicates:
        shown.add_row("duplicates", f"{f.duplicates:,}", "the same text came before")
    if report.planned:
        size = f"{_size(f.pending_bytes)}, about {f.pending_bytes / 4:,.0f} tokens; nothing was written"
        shown.add_row("to distill", f"{f.pending:,}", size)
        return shown
    made = ", ".join(f"{method}: {n:,}" for method, n in sorted(f.methods.items()))
    shown.add_row("distilled", f"{f.distilled:,}", made)
    if f.fallen_back:
        shown.add_row("of them fallen back", f"{f.fallen_back:,}", "made by another method, or kept whole")
    if f.unfinished:
        shown.add_row("of them not final", f"{f.unfinished:,}", "tried again next time")
    shown.add_row("failed", f"{f.failed:,}", "tried again next time" if f.failed else "")
    if f.tokens_before:
        kept = f"{f.tokens_after / f.tokens_before:.0%} of {f.tokens_before:,}, counted by {report.counter}"
        shown.add_row("tokens", f"{f.tokens_after:,}", kept)
    if f.calls:
        cost = f"{f.input_tokens:,} tokens in, {f.output_tokens:,} out at most"
        shown.add_row("calls of the model", f"{f.calls:,}", cost)
    return shown
