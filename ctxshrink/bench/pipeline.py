"""``ctxshrink bench pipeline``: documents a second, memory, and whether every way gives the same rows."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from ctxshrink._console import console, fail_cleanly
from ctxshrink._outfile import check_outfile, write_report
from ctxshrink.errors import ConfigError

from .options import Json, numbers

if TYPE_CHECKING:
    from ctxshrink.store import Store

_RUN: Final = "import sys; from ctxshrink.cli import app; app(sys.argv[1:])"
_MAXRSS: Final = 1 if sys.platform == "darwin" else 1024
"""Bytes in a unit of ``ru_maxrss``."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A corpus taken through ``ctxshrink distill`` into a new store, and once more.

    Attributes:
        workers: Of Ray; 0 is the local run.
        documents: That were read.
        bytes: Of their texts in UTF-8.
        seconds: Of the run, by its report: without starting Python and loading the model, with starting workers.
        wall: From start to end of the process.
        memory: Most bytes that the process held.
        together: Most bytes that it and all that it started held, Ray's workers too; looked at twice a second, shared
            pages left out. 0 where the system does not tell.
        failed: Documents that could not be distilled.
        again: Seconds of the second run, by its report.
        again_distilled: Texts that the second run distilled; more than 0 is a fault.
        rows: In the store.
        digest: Of all rows but their time stamps, in any order.
        tokens_before: Of the texts.
        tokens_after: Of their versions.
    """

    workers: int
    documents: int
    bytes: int
    seconds: float
    wall: float
    memory: int
    together: int
    failed: int
    again: float
    again_distilled: int
    rows: int
    digest: str
    tokens_before: int
    tokens_after: int


@fail_cleanly
def pipeline(
    data: Annotated[Path, typer.Option(help="Files or a folder, as distill reads them; JSON lines may be packed.")],
    megabytes: Annotated[
        float, typer.Option(help="About so much of the text, drawn by a hash of each document.")
    ] = 100.0,
    keep: Annotated[float, typer.Option(help="Share of each text's tokens to keep.")] = 0.5,
    workers: Annotated[str, typer.Option(help="Ray's workers, separated by commas; 0 is the local run.")] = "0",
    batch: Annotated[int, typer.Option(min=1, help="Documents that are committed together.")] = 32,
    json_out: Json = None,
) -> None:
    """Documents a second through the offline pipeline into SQLite, twice, locally and on Ray."""
    from ctxshrink.policies import check_keep

    if megabytes <= 0:
        raise ConfigError(f"--megabytes must be more than 0; got {megabytes:g}")
    check_keep(keep, "--keep")
    counts = numbers("--workers", workers, int)
    if min(counts) < 0:
        raise ConfigError(f"--workers must be 0 or more; got {workers}")
    check_outfile(json_out, "--json")
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.jsonl"
        documents = draw(data, megabytes, corpus)
        console(stderr=True).print(f"{documents:,} documents, {corpus.stat().st_size / 1e6:,.1f} MB")
        timings = [measure(corpus, Path(folder), n, keep=keep, batch=batch) for n in counts]
    show(timings, console() if console().is_terminal else console(width=160))
    settings = {"data": data.name, "megabytes": megabytes, "keep": keep, "workers": counts, "batch": batch}
    write_report(json_out, settings, {"timings": [asdict(t) for t in timings]})
    if len({t.digest for t in timings}) > 1 or any(t.again_distilled for t in timings):
        raise typer.Exit(1)


def draw(data: Path, megabytes: float, corpus: Path) -> int:
    """Write a sample of documents as JSON lines; returns their number.

    A document is drawn by a hash of its text, so that all files stand in the sample by their size.
    """
    from ctxshrink.distill.types import Source, content_hash
    from ctxshrink.pipeline import Files

    def documents() -> Iterator[Source]:
        yield from (item for item in Files([data]) if isinstance(item, Source))

    whole = sum(len(source.text.encode("utf-8", "surrogatepass")) for source in documents())
    if not whole:
        raise ConfigError(f"--data {data}: holds no documents")
    share = megabytes * 1e6 / whole
    drawn = 0
    with corpus.open("w", encoding="utf-8") as out:
        for source in documents():
            if int(content_hash(source.text)[:8], 16) < share * 2**32:
                out.write(json.dumps({"text": source.text, "title": source.title, "id": str(drawn)}) + "\n")
                drawn += 1
    if not drawn:
        raise ConfigError(f"--megabytes {megabytes:g}: no document was drawn; raise it")
    return drawn


def measure(corpus: Path, folder: Path, workers: int, *, keep: float, batch: int) -> Timing:
    """Run ``ctxshrink distill`` twice, each in a process of its own.

    Raises:
        ConfigError: A run failed; the message has the end of what it said.
    """
    from ctxshrink.store import Store

    url = f"sqlite:///{folder}/{workers}.db"
    options = [
        "--keep",
        f"{keep:g}",
        "--batch",
        str(batch),
        *(["--workers", str(workers), "--ray", "local"] if workers else []),
    ]
    report, wall, memory, together = _distill(corpus, url, options, folder)
    again, *_ = _distill(corpus, url, options, folder)
    with Store(url) as store:
        rows, found = digest(store)
    return Timing(
        workers,
        report["documents"],
        report["bytes"],
        report["seconds"],
        wall,
        memory,
        together,
        report["failed"],
        again["seconds"],
        again["distilled"],
        rows,
        found,
        report["tokens_before"],
        report["tokens_after"],
    )


def _distill(corpus: Path, url: str, options: list[str], folder: Path) -> tuple[dict[str, Any], float, int, int]:
    out, said = folder / "report.json", folder / "said.txt"
    command = [sys.executable, "-c", _RUN, "distill", str(corpus), "--store", url, "--json", str(out), *options]
    out.unlink(missing_ok=True)
    began = time.perf_counter()
    with said.open("wb") as streams:
        process = subprocess.Popen(command, stdout=streams, stderr=streams)
        together = 0
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            together = max(together, held(process.pid))
            time.sleep(0.5)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1) or not out.exists():  # 1 says that documents failed: the report counts them
        tail = said.read_text(encoding="utf-8", errors="replace").strip()[-500:]
        raise ConfigError(f"ctxshrink distill ended with {process.returncode}: {tail}")
    return json.loads(out.read_text(encoding="utf-8"))["report"], wall, usage.ru_maxrss * _MAXRSS, together


def held(pid: int) -> int:
    """Bytes that a process and its descendants hold by themselves, without what they share; 0 but on Linux."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    page = os.sysconf("SC_PAGE_SIZE")
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # The second field is the name in parentheses, which may hold anything.
            parents[int(entry.name)] = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            _, resident, shared, *_ = map(int, (entry / "statm").read_text().split())
        except (OSError, ValueError, IndexError):
            continue  # It ended just now.
        sizes[int(entry.name)] = (resident - shared) * page
    family = {pid}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(sizes.get(member, 0) for member in family)


