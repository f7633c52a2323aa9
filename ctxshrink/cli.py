"""The command line. Commands import what they need when they run, so that ``--help`` is instant."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

import typer

from ._console import console, fail_cleanly
from .bench.command import bench
from .bench.kv_command import kv as bench_kv
from .bench.lingua_command import lingua
from .bench.peer_methods.cases import compactbench
from .bench.pipeline import pipeline
from .bench.store import store
from .calibrate.command import calibrate, compare
from .economics.command import estimate
from .errors import ConfigError
from .kv.command import kv
from .pipeline.command import distill
from .report.command import report
from .training.kv_command import kv_distill, kv_latent, kv_needle

if TYPE_CHECKING:
    from .result import ShrinkResult
    from .shrinker import Shrinker
    from .training.run import Progress

Shape: TypeAlias = Literal["text", "messages", "documents"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Compress retrieved chunks and chat history before they reach a language model, and check every compression.",
)
train = typer.Typer(no_args_is_help=True, help="Train the embedded models on your own text.")
app.add_typer(bench, name="bench")
app.add_typer(train, name="train")
app.add_typer(kv, name="kv")
train.command()(kv_distill)
train.command()(kv_needle)
train.command()(kv_latent)
app.command()(calibrate)
app.command()(estimate)
app.command()(distill)
app.command()(report)
bench.command("calibrate")(compare)
bench.command("kv")(bench_kv)
bench.command()(lingua)
bench.command()(compactbench)
bench.command()(pipeline)
bench.command()(store)


def _version(shown: bool) -> None:
    if shown:
        from . import __version__

        typer.echo(f"ctxshrink {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Compress retrieved chunks and chat history before they reach a language model, and check every compression."""


@app.command()
@fail_cleanly
def shrink(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A UTF-8 file, or - for standard input.")],
    query: Annotated[str | None, typer.Option(help="The question that the output will serve.")] = None,
    keep: Annotated[float | None, typer.Option(help="Share of the unlocked tokens to keep, in (0, 1].")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Most tokens of the whole output.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print output and report together, as JSON on standard output.")
    ] = False,
    as_shape: Annotated[
        Literal["auto", "text", "messages", "documents"],
        typer.Option("--as", help="What the input is; auto recognises JSON lists of messages and of documents."),
    ] = "auto",
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Leave nothing out: only render JSON, tables and logs with fewer tokens.")
    ] = False,
    guardrail: Annotated[bool, typer.Option("--guardrail/--no-guardrail", help="Check every compression.")] = True,
    counter: Annotated[
        str, typer.Option(help="Token counter: embedded, or a model, encoding or tokenizer name.")
    ] = "embedded",
    config: Annotated[
        Path | None, typer.Option(help="A policy file, as calibrate writes it; its policy and guardrail are used.")
    ] = None,
) -> None:
    """Shrink a text, a JSON list of messages, or a JSON list of documents: output to stdout, report to stderr."""
    from .policies import Lossless
    from .shrinker import Shrinker

    if lossless and (keep is not None or max_tokens is not None):
        raise ConfigError("--lossless leaves nothing out: give it without --keep and --max-tokens")
    if config is not None and (lossless or not guardrail):
        raise ConfigError("--config names the policy and the guardrail: give it without --lossless and --no-guardrail")
    given = _recognise(_read(file), as_shape)
    if config is not None:
        shrinker = Shrinker.from_file(config, counter=counter)
    else:
        policy = Lossless() if lossless else None
        shrinker = Shrinker(policy=policy, guardrail="perplexity" if guardrail else None, counter=counter)
    result = _run(shrinker, given, query, keep, max_tokens)
    output = given.wrap(result.output)
    if as_json:
        _emit(json.dumps({"output": output, **result.to_dict(text=True)}, ensure_ascii=False, indent=2) + "\n")
        return
    _emit(output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, indent=2) + "\n")
    if isinstance(output, str) and sys.stdout.isatty():
        typer.echo()

    from ._report import show_result

    show_result(result, console(stderr=True))


@app.command()
@fail_cleanly
def demo() -> None:
    """Shrink a bundled conversation and a set of chunks, and show what happened to every piece and why."""
    from .demo import show_demo

    show_demo(console())


@app.command()
@fail_cleanly
def doctor() -> None:
    """Say what is installed, which models and counters work, and run a one-second self-test."""
    from ._doctor import examine, show

    report = examine()
    show(report, console())
    if not report.healthy:
        raise typer.Exit(1)


@train.command()
@fail_cleanly
def scorer(
    config: Annotated[Path, typer.Option(help="The recipe, a TOML file.")],
    export: Annotated[bool, typer.Option("--export/--no-export", help="Write the ONNX model at the end.")] = True,
) -> None:
    """Train a causal scorer for the guardrail from plain text; a run that was stopped goes on from its checkpoint."""
    from .training.scorer import load_config
    from .training.scorer import train as train_scorer

    recipe = load_config(config)
    _train(lambda step: train_scorer(recipe, step, export=export))


