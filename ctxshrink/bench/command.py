"""``ctxshrink bench``: quality against plain baselines, and speed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from ctxshrink._console import console, fail_cleanly, progress
from ctxshrink._outfile import check_outfile, write_report

from .options import (
    AnyData,
    Data,
    Encoder,
    Guard,
    Jobs,
    Json,
    Keep,
    Limit,
    Methods,
    Out,
    PeerModel,
    PeerPython,
    Seed,
    Split,
    length,
    named_paths,
    names,
    numbers,
)

bench = typer.Typer(no_args_is_help=True, help="Measure quality against plain baselines, and speed.")

KNOWN = "ctxshrink,bm25,lead,random,truncate"
UNSEEN = "ctxshrink,lead,idf,random,truncate"


def _quality(task: str, help_: str, methods_: str, keep_: str) -> None:
    """Register the command of a task: they differ in their defaults alone."""

    @bench.command(task, help=help_)
    @fail_cleanly
    def command(  # pyright: ignore[reportUnusedFunction]
        data: Data,
        keep: Keep = keep_,
        methods: Methods = methods_,
        limit: Limit = None,
        split: Split = "all",
        seed: Seed = 0,
        guardrail: Guard = True,
        encoder: Encoder = None,
        peer_python: PeerPython = None,
        peer_model: PeerModel = None,
        jobs: Jobs = 1,
        out: Out = None,
        json_out: Json = None,
    ) -> None:
        from ctxshrink.policies import check_keep

        from .all_run import run_task
        from .quality import Plan

        check_outfile(json_out, "--json")
        plan = Plan(
            task,
            (data,),
            tuple(numbers("--keep", keep, lambda text: check_keep(float(text), "--keep"))),
            tuple(names(methods)),
            limit,
            split,
            seed,
            guardrail,
            encoder,
            named_paths("--peer-python", peer_python),
            named_paths("--peer-model", peer_model),
        )
        chapter = run_task(plan, jobs=jobs, folder=out, console=_out())
        write_report(json_out, chapter.settings, chapter.found)


for _task, _help, _methods, _keep in (
    ("rag", "Which answers survive when chunks are shrunk to a share, the question known.", KNOWN, "0.5,0.25,0.1"),
    ("chat", "Which facts survive when conversations are shrunk before anybody asks.", UNSEEN, "0.5,0.25"),
    ("tools", "Which needles survive in logs, tables and JSON, the question known.", KNOWN, "0.5,0.25,0.1"),
):
    _quality(_task, _help, _methods, _keep)


@bench.command("all")
@fail_cleanly
def everything(
    data: AnyData,
    out: Annotated[
        Path,
        typer.Option(help="Folder for results.json, RESULTS.md and plots; a run that was stopped goes on from it."),
    ] = Path("bench-results"),
    methods: Annotated[str, typer.Option(help="Methods, separated by commas; default: all.")] = "",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Most records per set, drawn at random; default: 2 of rag, 3 of chat, 3 of tools."),
    ] = None,
    split: Split = "test",
    seed: Seed = 0,
    guardrail: Guard = True,
    encoder: Encoder = None,
    peer_python: PeerPython = None,
    peer_model: PeerModel = None,
    kv_model: Annotated[
        Path | None, typer.Option(help="Folder of a needle model, from `ctxshrink train kv-needle`, for the KV table.")
    ] = None,
    jobs: Jobs = 1,
) -> None:
    """Every method on every set that it can do; then speed, cost, guardrail and KV caches in small form."""
    from .all_run import Wishes, bench_all, every_method
    from .quality import Plan

    base = Plan(
        "", (), (), every_method(names(methods)), limit, split, seed, guardrail, encoder,
        named_paths("--peer-python", peer_python), named_paths("--peer-model", peer_model),
    )  # fmt: skip
    bench_all(Wishes(data, out, base, jobs, kv_model), _out())


@bench.command()
@fail_cleanly
def cost(
    data: Data,
    providers: Annotated[
        str,
        typer.Option(help="Rules and prices, separated by commas: anthropic, anthropic-4096, openai, openai-gpt-5."),
    ] = "anthropic,openai",
    keep: Annotated[float, typer.Option(help="Share to keep of new tool results.")] = 0.5,
    limit: Limit = None,
    split: Split = "all",
    seed: Seed = 0,
    guardrail: Guard = True,
    peers: Annotated[
        bool, typer.Option("--peers/--no-peers", help="Also LangChain's ways, if it is installed.")
    ] = True,
    json_out: Json = None,
) -> None:
    """What conversations of the chat schema cost with a provider's prompt cache, simulated turn by turn."""
    from ctxshrink.policies import check_keep

    from . import agents

    check_outfile(json_out, "--json")
    wanted = names(providers)
    keep = check_keep(keep, "--keep")
    settings, found = agents.cost(
        data, wanted, keep, limit=limit, split=split, seed=seed, guardrail=guardrail, peers=peers, out=_out()
    )
    write_report(json_out, settings, found)


