"""The pictures of a benchmark, from its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from ctxshrink.report.plots import Axis, Series, line_chart, pareto, percent

from .run import Observation
from .summary import Summary

GROUPS: Final = 4
"""Points of a method in `time_plot`."""


def quality_plot(task: str, summary: Summary) -> str:
    """Quality against the share that was kept, a line for each method, with the Pareto front.

    Args:
        task: Its name.
        summary: What was found; the first method is drawn thicker. Shares are drawn in whole percent: a method that
            filled the same budget a little less is no point of the front for that.
    """
    methods = list(dict.fromkeys(row.method for row in summary.methods))
    points = {m: [(round(row.kept, 2), row.all_sets) for row in summary.methods if row.method == m] for m in methods}
    series = [Series(m, points[m], strong=m == methods[0]) for m in methods]
    sets = len({row.set_name for row in summary.sets})
    records = max((row.records for row in summary.methods), default=0)
    return pareto(
        f"{task}: what is needed and still there, by what was kept",
        series,
        x_label="share of the unlocked tokens that was kept",
        y_label="mean over the sets of the share that survived",
        x_axis=Axis(form=percent, low=0.0),
        y_axis=Axis(form=percent, high=1.0),
        note=f"{records} records of {sets} {'set' if sets == 1 else 'sets'}",
    )


def time_plot(task: str, observations: Sequence[Observation], *, beside: bool) -> str:
    """Time of a record against its length, a line for each method: medians of groups of records of about one length.

    Args:
        task: Its name.
        observations: What was seen; those of the first share are taken.
        beside: They were taken while others were, and say little.
    """
    keep = observations[0].keep
    methods = dict[str, list[Observation]]()
    for o in observations:
        if o.keep == keep:
            methods.setdefault(o.method, []).append(o)
    series = list[Series]()
    for name, own in methods.items():
        ordered = sorted(own, key=lambda o: o.tokens_before)
        size = -(-len(ordered) // GROUPS)
        groups = [ordered[i : i + size] for i in range(0, len(ordered), size)]
        points = [(median(o.tokens_before for o in g), median(o.seconds for o in g)) for g in groups]
        series.append(Series(name, points, strong=not series))
    warning = "; taken while other records were measured: they say little" if beside else ""
    return line_chart(
        f"{task}: time of a record, by its length",
        series,
        x_label="tokens of the record",
        y_label="seconds",
        x_axis=Axis(log=True),
        y_axis=Axis(log=True),
        note=f"medians of up to {GROUPS} groups of records, keep {keep:g}{warning}",
    )


def speed_plot(timings: Sequence[Mapping[str, Any]]) -> str:
    """Seconds of one call against the length of its input.

    Args:
        timings: Rows of ``ctxshrink bench speed --json``.
    """
    lines = dict.fromkeys((t["shape"], t["guardrail"]) for t in timings)
    series = [
        Series(
            f"{shape}, {'checked' if guardrail else 'not checked'}",
            [(t["tokens"], t["seconds"]) for t in timings if (t["shape"], t["guardrail"]) == (shape, guardrail)],
            strong=guardrail,
        )
        for shape, guardrail in lines
    ]
    return line_chart(
        "Time of one call, by the length of its input",
        series,
        x_label="tokens of the input",
        y_label="seconds",
        x_axis=Axis(log=True),
        y_axis=Axis(log=True),
        note="chunks: documents with a question; text: one long text without; checked: by the guardrail",
    )
