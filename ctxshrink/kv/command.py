"""``ctxshrink kv``: compress what a local model read, ask about it, and reckon what it takes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from ctxshrink._console import console, fail_cleanly
from ctxshrink._outfile import check_outfile
from ctxshrink.errors import ConfigError
from ctxshrink.kv._plot import bars, size_of

if TYPE_CHECKING:
    from ctxshrink.economics.kv import KVDtype
    from ctxshrink.kv._memory import Usage
    from ctxshrink.kv.context import CompressedContext

__all__ = ["kv"]

kv = typer.Typer(no_args_is_help=True, help="KV caches of local models: compress a context once, ask it many times.")

ModelFolder = Annotated[Path, typer.Option("--model", metavar="DIR", help="Folder of a Hugging Face causal model.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …; default: a GPU where there is one.")]
Keep = Annotated[float, typer.Option(help="Share of the tokens that stays, in (0, 1].")]
QuantText = Annotated[
    str | None,
    typer.Option("--quant", help="int8 or int4, or two of int8, int4 and none for keys and values: int8,int4."),
]
Sink = Annotated[int, typer.Option(min=0, help="First tokens, which stay exact.")]
Recent = Annotated[int, typer.Option(min=0, help="Last tokens, which stay exact.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Plot = Annotated[Path | None, typer.Option(help="Also draw bytes before and after, as SVG.")]


@kv.command()
@fail_cleanly
def compress(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Text, or a JSON list of chat messages.")],
    model: ModelFolder,
    out: Annotated[Path, typer.Option(help="The file to write, such as doc.ctxkv.")],
    keep: Keep = 0.1,
    select: Annotated[
        str,
        typer.Option(
            help="keydiff, snapkv, h2o, tova, expected, kvzip, knorm, streaming, random, or the folder of an adapter."
        ),
    ] = "keydiff",
    quant: QuantText = None,
    sink: Sink = 4,
    recent: Recent = 32,
    guardrail: Annotated[
        bool, typer.Option("--guardrail/--no-guardrail", help="Keep the full cache where answers would change.")
    ] = True,
    read_as: Annotated[str, typer.Option("--as", help="auto, text or messages.")] = "auto",
    device: Device = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Reads a file with a model once and saves what is worth keeping of its KV cache."""
    from ctxshrink.kv._folder import check_model_folder, load_model, read_context

    check_outfile(out, "--out")
    check_outfile(plot, "--plot")
    pair = quant_words(quant)
    check_model_folder(model)
    context = read_context(file, read_as)
    network, tokenizer = load_model(model, device)
    from ctxshrink.kv._memory import Gauge
    from ctxshrink.kv.compressor import KVCompressor
    from ctxshrink.kv.files import save_context
    from ctxshrink.kv.guardrail import KVGuardrail

    chosen: Any = select
    if Path(select).is_dir():
        from ctxshrink.kv.adapter import KVDistillAdapter

        chosen = KVDistillAdapter.load(select, network)
    compressor = KVCompressor(
        network, tokenizer, select=chosen, keep=keep, sink=sink, recent=recent, quant=cast(Any, pair),
        guardrail=KVGuardrail() if guardrail else None,
    )  # fmt: skip
    gauge = Gauge(network.device)
    made = compressor.compress(context)
    used = gauge.read()
    save_context(made, out, tokenizer=tokenizer)
    report = _report(made, used)
    _draw(plot, f"{file.name}: keep {keep:g}, {compressor.selector.name}", report)
    if as_json:
        typer.echo(json.dumps({"file": str(out), **report}, ensure_ascii=False, indent=2))
    else:
        _show(report)
        console(stderr=True).print(f"written to {out}", markup=False)


@kv.command()
@fail_cleanly
def ask(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that kv compress wrote.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask.")],
    model: ModelFolder,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of the answer.")] = 128,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy search.")] = 0.0,
    device: Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print answer and figures as JSON.")] = False,
) -> None:
    """Answers a question from a compressed context, as the words come."""
    from ctxshrink.kv._folder import check_model_folder, load_model

    if not file.is_file():
        raise ConfigError(f"{file}: no such file; make it with: ctxshrink kv compress TEXT --model DIR --out {file}")
    check_model_folder(model)
    network, tokenizer = load_model(model, device)
    from ctxshrink.kv.asking import Answering
    from ctxshrink.kv.compressor import KVCompressor
    from ctxshrink.kv.files import load_context
    from ctxshrink.kv.replies import Reply, sampling

    context = load_context(file, network, tokenizer=tokenizer)
    ids = KVCompressor(network, tokenizer).question(context, question)
    config = sampling(network, None, temperature) if temperature else None
    reply = Reply(Answering(network, tokenizer, max_tokens, config), context, ids)
    if as_json:
        text = reply.text()
        told = {"answer": text, "tokens": reply.tokens, "finish_reason": reply.finish, "question_tokens": ids.shape[1]}
        typer.echo(json.dumps({**told, "context": _report(context, None)}, ensure_ascii=False, indent=2))
        return
    for piece in reply.pieces():
        typer.echo(piece, nl=False)
    typer.echo()