def digest(store: Store) -> tuple[int, str]:
    """Number and hash of a store's derived rows without their time stamps; their order does not matter.

    The sum of the rows' hashes modulo 2^256, which takes no memory and no sorting.
    """
    total, rows = 0, 0
    for row in store.derived():
        plain = json.dumps(asdict(replace(row, created=0.0)), sort_keys=True).encode()
        total += int.from_bytes(hashlib.blake2b(plain, digest_size=32).digest(), "big")
        rows += 1
    return rows, f"{total % 2**256:064x}"


def show(timings: list[Timing], out: Console) -> None:
    """Print a row for each way, and whether all gave the same rows."""
    from .report import number, table

    first = timings[0]
    kept = first.tokens_after / max(1, first.tokens_before)
    shown = table(
        f"{first.documents:,} documents, {first.bytes / 1e6:,.1f} MB, {first.tokens_before:,} tokens; {kept:.0%} kept",
        [
            "run",
            "seconds",
            "documents/s",
            "MB/s",
            "speed-up",
            "peak MB",
            "together",
            "failed",
            "again, seconds",
            "distilled again",
        ],
        caption="seconds without loading the model, on Ray with starting workers; together: with its workers",
    )
    for t in timings:
        shown.add_row(
            f"Ray, {t.workers} worker{'s' * (t.workers > 1)}" if t.workers else "local",
            f"{t.seconds:,.1f}",
            number(t.documents / t.seconds, ",.1f"),
            number(t.bytes / 1e6 / t.seconds, ".3f"),
            number(first.seconds / t.seconds, ".2f"),
            f"{t.memory / 1e6:,.0f}",
            f"{t.together / 1e6:,.0f}",
            f"{t.failed:,}",
            f"{t.again:,.2f}",
            f"{t.again_distilled:,}",
        )
    out.print(shown)
    same = len({t.digest for t in timings}) == 1
    what = "the same rows in every run" if same else "DIFFERENT ROWS"
    out.print(
        f"{first.rows:,} rows, digest {first.digest[:16]}: {what}"
        if len(timings) > 1
        else f"{first.rows:,} rows, digest {first.digest[:16]}"
    )
