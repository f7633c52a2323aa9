"""``ctxshrink report``."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from ctxshrink._console import console, fail_cleanly, progress
from ctxshrink._outfile import check_outfile
from ctxshrink.errors import ConfigError

if TYPE_CHECKING:
    from ctxshrink.economics import Economics
    from ctxshrink.report._reader import Recording

_HOW: Final = (
    'a report is made from a trace (Shrinker(telemetry=Trace("trace.jsonl")), from ctxshrink.report), from a result '
    "(`ctxshrink shrink FILE --json > result.json`) or from the results.json "
    "of `ctxshrink bench all`"
)
_DOCTYPE: Final = b"<!doctype html"


@fail_cleanly
def report(
    file: Annotated[
        str, typer.Argument(metavar="RESULT.json|TRACE.jsonl|-", help="What to show; - is standard input.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The page to write; default: beside the input, .html, never in place of a file."
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the page; default: the input's name.")] = None,
    heat: Annotated[
        bool, typer.Option("--heat/--no-heat", help="Show how surprising each token is to the embedded language model.")
    ] = True,
    heat_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens that are read for that, changed and newest texts first.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model that read the prompts: reckons money.")] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Your own price table, a TOML or JSON file, with --model.")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Make one page of HTML, which needs no network: what was kept, dropped, locked and frozen, why, and what it saved.

    The page holds all texts of the input in clear, as the input does; it is made readable for its owner alone.
    """
    economics = _economics(model, prices)
    found = _recognised(_read(file), file)
    target = _target(file, out)

    from ._bench import bench_data
    from .page import page

    named = title or ("ctxshrink report" if file == "-" else Path(file).name)
    with progress() as bar:
        job = bar.add_task("reading the texts for their heat", total=1.0, visible=heat)

        def step(done: float) -> None:
            bar.update(job, completed=done)

        data = (
            bench_data(found, named, file)
            if isinstance(found, dict)
            else _data(found, named, heat, heat_tokens, economics, step)
        )
    _write(target, page(data).encode("utf-8"))
    console().print(f"written to {target}", markup=False)
    if show:
        import webbrowser

        webbrowser.open(target.resolve().as_uri())


def _data(
    recording: Recording,
    title: str,
    heat: bool,
    heat_tokens: int | None,
    economics: Economics | None,
    step: Callable[[float], None],
) -> dict[str, Any]:
    from .model import report_data

    return report_data(recording, title=title, heat=heat, heat_tokens=heat_tokens, economics=economics, progress=step)


def _economics(model: str | None, prices: Path | None) -> Economics | None:
    if model is None:
        if prices is not None:
            raise ConfigError("--prices is a table of several models: name the one that read the prompts with --model")
        return None
    from ctxshrink.economics import Economics

    return Economics(model=model, table=prices)


def _target(file: str, out: Path | None) -> Path:
    """Where the page goes: what ``-o`` names may replace a page, and nothing else is ever replaced."""
    target = out or (Path("report.html") if file == "-" else Path(file).with_suffix(".html"))
    check_outfile(target, "--out")
    if not target.exists():
        return target
    if out is None:
        raise ConfigError(f"{target} is there already; name it with --out {target} to replace it, or name another file")
    with target.open("rb") as there:
        start = there.read(len(_DOCTYPE))
    if start and start.lower() != _DOCTYPE:
        raise ConfigError(f"--out {target}: is there already and is no HTML page; name another file")
    return target


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error


def _recognised(data: bytes, file: str) -> Recording | dict[str, Any]:
    """The calls that a file holds, or the figures of a benchmark.

    Raises:
        ConfigError: It is something else; says what, and how to make what is wanted.
    """
    from ._bench import is_bench
    from ._reader import is_trace, recording
    from ._results import is_result, read_results

    text = data.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        raise ConfigError(f"{file}: empty; {_HOW}. A trace gets its first line with the first call")
    if text[:1] == b"<":
        raise ConfigError(f"{file}: looks like HTML, such as a report itself; {_HOW}")
    values = _values(text)
    if values and is_trace(values[0]):
        found = recording(io.BytesIO(data), file)
        if not found.calls:
            raise ConfigError(f"{file}: a trace without a call; {_HOW}")
        return found
    if len(values) == 1 and isinstance(values[0], list):
        values = cast("list[Any]", values[0])
    if values and all(is_result(value) for value in values):
        return read_results(values, file)
    first: dict[str, Any] = cast("dict[str, Any]", values[0]) if values and isinstance(values[0], dict) else {}
    if len(values) == 1 and is_bench(first):
        return first
    if not values and text != b"[]":
        raise ConfigError(f"{file}: not JSON; {_HOW}")
    if "role" in first or "messages" in first or "documents" in first or "text" in first:
        raise ConfigError(f"{file}: messages or documents that were not shrunk yet; {_HOW}")
    raise ConfigError(f"{file}: JSON, but neither a trace nor a result; {_HOW}")


def _values(text: bytes) -> list[Any]:
    """The one JSON value of a text, or the value of each line; of a trace the first alone."""
    from ._reader import is_trace

    try:
        first: Any = json.loads(text.split(b"\n", 1)[0])
        if is_trace(first):
            return [first]
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in text.split(b"\n") if line.strip()]
    except (ValueError, RecursionError):
        return []


def _write(target: Path, page: bytes) -> None:
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(page)
    except OSError as error:
        raise ConfigError(f"--out {target}: cannot be written: {error.strerror or error}") from error
