"""``ctxshrink calibrate``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ctxshrink._console import console, fail_cleanly, progress
from ctxshrink._outfile import check_outfile, write_report
from ctxshrink.errors import ConfigError


@fail_cleanly
def calibrate(
    data: Annotated[
        Path | None,
        typer.Option(help="Labelled records: a .jsonl file or a folder of them, as ctxshrink bench reads them."),
    ] = None,
    traces: Annotated[
        Path | None,
        typer.Option(help="Instead: logged conversations, .json or .jsonl; what later turns reused was needed."),
    ] = None,
    max_miss_rate: Annotated[
        float, typer.Option(help="Most of the needed strings that may be lost, in (0, 1).")
    ] = 0.02,
    out: Annotated[Path, typer.Option(help="The policy file to write.")] = Path("ctxshrink.toml"),
    keep: Annotated[str, typer.Option(help="Shares to keep that are tried, separated by commas.")] = "0.5,0.25,0.1",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most records per file, drawn at random; of traces the first ones.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of --limit's draw and of the bootstrap.")] = 0,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Also write settings, environment and all figures to this file.")
    ] = None,
) -> None:
    """Fit the guardrail to your own traffic and write a policy file, with what it will save and lose."""
    from ctxshrink.policyfile import write_policy_file

    from . import run
    from .examples import read_labelled
    from .report import show
    from .traces import read_traces

    run.check_limit(max_miss_rate)
    keeps = run.check_keeps(_numbers(keep))
    check_outfile(out, "--out")
    check_outfile(json_out, "--json")
    if data is not None and traces is None:
        found = read_labelled(data, limit=limit, seed=seed)
    elif traces is not None and data is None:
        found = read_traces(traces, limit=limit)
    else:
        raise ConfigError("give --data (records that name what is needed) or --traces (logged conversations)")
    with progress() as bar:
        job = bar.add_task(run.STAGES[0], total=len(found.examples))

        def step(stage: str) -> None:
            bar.update(job, description=stage, advance=stage == run.STAGES[0])

        calibrated = run.calibrate(found, max_miss_rate, keeps=keeps, seed=seed, progress=step)
    write_policy_file(out, calibrated.settings)
    show(calibrated, console() if console().is_terminal else console(width=140))
    console().print(f"written to {out}", markup=False)
    if json_out is not None:
        settings: dict[str, Any] = {
            "data": found.name,
            "labels": found.labels,
            "max_miss_rate": max_miss_rate,
            "keep": keeps,
            "limit": limit,
            "seed": seed,
        }
        write_report(json_out, settings, calibrated.to_dict())


@fail_cleanly
def compare(
    data: Annotated[
        Path,
        typer.Option(help="A .jsonl file, a folder of them, or a folder of rag, chat and tools, as bench reads them."),
    ],
    max_miss_rate: Annotated[
        float, typer.Option(help="Most of the needed strings that may be lost, in (0, 1).")
    ] = 0.02,
    keep: Annotated[str, typer.Option(help="Shares to keep, separated by commas.")] = "0.5,0.25,0.1",
    examples: Annotated[int, typer.Option(min=10, help="Most records of a source to calibrate on.")] = 200,
    limit: Annotated[int | None, typer.Option(min=1, help="Most records of a source to measure on.")] = None,
    live: Annotated[
        bool, typer.Option("--live/--simulated", help="Measure with retries and fallbacks, or count rejected as whole.")
    ] = True,
    detectors: Annotated[
        Path | None, typer.Option(help="Models fitted without each source, as train guardrail --crossed writes them.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws and of the bootstrap.")] = 0,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Also write settings, environment and all rows to this file.")
    ] = None,
) -> None:
    """Whether calibrating on one half of a source lowers its miss rate, or raises its savings, on the other half."""
    from ctxshrink.guardrails import Adjustment, PerplexityGuardrail, load_detector

    from . import sources

    check_outfile(json_out, "--json")

    def guardrail(source: str, adjustments: Mapping[str, Adjustment]) -> PerplexityGuardrail:
        detector = None if detectors is None else load_detector(_crossed(detectors, source))
        return PerplexityGuardrail(max_miss_rate=max_miss_rate, detector=detector, adjustments=adjustments)

    out = console() if console().is_terminal else console(width=180)
    with progress() as bar:
        job = bar.add_task("starting", total=None)
        rows = sources.compare_sources(
            data,
            guardrail,
            max_miss_rate=max_miss_rate,
            keeps=_numbers(keep),
            examples=examples,
            limit=limit,
            live=live,
            seed=seed,
            progress=lambda source: bar.update(job, description=source),
        )
    sources.show_sources(rows, out)
    if json_out is not None:
        settings: dict[str, Any] = {
            "data": data.name,
            "max_miss_rate": max_miss_rate,
            "keep": _numbers(keep),
            "examples": examples,
            "limit": limit,
            "live": live,
            "seed": seed,
        }
        write_report(json_out, settings, {"sources": [row.to_dict() for row in rows]})


def _crossed(detectors: Path, source: str) -> Path:
    """The folder of the detector that was fitted without a source: SET, or TASK/SET where the task is not named."""
    places = [detectors / source, *sorted(p / source for p in detectors.glob("*") if p.is_dir())]
    found = [p for p in places if (p / "config.json").is_file()]
    if len(found) != 1:
        what = "several folders" if found else "no folder"
        raise ConfigError(
            f"--detectors {detectors}: {what} {source} with a config.json; `ctxshrink train guardrail --crossed` "
            "writes one for each source, in a folder for each task: name that one and its data"
        )
    return found[0]


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"--keep must be numbers separated by commas; got {text!r}") from None