@train.command()
@fail_cleanly
def pruner(
    config: Annotated[Path, typer.Option(help="The recipe, a TOML file.")],
    export: Annotated[bool, typer.Option("--export/--no-export", help="Write the ONNX model at the end.")] = True,
) -> None:
    """Train the pruner's encoder from questions about sentences; a stopped run goes on from its checkpoint."""
    from .training.pruner_config import load_pruner_config
    from .training.scorer import import_torch

    recipe = load_pruner_config(config)
    import_torch()  # one clear error where it is not installed
    from .training.pruner import train as train_pruner

    _train(lambda step: train_pruner(recipe, step, export=export))


def _train(run: Callable[[Callable[[Progress], None]], Path]) -> None:
    """Runs a recipe under a progress bar."""
    from ._console import progress

    with progress() as bar:
        job = bar.add_task("preparing", total=1.0)

        def step(report: Progress) -> None:
            bar.update(job, completed=report.fraction, description=report.message)

        folder = run(step)
    console().print(f"written to {folder}", markup=False)


@train.command()
@fail_cleanly
def guardrail(
    data: Annotated[Path, typer.Option(help="A folder with rag, chat and tools, or some of these, as bench reads it.")],
    out: Annotated[Path, typer.Option(help="Folder for config.json: models, curves and figures.")],
    limit: Annotated[int, typer.Option(min=1, help="Records per set.")] = 12,
    crossed: Annotated[
        Path | None, typer.Option(help="Also write, for each set, the models fitted without it: FOLDER/TASK/SET.")
    ] = None,
    scored: Annotated[bool, typer.Option("--scored/--no-scored", help="Ask the language model.")] = True,
) -> None:
    """Fit the guardrail's models to labelled records (their development half)."""
    from .guardrails.detector import save_detector
    from .scorers import EmbeddedScorer
    from .training.guardrail import fit, leave_one_out, write
    from .training.guardrail_data import material

    for folder in filter(None, (out, crossed)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder}: cannot be made: {error.strerror or error}") from error
    tell = console(stderr=True).print
    found = material(data, limit=limit, scorer=EmbeddedScorer() if scored else None, progress=tell)
    file = save_detector(fit(found), out)
    if crossed is not None:
        write(leave_one_out(found, progress=tell), crossed)
    console().print(f"written to {file}", markup=False)


@dataclass(frozen=True, slots=True)
class _Input:
    """The input, its shape, and the object that the list was found in (``{"messages": […], …}``), if any."""

    shape: Shape
    value: Any
    holder: Mapping[str, Any] | None = None

    def wrap(self, output: Any) -> Any:
        return output if self.holder is None else {**self.holder, self.shape: output}


def _read(file: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return data.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text (byte {error.start}); convert it first") from error


def _recognise(text: str, shape: Literal["auto", "text", "messages", "documents"]) -> _Input:
    """The input as its value. What is not clearly a list of messages or documents is text."""
    plain = text.removeprefix("\ufeff")  # Some editors put a byte order mark before JSON.
    if shape == "text" or (shape == "auto" and plain.lstrip()[:1] not in ("[", "{")):
        return _Input("text", text)
    try:
        value: Any = json.loads(plain)
    except (ValueError, RecursionError) as error:
        if shape == "auto":
            return _Input("text", text)
        raise ConfigError(f"--as {shape}: the input is not JSON: {error}") from error
    holder = None
    if isinstance(value, dict):
        holder = cast("dict[str, Any]", value)
        wanted = [shape] if shape != "auto" else ["messages", "documents"]
        key = next((k for k in wanted if isinstance(holder.get(k), list)), None)
        if key is not None:
            return _Input(cast("Shape", key), holder[key], holder)
    if shape != "auto":
        return _Input(shape, value)
    items = cast("list[Any]", value) if isinstance(value, list) else []
    if items and all(isinstance(i, dict) and "role" in i for i in items):
        return _Input("messages", items)
    if items and all(isinstance(i, str) or (isinstance(i, dict) and isinstance(i.get("text"), str)) for i in items):  # pyright: ignore[reportUnknownMemberType]
        return _Input("documents", items)
    return _Input("text", text)


def _run(
    shrinker: Shrinker, given: _Input, query: str | None, keep: float | None, max_tokens: int | None
) -> ShrinkResult[Any]:
    if given.shape == "messages":
        return shrinker.shrink_messages(given.value, query, keep=keep, max_tokens=max_tokens)
    if given.shape == "documents":
        return shrinker.shrink_documents(given.value, query, keep=keep, max_tokens=max_tokens)
    return shrinker.shrink_text(given.value, query, keep=keep, max_tokens=max_tokens)


def _emit(text: str) -> None:
    """Bytes to stdout: no added newline, and lone surrogates from JSON escapes do not raise."""
    try:
        typer.echo(text.encode("utf-8", "surrogatepass"), nl=False)
    except BrokenPipeError:
        raise  # Who reads has enough: typer leaves quietly.
    except OSError as error:
        raise ConfigError(f"standard output: cannot be written: {error.strerror or error}") from error
