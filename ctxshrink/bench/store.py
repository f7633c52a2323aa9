"""``ctxshrink bench store``."""

from __future__ import annotations

from typing import Annotated

import typer

from ctxshrink._console import console, fail_cleanly, progress
from ctxshrink._outfile import check_outfile, write_report

from .options import Json


@fail_cleanly
def store(
    url: Annotated[
        str | None,
        typer.Option(
            help="Database URL, like sqlite:///file.db or postgresql+psycopg://user:password@host/database. Two "
            "namespaces of its own are used and emptied. Without it, an SQLite file that is removed afterwards."
        ),
    ] = None,
    processes: Annotated[int, typer.Option(min=2, help="Processes that write and read at once.")] = 8,
    rows: Annotated[int, typer.Option(min=20, help="Writes of each process, and as many reads.")] = 1000,
    json_out: Json = None,
) -> None:
    """Write and read from many processes at once, kill some in the middle, and count what is lost, torn or foreign."""
    import tempfile
    from pathlib import Path

    from rich import box
    from rich.table import Table

    from .store_run import measure

    check_outfile(json_out, "--json")

    with tempfile.TemporaryDirectory() as folder, progress() as bar:
        job = bar.add_task("writing and reading", total=processes * rows)
        notes = Path(folder) / "notes"
        notes.mkdir()
        load = measure(
            url or f"sqlite:///{folder}/store.db",
            notes,
            processes=processes,
            rows=rows,
            progress=lambda done: bar.update(job, completed=done),
        )
    title = f"{load.database}: {processes} processes, {load.killed} of them killed"
    table = Table(title=title, box=box.SIMPLE_HEAD, show_header=False)
    for name, value in [
        ("confirmed writes (original and distillate)", f"{load.writes:,}"),
        ("reads of both", f"{load.reads:,}"),
        ("lost, torn, foreign rows", f"{load.lost}, {load.torn}, {load.foreign}"),
        ("writes and reads per second", f"{load.writes_per_second:,.0f} and {load.reads_per_second:,.0f}"),
        ("a write, ms (median, 99th percentile)", f"{load.write_ms[0]:.1f}, {load.write_ms[1]:.1f}"),
        ("a read, ms", f"{load.read_ms[0]:.1f}, {load.read_ms[1]:.1f}"),
        ("bytes per row: text, on disk", f"{load.text_bytes:,.0f}, {load.disk_bytes:,.0f}"),
    ]:
        table.add_row(name, value)
    console().print(table)
    if json_out is not None:
        write_report(json_out, {"processes": processes, "rows": rows}, load.to_dict())
    if load.lost or load.torn or load.foreign:
        raise typer.Exit(1)
