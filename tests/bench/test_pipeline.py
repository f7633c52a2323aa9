from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ctxshrink.bench import pipeline as bench
from ctxshrink.store import Store
from tests.pipeline.halver import Halver

app = typer.Typer()
app.command()(bench.pipeline)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    lines = [json.dumps({"text": f"Document {i} has a few words. " * (1 + i % 3)}) for i in range(40)]
    (tmp_path / "data.jsonl").write_text("\n".join(lines))
    return tmp_path / "data.jsonl"


def test_a_corpus_is_timed_twice(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = call("--data", data, "--megabytes", 1, "--json", out)
    assert result.exit_code == 0, result.output
    [timing] = json.loads(out.read_text())["timings"]
    assert (timing["documents"], timing["rows"], timing["again_distilled"]) == (40, 40, 0)
    assert timing["memory"] > 10_000_000
    assert sys.platform != "linux" or timing["together"] > 10_000_000
    assert timing["tokens_after"] <= timing["tokens_before"]
    assert timing["digest"][:16] in result.output


def test_a_sample_is_drawn_by_content(data: Path, tmp_path: Path) -> None:
    whole = bench.draw(data, 1, tmp_path / "whole.jsonl")
    half = bench.draw(data, data.stat().st_size / 2e6, tmp_path / "half.jsonl")
    assert 0 < half < whole == 40
    texts = {json.loads(line)["text"] for line in (tmp_path / "half.jsonl").read_text().splitlines()}
    bench.draw(data, data.stat().st_size / 2e6, tmp_path / "again.jsonl")
    assert texts == {json.loads(line)["text"] for line in (tmp_path / "again.jsonl").read_text().splitlines()}


def test_the_digest_knows_rows_but_neither_order_nor_time() -> None:
    from ctxshrink.distill import Source
    from ctxshrink.pipeline import run

    sources = [Source(f"document {i} has five words", uri=str(i)) for i in range(9)]
    digests = []
    for given in (sources, sources[::-1], sources[1:]):
        with Store.memory() as store:
            run(given, Halver(), store)
            digests.append(bench.digest(store))
    assert digests[0] == digests[1]
    assert digests[0][0] == 9
    assert digests[2][0] == 8
    assert digests[2][1] != digests[0][1]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_a_process_is_that_of_its_children_too() -> None:
    grandchild = "held = b'x' * 50_000_000; import sys; sys.stdin.read()"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    process = subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE)
    try:
        while bench.held(process.pid) < 50_000_000 and process.poll() is None:
            time.sleep(0.02)
        assert bench.held(process.pid) >= 50_000_000
    finally:
        process.communicate()
    assert bench.held(process.pid) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--megabytes", "0"], "--megabytes"),
        (["--megabytes", "0.0000001"], "raise it"),
        (["--workers", "-1"], "--workers"),
        (["--workers", "two"], "--workers"),
        (["--keep", "2"], "--keep"),
    ],
)
def test_wrong_options_are_one_line(data: Path, options: list[str], message: str) -> None:
    result = call("--data", data, *options)
    assert result.exit_code == 2
    assert message in result.output


def test_a_run_that_fails_is_told(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ended with 2"):
        bench._distill(tmp_path / "nowhere.jsonl", f"sqlite:///{tmp_path}/s.db", ["--keep", "0.5"], tmp_path)