@bench.command()
@fail_cleanly
def growth(
    turns: Annotated[int, typer.Option(min=1, help="Requests of the synthetic conversation.")] = 1000,
    keep: Annotated[float, typer.Option(help="Share to keep of new tool results and of old turns.")] = 0.5,
    guardrail: Guard = True,
    json_out: Json = None,
) -> None:
    """Whether a turn of a long conversation costs the same at the end as at the start."""
    from ctxshrink.policies import check_keep

    from . import agents

    check_outfile(json_out, "--json")
    settings, found = agents.growth(turns, check_keep(keep, "--keep"), guardrail=guardrail, out=_out())
    write_report(json_out, settings, found)


@bench.command()
@fail_cleanly
def guardrail(
    data: Annotated[Path, typer.Option(help="A folder with the folders rag, chat and tools, or some of these.")],
    split: Split = "dev",
    limit: Annotated[int, typer.Option(min=1, help="Most records per set, drawn at random.")] = 20,
    encoder: Annotated[
        Path | None, typer.Option(help="Folder of a sentence encoder (all-MiniLM-L6-v2), for the cosine.")
    ] = None,
    detectors: Annotated[
        Path | None,
        typer.Option(help="Judge each source by the detector fitted without it: from train guardrail --crossed."),
    ] = None,
    max_miss_rate: Annotated[float, typer.Option(help="Share of the needed strings that may be lost.")] = 0.02,
    seed: Seed = 0,
    json_out: Json = None,
) -> None:
    """Whether the guardrail tells compressions that lost needed text, what it lets through, and what it costs."""
    from .guardrail import bench_guardrail

    check_outfile(json_out, "--json")
    settings, found = bench_guardrail(
        data,
        split=split,
        limit=limit,
        encoder=encoder,
        detectors=detectors,
        max_miss_rate=max_miss_rate,
        seed=seed,
        out=_out(),
    )
    write_report(json_out, settings, found)


@bench.command()
@fail_cleanly
def speed(
    lengths: Annotated[str, typer.Option(help="Input tokens, separated by commas; k and M are understood.")] = (
        "1k,10k,100k,1M"
    ),
    guardrail: Annotated[
        bool, typer.Option("--guardrail/--no-guardrail", help="Measure with the guardrail too.")
    ] = True,
    shape: Annotated[
        Literal["chunks", "text", "both"], typer.Option(help="Many chunks with a query, or one long text without.")
    ] = "chunks",
    keep: Annotated[float, typer.Option(help="Share to keep.")] = 0.5,
    peers: Annotated[
        bool,
        typer.Option("--peers", help="Instead: beside other libraries, on 2,000-token contexts. Needs --encoder."),
    ] = False,
    encoder: Encoder = None,
    repeats: Annotated[int, typer.Option(min=1, help="Timings of each method with --peers.")] = 7,
    json_out: Json = None,
) -> None:
    """How many tokens a second the whole path handles, with and without the guardrail, at growing lengths."""
    from ctxshrink.policies import check_keep

    check_outfile(json_out, "--json")
    keep = check_keep(keep, "--keep")
    if peers:
        _peers(encoder, repeats, keep, guardrail, json_out)
    else:
        from .speed import show_speed

        sizes = numbers("--lengths", lengths, length)
        shapes = ["chunks", "text"] if shape == "both" else [shape]
        write_report(json_out, *show_speed(sizes, shapes, keep, guardrail, _out()))


def _peers(encoder: Path | None, repeats: int, keep: float, guardrail: bool, json_out: Path | None) -> None:
    from .compare import TOKENS, compare, steps
    from .encoder import require_encoder
    from .report import show_comparison

    folder = require_encoder(encoder, ["--peers"])
    with progress() as bar:
        job = bar.add_task("starting", total=steps(repeats))
        found = compare(
            folder,
            tokens=TOKENS,
            repeats=repeats,
            keep=keep,
            guardrail=guardrail,
            step=lambda what: bar.update(job, advance=1, description=what),
        )
    show_comparison(found, _out())
    write_report(
        json_out, {"tokens": TOKENS, "repeats": repeats, "keep": keep, "guardrail": guardrail}, found.to_dict()
    )


def _out() -> Console:
    """Tables are wide: a pipe or a file gets as many columns as they need."""
    out = console()
    return out if out.is_terminal else console(width=220)
