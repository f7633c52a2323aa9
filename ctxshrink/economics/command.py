"""``ctxshrink estimate``: what compression would save on recorded traffic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ctxshrink._console import console, fail_cleanly
from ctxshrink.economics.decision import amount
from ctxshrink.economics.estimate import Estimate
from ctxshrink.economics.estimate import estimate as reckon
from ctxshrink.economics.kv import KVDtype, kv_bytes, users_per_gpu
from ctxshrink.economics.latency import Latency, measure_compress
from ctxshrink.economics.prices import prices_of
from ctxshrink.economics.traces import read_traces
from ctxshrink.errors import ConfigError

GIB: Final = 2**30


@fail_cleanly
def estimate(
    traces: Annotated[
        list[Path],
        typer.Argument(metavar="TRACE…", help="JSON or JSON-lines files with messages or lists of documents."),
    ],
    model: Annotated[str | None, typer.Option(help="Whose prices; without it money is not reckoned.")] = None,
    prices: Annotated[Path | None, typer.Option(help="Your own price table, a TOML or JSON file.")] = None,
    provider: Annotated[
        str | None, typer.Option(help="Whose prompt cache (ctxshrink.providers.RULES), or none; default: the model's.")
    ] = None,
    keep: Annotated[float, typer.Option(help="Share to keep of what is compressed, in (0, 1].")] = 0.5,
    fallback_share: Annotated[
        float, typer.Option(help="Share of what is tried that is assumed to fall back to the original.")
    ] = 0.1,
    prefix_tokens: Annotated[
        int, typer.Option(min=0, help="Tokens of each request before the trace's: tool definitions, a system prompt.")
    ] = 0,
    throughput: Annotated[float | None, typer.Option(help="Tokens a second of the model's prefill.")] = None,
    compress_throughput: Annotated[
        float | None,
        typer.Option(help="Tokens a second of compressing; default: measured here on made-up text, with --throughput."),
    ] = None,
    kv: Annotated[
        Path | None, typer.Option(help="A Hugging Face config.json, or its folder: bytes of the KV cache.")
    ] = None,
    kv_dtype: Annotated[str, typer.Option(help="What the KV cache is stored as: bfloat16, fp8, int8, int4, …")] = (
        "bfloat16"
    ),
    gpu_memory: Annotated[float | None, typer.Option(help="GiB of the GPU, with --kv and --weights: users on it.")] = (
        None
    ),
    weights: Annotated[float | None, typer.Option(help="GiB of the model's weights.")] = None,
    counter: Annotated[
        str, typer.Option(help="Token counter: embedded, or a model, encoding or tokenizer name.")
    ] = "embedded",
    as_json: Annotated[bool, typer.Option("--json", help="Print the estimate as JSON.")] = False,
) -> None:
    """What would compression save on recorded traffic? Reckons tokens, money, time and memory; compresses nothing."""
    from ctxshrink.providers import cache_rules
    from ctxshrink.shrinker import Shrinker
    from ctxshrink.tokens import resolve_counter

    if prices is not None and model is None:
        raise ConfigError("--prices needs --model, the row of the table to use")
    if (gpu_memory is None) != (weights is None) or (gpu_memory is not None and kv is None):
        raise ConfigError("users on a GPU need --kv, --gpu-memory and --weights together")
    if compress_throughput is not None and throughput is None:
        raise ConfigError("--compress-throughput is compared with --throughput: give both")
    priced = None if model is None else prices_of(model, prices)
    named = provider if provider is not None else (priced.provider if priced else "")
    rules = cache_rules(None if named in ("", "none") else named)
    latency = None if throughput is None else Latency(throughput, compress_throughput)
    found = reckon(
        read_traces(traces),
        resolve_counter(counter),
        keep=keep,
        fallback_share=fallback_share,
        prices=priced,
        rules=rules,
        prefix_tokens=prefix_tokens,
    )
    more: dict[str, Any] = {}
    assumed = list(found.assumptions)
    if priced is not None:
        assumed.append(f"prices of {model} as of {priced.as_of or 'an unnamed day'}: {priced.source or 'your own'}")
        assumed.append("compressing itself costs no money")
    if latency is not None:
        if latency.compress_tokens_per_second is None:
            latency = Latency(latency.prefill_tokens_per_second, measure_compress(Shrinker(counter=counter)))
            assumed.append("compressing was timed on this machine, on made-up text, with the default settings")
        more["seconds"] = _seconds(found, latency)
        assumed.append("prefill is saved only on tokens that are not read from a prompt cache")
    if kv is not None:
        more["kv_cache"] = _memory(found, kv, cast("KVDtype", kv_dtype), gpu_memory, weights)
        assumed.append("a user's KV cache holds the largest request of the traces")
    report = {**found.to_dict(), **more, "model": model, "keep": keep, "fallback_share": fallback_share}
    report["assumptions"] = assumed
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        _show(report, console())


def _seconds(found: Estimate, latency: Latency) -> dict[str, float]:
    """Seconds of compressing and of prefill, over all requests."""
    plain, shrunk = (latency.prefill(u.uncached + u.written) for u in (found.plain, found.shrunk))
    compress = latency.compress(found.tried)
    return {
        "prefill_plain": plain,
        "prefill_shrunk": shrunk,
        "compress": compress,
        "saved": plain - shrunk - compress,
        "prefill_tokens_per_second": latency.prefill_tokens_per_second,
        "compress_tokens_per_second": latency.compress_tokens_per_second or 0.0,
    }


def _memory(found: Estimate, kv: Path, dtype: KVDtype, memory: float | None, weights: float | None) -> dict[str, Any]:
    sizes = dict(zip(("plain", "shrunk"), found.largest, strict=True))
    made: dict[str, Any] = {"dtype": dtype, "bytes": {k: kv_bytes(kv, n, dtype) for k, n in sizes.items()}}
    if memory is not None and weights is not None:
        made["users_per_gpu"] = {
            k: users_per_gpu(memory * GIB, weights * GIB, kv, max(1, n), dtype=dtype) for k, n in sizes.items()
        }
    return made


def _show(report: dict[str, Any], out: Console) -> None:
    kinds = _table("each text counted once", ["kind", "tokens", "left exact", "would be cut"])
    for kind, row in report["kinds"].items():
        kinds.add_row(kind.replace("_", " "), f"{row['tokens']:,}", f"{row['exact']:,}", f"{row['cut']:,}")
    out.print(kinds)
    title = f"{report['requests']:,} requests of {report['traces']:,} traces"
    table = _table(title, ["", "without", "with", "saved", "of without"])
    plain, shrunk = report["plain"], report["shrunk"]
    for name, key in (
        ("input tokens", "input"),
        ("  not cached", "uncached"),
        ("  written to the cache", "written"),
        ("  read from the cache", "read"),
    ):
        if plain[key] or shrunk[key]:
            _row(table, name, plain[key], shrunk[key], "{:,.0f}")
    largest = report["largest_request"]
    _row(table, "largest request, tokens", largest["plain"], largest["shrunk"], "{:,.0f}")
    if report["cost"]:
        _row(table, "bill, answers included", report["cost"]["plain"], report["cost"]["shrunk"])
    if "seconds" in report:
        seconds = report["seconds"]
        after = seconds["prefill_shrunk"] + seconds["compress"]
        _row(table, "prefill and compressing, s", seconds["prefill_plain"], after)
    if "kv_cache" in report:
        memory = report["kv_cache"]
        sizes = {k: n / 2**20 for k, n in memory["bytes"].items()}
        _row(table, f"KV cache, MiB ({memory['dtype']})", sizes["plain"], sizes["shrunk"], "{:,.1f}")
        if "users_per_gpu" in memory:
            users = memory["users_per_gpu"]
            table.add_row("users per GPU", f"{users['plain']:,}", f"{users['shrunk']:,}", "", "")
    out.print(table)
    out.print("Assumed:")
    for line in report["assumptions"]:
        out.print(f"- {escape(line)}", soft_wrap=True)


def _table(title: str, columns: list[str]) -> Table:
    made = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", title_style="bold")
    for i, name in enumerate(columns):
        made.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    return made


def _row(table: Table, name: str, plain: float, shrunk: float, shown: str | None = None) -> None:
    """A line of figures, in a format or (None) with two significant digits."""
    share = f"{(plain - shrunk) / plain:.1%}" if plain else ""
    cells = [amount(n) if shown is None else shown.format(n) for n in (plain, shrunk, plain - shrunk)]
    table.add_row(name, *cells, share)
