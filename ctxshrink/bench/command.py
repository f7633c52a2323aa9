"""``ctxshrink bench``: quality against plain baselines, and speed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from ctxshrink._console import console, fail_cleanly, progress
from ctxshrink._outfile import check_outfile, write_report

from .options import Data, Encoder, Guard, Json, Keep, Limit, Methods, Seed, Split, length, numbers

bench = typer.Typer(no_args_is_help=True, help="Measure quality against plain baselines, and speed.")

ALL = "ctxshrink,bm25,lead,random,truncate"
UNSEEN = "ctxshrink,lead,idf,random,truncate"


@bench.command()
@fail_cleanly
def rag(
    data: Data,
    keep: Keep = "0.5,0.25,0.1",
    methods: Methods = ALL,
    limit: Limit = None,
    split: Split = "all",
    seed: Seed = 0,
    guardrail: Guard = True,
    encoder: Encoder = None,
    json_out: Json = None,
) -> None:
    """Which answers survive when retrieved chunks are shrunk to a share of their tokens, the question known."""
    _quality("rag", data, keep, methods, limit, split, seed, guardrail, encoder, json_out)


@bench.command()
@fail_cleanly
def chat(
    data: Data,
    keep: Keep = "0.5,0.25",
    methods: Methods = UNSEEN,
    limit: Limit = None,
    split: Split = "all",
    seed: Seed = 0,
    guardrail: Guard = True,
    json_out: Json = None,
) -> None:
    """Which facts survive when conversations are shrunk before anybody knows what will be asked."""
    _quality("chat", data, keep, methods, limit, split, seed, guardrail, None, json_out)


@bench.command()
@fail_cleanly
def tools(
    data: Data,
    keep: Keep = "0.5,0.25,0.1",
    methods: Methods = ALL,
    limit: Limit = None,
    split: Split = "all",
    seed: Seed = 0,
    guardrail: Guard = True,
    encoder: Encoder = None,
    json_out: Json = None,
) -> None:
    """Which needles survive when logs, tables and JSON from tools are shrunk, the question known."""
    _quality("tools", data, keep, methods, limit, split, seed, guardrail, encoder, json_out)


@bench.command()
@fail_cleanly
def cache(
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
    names = [p.strip() for p in providers.split(",") if p.strip()]
    keep = check_keep(keep, "--keep")
    settings, found = agents.cache(
        data, names, keep, limit=limit, split=split, seed=seed, guardrail=guardrail, peers=peers, out=_out()
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
        sizes = numbers("--lengths", lengths, length)
        _lengths(sizes, ["chunks", "text"] if shape == "both" else [shape], keep, guardrail, json_out)


def _lengths(sizes: list[int], shapes: list[str], keep: float, guardrail: bool, json_out: Path | None) -> None:
    from .report import number, table
    from .speed import measure

    guards = [False, True] if guardrail else [False]
    timings = list[dict[str, Any]]()
    shown = table("whole path, one call each", ["shape", "guardrail", "tokens", "kept", "seconds", "tokens/s"], left=2)
    with progress() as bar:
        job = bar.add_task("speed", total=len(sizes) * len(shapes) * len(guards))
        for t in measure(sizes, guards, shapes, keep):
            on = "on" if t.guardrail else "off"
            shown.add_row(
                t.shape, on, f"{t.tokens:,}", f"{t.kept:.1%}", f"{t.seconds:.2f}", number(t.tokens_per_second, ",.0f")
            )
            timings.append(
                {"shape": t.shape, "guardrail": t.guardrail, "tokens": t.tokens, "kept": t.kept, "seconds": t.seconds}
            )
            bar.update(job, advance=1, description=f"{t.tokens:,} tokens, guardrail {on}")
    _out().print(shown)
    write_report(json_out, {"lengths": sizes, "keep": keep}, {"timings": timings})


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


def _quality(
    name: str,
    data: Path,
    keep: str,
    methods: str,
    limit: int | None,
    split: Literal["all", "dev", "test"],
    seed: int,
    guardrail: bool,
    encoder: Path | None,
    json_out: Path | None,
) -> None:
    from ctxshrink.policies import check_keep

    from .data import load_sets
    from .methods import build
    from .report import show
    from .run import run
    from .summary import summarize
    from .tasks import TASKS

    check_outfile(json_out, "--json")
    task = TASKS[name]
    keeps = numbers("--keep", keep, lambda text: check_keep(float(text), "--keep"))
    names = [m.strip() for m in methods.split(",") if m.strip()]
    runners = build(names, guardrail=guardrail, encoder=encoder, asks=task.asks)
    sets = load_sets(data, task.parse, split=split, limit=limit, seed=seed)
    with progress() as bar:
        total = sum(map(len, sets.values())) * len(runners) * len(keeps)
        job = bar.add_task("loading models", total=total)
        observations = run(task, sets, runners, keeps, lambda what: bar.update(job, advance=1, description=what))
    summary = summarize(observations, seed)
    show(summary, _out())
    settings = {
        "task": name,
        "data": data.name,
        "records": {set_name: len(records) for set_name, records in sets.items()},
        "keep": keeps,
        "methods": [r.method for r in runners],
        "limit": limit,
        "split": split,
        "seed": seed,
        "guardrail": guardrail,
        "encoder": None if encoder is None else encoder.name,
        "counter": runners[0].shrinker.counter.name,
    }
    write_report(json_out, settings, summary.to_dict())


def _out() -> Console:
    """Tables are wide: a pipe or a file gets as many columns as they need."""
    out = console()
    return out if out.is_terminal else console(width=220)
