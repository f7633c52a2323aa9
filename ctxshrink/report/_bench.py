"""Figures of ``ctxshrink bench`` as the data of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ctxshrink.errors import ConfigError
from ctxshrink.report.model import report_data

KIND = "ctxshrink bench"
_HOW = "`ctxshrink bench all --out FOLDER` writes results.json, which has them"


def is_bench(value: object) -> bool:
    """True for an object that a bench command wrote."""
    if not isinstance(value, dict):
        return False
    found = cast("dict[str, Any]", value)
    return found.get("kind") == KIND or {"settings", "environment"} <= found.keys()


def bench_data(figures: Mapping[str, Any], title: str, where: str) -> dict[str, Any]:
    """A report of tables and pictures alone.

    Args:
        figures: What a bench command wrote.
        title: Of the page.
        where: Names the file in errors.

    Raises:
        ConfigError: It has no tables, or they are not tables.
    """
    found = figures.get("bench")
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: figures of one benchmark, without tables and pictures; {_HOW}")
    parts = cast("Mapping[str, Any]", found)
    try:
        tables = [_table(table) for table in parts["tables"]]
        plots = [plot for plot in parts["plots"] if isinstance(plot, str)]
        skipped = [[str(row["part"]), str(row["name"]), str(row["reason"])] for row in figures.get("skipped", ())]
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{where}: its tables cannot be read ({type(error).__name__}: {error}); {_HOW}") from error
    if skipped:
        columns = ["part", "method", "why"]
        tables.append({"title": "Not run", "columns": columns, "rows": skipped, "note": None})
    return {**report_data([], title=title), "bench": {"tables": tables, "plots": plots}}


def _table(table: Mapping[str, Any]) -> dict[str, Any]:
    note, chapter = table.get("note"), table.get("chapter")
    return {
        "title": f"{chapter}: {table['title']}" if chapter else str(table["title"]),
        "columns": [str(name) for name in table["columns"]],
        "rows": [[_cell(cell) for cell in row] for row in table["rows"]],
        "note": None if note is None else str(note),
    }


def _cell(cell: object) -> str | int | float | None:
    return cell if cell is None or isinstance(cell, str | int | float) else str(cell)
