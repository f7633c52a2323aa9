"""``ctxshrink distill``: files and folders into a store, each text once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ctxshrink._console import console, fail_cleanly
from ctxshrink._outfile import check_outfile, write_report
from ctxshrink.errors import ConfigError

if TYPE_CHECKING:
    from ctxshrink.distill.types import Distiller
    from ctxshrink.store import Store

    from .report import Figures, Report
    from .sources import Files

KEEP: Final = 0.5
"""Share that ``--facts`` keeps where no language model is named."""


@fail_cleanly
def distill(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SRC", help="Files and folders: .txt, .md, .html, .jsonl (also .gz, .xz), .json, .pdf."),
    ],
    store: Annotated[str, typer.Option(metavar="URL", help="The database, such as sqlite:///corpus.db.")],
    namespace: Annotated[str, typer.Option(help="Whose rows they are.")] = "default",
    keep: Annotated[float | None, typer.Option(help="Share of each text's tokens to keep, in (0, 1].")] = None,
    facts: Annotated[
        bool, typer.Option("--facts", help="Say what the texts say in fewer words, by a language model.")
    ] = False,
    llm: Annotated[
        str | None, typer.Option(metavar="URL", help="OpenAI-compatible endpoint, such as http://host/v1; for --facts.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The model that --llm shall run.")] = None,
    api_key_file: Annotated[Path | None, typer.Option(help="A file that holds the key for --llm.")] = None,
    max_calls: Annotated[
        int | None, typer.Option(min=0, help="Most requests to --llm; what is left is done next time.")
    ] = None,
    requests_per_minute: Annotated[float | None, typer.Option(help="Most requests to --llm in a minute.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Most documents that are committed together.")] = 32,
    originals: Annotated[
        bool, typer.Option("--originals/--no-originals", help="Keep the originals as well, to expand from.")
    ] = True,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that distill side by side, through Ray; 1 is this process.")
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Ray cluster to run them on, such as auto; local starts one here."),
    ] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Also write settings, environment and the report to this file.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what there is to do; nothing is written.")
    ] = False,
) -> None:
    """Distill files and folders once and keep the versions in a store, for retrievers to serve.

    What the store has already is not done again: run it as often as you like, and after it was interrupted.
    """
    from .local import StoppedError
    from .sources import Files

    _check(keep, facts, llm, model, [api_key_file, max_calls, requests_per_minute], json_out)
    files = Files(sources)
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # its advice on damaged files; what is lost is in the report
    if max_calls is not None and 0 < max_calls < workers:
        raise ConfigError(
            f"--max-calls {max_calls} leaves no request to each of {workers} workers: raise it, or take fewer"
        )
    calls = None if max_calls is None else max_calls // workers  # Each worker keeps to its part of the limits.
    per_minute = None if requests_per_minute is None else requests_per_minute / workers
    distiller = _distiller(keep, facts, llm, model, api_key_file, calls, per_minute)
    opened = _open(store, namespace, dry_run)
    settings: dict[str, Any] = {
        "namespace": namespace,
        "keep": keep,
        "facts": facts,
        "model": model,
        "batch": batch,
        "originals": originals,
        "workers": workers,
        "recipe": dict(distiller.recipe),
    }
    try:
        with _bar(files) as step:
            report = _run(files, distiller, opened, batch, originals, step, dry_run, workers, ray)
    except StoppedError as error:
        _tell(error.report, json_out, settings)
        raise
    finally:
        if opened is not None:
            opened.close()
    _tell(report, json_out, settings)
    if report.stopped:
        raise typer.Exit(130)
    if report.figures.failed:
        raise typer.Exit(1)


def _run(
    files: Files,
    distiller: Distiller,
    store: Store | None,
    batch: int,
    originals: bool,
    step: Callable[[Figures], None],
    dry_run: bool,
    workers: int,
    ray: str | None,
) -> Report:
    """The one place that chooses how it is run."""
    from .local import plan, run

    if dry_run or store is None:
        return plan(files, distiller, store, batch=batch, progress=step)
    if workers > 1 or ray is not None:
        from ._cluster import joined, local_cluster
        from .ray import run_on_ray

        with joined(ray) if ray not in (None, "local") else local_cluster(workers):
            return run_on_ray(
                files,
                lambda: distiller,
                store,
                workers=workers,
                batch=batch,
                progress=step,
                save_originals=originals,
            )
    return run(files, distiller, store, batch=batch, progress=step, save_originals=originals)


def _check(
    keep: float | None,
    facts: bool,
    llm: str | None,
    model: str | None,
    of_llm: list[object],
    json_out: Path | None,
) -> None:
    """Says before the work, which may take hours, what is wrong with the options."""
    from ctxshrink.policies import check_keep

    if keep is None and not facts:
        raise ConfigError("give --keep R, the share of each text's tokens to keep, or --facts")
    if keep is not None:
        check_keep(keep, "--keep")
    if llm is not None and not facts:
        raise ConfigError("--llm names the language model of --facts: give --facts, or leave --llm out")
    if (llm is None) != (model is None):
        raise ConfigError("--llm and --model go together: the endpoint and the name of the model there")
    if llm is None and any(option is not None for option in of_llm):
        raise ConfigError("--api-key-file, --max-calls and --requests-per-minute are for --llm: give the endpoint")
    check_outfile(json_out, "--json")


def _distiller(
    keep: float | None,
    facts: bool,
    llm: str | None,
    model: str | None,
    api_key_file: Path | None,
    max_calls: int | None,
    requests_per_minute: float | None,
) -> Distiller:
    from ctxshrink.distill.extractive import ExtractiveDistiller

    if llm is not None and model is not None:
        from ctxshrink.distill.facts import FactsDistiller
        from ctxshrink.distill.limits import Limits
        from ctxshrink.distill.llms import OpenAIEndpoint

        limits = Limits(max_calls=max_calls, requests_per_minute=requests_per_minute)
        return FactsDistiller(OpenAIEndpoint(llm, model, api_key=_key(api_key_file)), keep=keep, limits=limits)
    if facts:
        keep = KEEP if keep is None else keep
        console(stderr=True).print(
            f"note: --facts without --llm: no language model is asked; the embedded distiller keeps {keep:g} of each "
            "text, word for word",
            markup=False,
            soft_wrap=True,
        )
    return ExtractiveDistiller(KEEP if keep is None else keep)


def _key(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or error) if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"--api-key-file {file}: cannot be read: {why}") from error
    if not key:
        raise ConfigError(f"--api-key-file {file}: is empty")
    return key


def _open(url: str, namespace: str, dry_run: bool) -> Store | None:
    """The store; None for a dry run on a file that does not exist, which opening it would make."""
    from ctxshrink.store import Store

    file = url.partition(":///")[2].partition("?")[0] if url.startswith("sqlite") else ""
    if dry_run and file and not file.startswith(("file:", ":memory:")) and not Path(file).exists():
        console(stderr=True).print(f"note: the store {file} does not exist yet", markup=False, soft_wrap=True)
        return None
    return Store(url, namespace=namespace)


@contextmanager
def _bar(files: Files) -> Generator[Callable[[Figures], None]]:
    """A progress bar over the files' bytes, on a terminal only."""
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    out = console(stderr=True)
    if not out.is_terminal:
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, transient=True) as progress:
        job = progress.add_task("loading models", total=max(1, files.total()))

        def step(figures: Figures) -> None:
            failed = f", {figures.failed:,} failed" if figures.failed else ""
            progress.update(
                job, completed=max(files.done, figures.bytes), description=f"{figures.documents:,} documents{failed}"
            )

        yield step


def _tell(report: Report, json_out: Path | None, settings: dict[str, Any]) -> None:
    from .report import show

    show(report, console())
    write_report(json_out, settings, {"report": report.to_dict()})
