"""The command ``ctxshrink bench kv``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console

from ctxshrink._console import console, fail_cleanly, progress
from ctxshrink._outfile import check_outfile, write_report
from ctxshrink.errors import ConfigError, MissingExtraError

from .options import Json, length, numbers

NEEDLE = ("table", "guardrail", "latent")
"""Sections that need a needle model."""
SECTIONS = (*NEEDLE, "quant", "speed", "long")
Step: TypeAlias = Callable[[str], None]


@fail_cleanly
def kv(
    model: Annotated[
        Path | None,
        typer.Option(help="Folder of a needle model, from `ctxshrink train kv-needle`; for table, guardrail, latent."),
    ] = None,
    adapter: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a KV-Distill adapter, repeatable; default: all in adapters/ beside the model."),
    ] = None,
    only: Annotated[
        str,
        typer.Option(
            help="Sections, separated by commas: table, guardrail, latent, quant, speed, long; default: all that can "
            "be run with what is given."
        ),
    ] = "",
    text: Annotated[
        Path | None, typer.Option(help="Folder of plain text, as for `ctxshrink train scorer`; for quant.")
    ] = None,
    methods: Annotated[str, typer.Option(help="Selectors, separated by commas; default: all.")] = "",
    keep: Annotated[str, typer.Option(help="Shares to keep, separated by commas.")] = "0.5,0.2,0.1,0.05,0.02,0.01",
    contexts: Annotated[int, typer.Option(min=1, help="Contexts of a seed.")] = 32,
    seeds: Annotated[str, typer.Option(help="Seeds of the contexts, separated by commas.")] = "1,2,3",
    lengths: Annotated[str, typer.Option(help="Tokens of the contexts that are timed; k and M are understood.")] = (
        "1k,2k,4k,8k,16k,32k"
    ),
    latent_steps: Annotated[
        int, typer.Option(min=1, help="Training steps of each latent encoder; twice as many before the first.")
    ] = 150,
    documents: Annotated[int, typer.Option(min=1, help="Documents of --text.")] = 60,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each timing.")] = 3,
    tokens: Annotated[str, typer.Option(help="Tokens of the long conversation.")] = "1M",
    turn: Annotated[int, typer.Option(min=16, help="Tokens of a turn of it.")] = 1000,
    device: Annotated[str, typer.Option(help="Where the models run: cpu or cuda.")] = "cpu",
    json_out: Json = None,
) -> None:
    """What compressed KV caches answer, whether the guardrail tells the bad ones, and what they save."""
    try:
        import torch

        importlib.import_module("transformers")
    except ImportError as error:
        raise MissingExtraError("bench kv", "kv") from error
    from ctxshrink.policies import check_keep

    check_outfile(json_out, "--json")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: there is no usable GPU here; take --device cpu")
    wanted = _sections(only, model, text)
    needle = [section for section in wanted if section in NEEDLE]
    keeps = numbers("--keep", keep, lambda share: check_keep(float(share), "--keep"))
    drawn = numbers("--seeds", seeds, int)
    sizes = numbers("--lengths", lengths, length)
    [total] = numbers("--tokens", tokens, length)[:1]
    names = [m.strip() for m in methods.split(",") if m.strip()]
    found = dict[str, Any]()
    with progress() as bar:
        job = bar.add_task("starting", total=None)

        def step(what: str) -> None:
            bar.update(job, advance=1, description=what)

        if needle:
            if model is None:
                raise ConfigError(f"--only {needle[0]} needs --model: the folder of a needle model")
            sizes_of = keeps, drawn, contexts, latent_steps
            found |= _needle(model, adapter, names, sizes_of, needle, device, step)
        if "quant" in wanted:
            if text is None:
                raise ConfigError("--only quant needs --text: a folder of plain text")
            from .kv_quant import bench_quant

            found["quant"] = bench_quant(text, documents=documents, step=step)
        if "speed" in wanted:
            found |= _speed(sizes, repeats, device, step)
        if "long" in wanted:
            found |= _long(total, turn, device, step)
    _show(found, _out())
    settings = {
        "model": None if model is None else model.name, "sections": wanted, "methods": names, "keep": keeps,
        "contexts": contexts, "seeds": drawn, "lengths": sizes, "repeats": repeats, "tokens": total, "turn": turn,
        "device": device, "text": None if text is None else text.name, "documents": documents,
        "latent_steps": latent_steps,
    }  # fmt: skip
    write_report(json_out, settings, _plain(found))


def _sections(only: str, model: Path | None, text: Path | None) -> list[str]:
    given = list(dict.fromkeys(s.strip() for s in only.split(",") if s.strip()))
    wrong = [s for s in given if s not in SECTIONS]
    if wrong:
        raise ConfigError(f"--only {wrong[0]}: unknown; the sections are {', '.join(SECTIONS)}")
    missing = (*(() if model else NEEDLE), *(() if text else ("quant",)))
    return given or [s for s in SECTIONS if s not in missing]


def _needle(
    folder: Path,
    adapters: list[Path] | None,
    names: list[str],
    sizes: tuple[list[float], list[int], int, int],
    sections: list[str],
    device: str,
    step: Step,
) -> dict[str, Any]:
    from .kv_detector import detectors
    from .kv_needle import DOMAIN, FULL, Setting, load_model, measure, methods, tasks_of
    from .kv_report import cells

    model = load_model(folder, device)
    beside = sorted(p for p in (folder / "adapters").glob("*") if p.is_dir())
    trained = {p.name: p for p in (beside if adapters is None else adapters)}
    selectors = methods(names, trained, model)
    setting, tasks = Setting(*sizes[:3]), tasks_of(folder, trained)
    found = dict[str, Any]()
    outcomes = list[Any]()
    for name, task in tasks.items():
        # The guardrail is tried where needles may be anything, not in the narrow domain.
        judged = "guardrail" in sections and name == "needle"
        if judged or "table" in sections:
            outcomes += measure(model, {name: task}, selectors, setting, guardrail=judged, step=step)
    if "table" in sections:
        found["table"] = cells([o for o in outcomes if o.keep in setting.keeps or o.method == FULL])
    if "guardrail" in sections:
        found["guardrail"] = detectors(outcomes, list(trained))
    if "latent" in sections:
        from .kv_latent import compare

        own = {name: selectors[name] for name in trained if name != DOMAIN}
        found["latent"] = compare(model, tasks["needle"], own, setting, steps=sizes[3], step=step)
    return found


def _speed(lengths: list[int], repeats: int, device: str, step: Step) -> dict[str, Any]:
    from .kv_speed import HELD, Shape, build, measure, memory

    model = build(Shape(half=device == "cuda"), device)
    timings = list(measure(model, lengths, repeats=repeats, step=step))
    step("memory")
    known = sys.platform == "linux" or device != "cpu"
    return {"speed": timings, "memory": [memory(HELD, min(4000, max(lengths)), device=device)] if known else []}


def _long(tokens: int, turn: int, device: str, step: Step) -> dict[str, Any]:
    from .kv_long import converse
    from .kv_speed import Shape, build

    return {"long": [converse(build(Shape(64, 2, 4, 2), device), tokens=tokens, turn=turn, step=step)]}


def _show(found: Mapping[str, Any], out: Console) -> None:
    from .kv_report import show_cells, show_conversation, show_detectors, show_memory, show_speed

    if "table" in found:
        show_cells(found["table"], out)
    if "guardrail" in found:
        show_detectors(found["guardrail"], out)
    if "latent" in found:
        from .kv_latent import show_latent

        show_latent(found["latent"], out)
    if "quant" in found:
        from .kv_quant import show_quant

        show_quant(found["quant"], out)
    if "speed" in found:
        show_speed(found["speed"], out)
        for held in found["memory"]:
            show_memory(held, out)
    if "long" in found:
        show_conversation(found["long"][0], out)


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    from .kv_report import rows

    return {name: rows(items) for name, items in found.items()}


def _out() -> Console:
    """Tables are wide: a pipe or a file gets as many columns as they need."""
    out = console()
    return out if out.is_terminal else console(width=220)
