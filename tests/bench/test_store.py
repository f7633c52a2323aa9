"""The store's benchmark; what it finds on both databases is in tests/store/test_processes.py."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ctxshrink.bench import store_run
from ctxshrink.bench.store import store
from ctxshrink.bench.store_work import Job, made, source
from ctxshrink.errors import ConfigError
from ctxshrink.store import Store

app = typer.Typer()
app.command()(store)


def test_measures_and_reports(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = CliRunner().invoke(app, ["--processes", "2", "--rows", "20", "--json", str(out)])
    assert done.exit_code == 0, done.output
    assert "lost, torn, foreign rows" in done.output
    found = json.loads(out.read_text())
    assert found["settings"] == {"processes": 2, "rows": 20}
    assert (found["database"], found["killed"], found["lost"], found["torn"], found["foreign"]) == (
        "sqlite",
        1,
        0,
        0,
        0,
    )
    assert 39 <= found["writes"] <= 40


def test_numbers_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 2 processes with 20 rows each"):
        store_run.measure(f"sqlite:///{tmp_path}/x.db", tmp_path, processes=1)


def test_finds_what_is_lost_torn_and_foreign(tmp_path: Path) -> None:
    url, name = f"sqlite:///{tmp_path}/store.db", "ctxshrink bench 0"
    job = Job(url, name, 0, 0, 4, tmp_path)
    job.log.write_text("".join(f"{number:8d}{1.0:11.3f}{1.0:11.3f}\n" for number in range(3)))
    with Store(url, namespace=name) as store:
        store.put([made(0, 0, 0)], originals=[source(0, 0, 0)])
        store.put([made(0, 0, 1)])  # Confirmed, but its original is missing.
        store.put([made(0, 0, 3)])  # In flight at the kill, and half of it is there.
        store.put([made(1, 0, 0)], originals=["somebody's"])
    found = store_run._check(url, name, [job], 0, {(0, 3)})
    assert (found.lost, found.torn, found.foreign) == (2, 1, 2)