@kv.command()
@fail_cleanly
def estimate(
    model: Annotated[
        Path, typer.Option(help="Folder of a Hugging Face model, or its config.json; weights are not read.")
    ],
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of a context.")],
    keep: Keep = 0.1,
    quant: QuantText = None,
    sink: Sink = 4,
    recent: Recent = 32,
    dtype: Annotated[str, typer.Option(help="Type of the model: float32, float16 or bfloat16.")] = "bfloat16",
    gpu_memory: Annotated[float | None, typer.Option(help="GiB of the GPU: contexts that fit on it.")] = None,
    weights: Annotated[
        float | None, typer.Option(help="GiB of the weights; default: the safetensors files in the folder.")
    ] = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """What a context's KV cache takes, whole and compressed, and how many fit on a GPU. Needs no torch."""
    from ctxshrink.kv._estimate import estimate_kv

    check_outfile(plot, "--plot")
    gib = 2**30
    size = None if weights is None else weights * gib
    if gpu_memory is not None and size is None:
        size = sum(part.stat().st_size for part in model.glob("*.safetensors")) if model.is_dir() else 0
        if not size:
            raise ConfigError("--gpu-memory needs --weights, GiB of the model's weights: the folder has none")
    found = estimate_kv(
        model, tokens, keep=keep, quant=quant_words(quant), sink=sink, recent=recent, dtype=cast("KVDtype", dtype),
        memory_bytes=None if gpu_memory is None else gpu_memory * gib, weights_bytes=size,
    )  # fmt: skip
    report = {**asdict(found), "bytes_ratio": found.nbytes / found.nbytes_full if found.nbytes_full else 1.0}
    _draw(plot, f"{tokens:,} tokens: keep {keep:g}, {quant or 'not quantized'}", report)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    table = _table("KV cache of a context", ["", "full", "compressed"])
    table.add_row("tokens", f"{found.tokens:,}", f"{found.kept:,}")
    table.add_row("bytes", size_of(found.nbytes_full), f"{size_of(found.nbytes)} ({report['bytes_ratio']:.1%})")
    if found.users is not None:
        table.add_row("contexts on the GPU", f"{found.users_full:,}", f"{found.users:,}")
    console().print(table)


def quant_words(text: str | None) -> tuple[str | None, str | None]:
    """A setting of ``--quant`` as a pair for keys and values.

    Raises:
        ConfigError: It is something else.
    """
    words = [] if text is None else [word.strip() for word in text.split(",")]
    words = words * 2 if len(words) == 1 else words
    if words and (len(words) != 2 or any(word not in ("int8", "int4", "none") for word in words)):
        raise ConfigError(f"--quant must be int8, int4, or two for keys and values such as int8,int4; got {text!r}")
    keys, values = (None if word == "none" else word for word in words or ("none", "none"))
    return keys, values


def _report(context: CompressedContext, used: Usage | None) -> dict[str, Any]:
    report = context.report
    return {
        **asdict(report),
        "keep": report.keep,
        "bytes_ratio": report.bytes_ratio,
        "memory": None if used is None else asdict(used),
    }


def _show(report: dict[str, Any]) -> None:
    table = _table("KV cache", ["", "full", "stored"])
    table.add_row("tokens", f"{report['tokens']:,}", f"{report['kept']:,} ({report['keep']:.1%})")
    stored = f"{size_of(report['nbytes'])} ({report['bytes_ratio']:.1%})"
    table.add_row("bytes", size_of(report["nbytes_full"]), stored)
    out = console(stderr=True)
    out.print(table)
    memory = report["memory"]
    if memory is not None:
        peak = "" if memory["peak"] is None else f", at most {size_of(memory['peak'])} on the way"
        name = f"{memory['kind']}: {size_of(memory['before'])} before, {size_of(memory['after'])} after{peak}"
        out.print(name, soft_wrap=True)
    for attempt in report["attempts"]:
        verdict = attempt["verdict"]
        told = "not checked" if verdict is None else f"KL {verdict['kl']:.3g}, perplexity x {verdict['ppl_ratio']:.3g}"
        out.print(f"tried {escape(attempt['select'])} at {attempt['keep']:.3g}: {told}", soft_wrap=True)
    seconds = f"{report['prefill_seconds']:.1f} s of reading, {report['compress_seconds']:.1f} s of compressing"
    out.print(f"{escape(report['reason'])}; {seconds}", soft_wrap=True)


def _draw(file: Path | None, title: str, report: dict[str, Any]) -> None:
    if file is None:
        return
    groups = [("KV cache", [("full", report["nbytes_full"]), ("stored", report["nbytes"])])]
    memory = report.get("memory")
    if memory is not None:
        moments = [("with the model", memory["before"]), ("most while reading", memory["peak"])]
        shown = [(name, count) for name, count in moments if count is not None]
        groups.append((memory["kind"], [*shown, ("with the stored context", memory["after"])]))
    try:
        file.write_text(bars(title, groups), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--plot {file}: cannot be written: {error.strerror or error}") from error


def _table(title: str, columns: list[str]) -> Table:
    made = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", title_style="bold")
    for i, name in enumerate(columns):
        made.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    return made
