from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctxshrink.bench.peer_methods.peer_process import PeerFailure, PeerProcess

from .conftest import PYTHON

LOAD = {"method": "first-words", "options": {"model": None}, "packages": ["pytest", "no-such-package"]}
TEXT = "one two three four five six seven eight"


@pytest.fixture
def process(worker: Path) -> Iterator[PeerProcess]:
    made = PeerProcess(PYTHON, worker)
    assert made.ask(LOAD, 60)["versions"]["pytest"] == pytest.__version__
    yield made
    made.close()


def ask(process: PeerProcess, query: str, timeout: float = 60, **more: Any) -> dict[str, Any]:
    return process.ask({"query": query, "texts": [TEXT], "level": 0.5, **more}, timeout)


def test_what_a_peer_prints_and_reads_does_not_touch_the_protocol(process: PeerProcess) -> None:
    quiet, loud = ask(process, ""), ask(process, "NOISE")
    assert quiet["texts"] == loud["texts"] == ["one two three four five six"]
    assert quiet["seconds"] >= 0
    assert process.alive


def test_a_peer_that_raises_says_so_and_goes_on(process: PeerProcess) -> None:
    with pytest.raises(PeerFailure, match="ValueError: it broke"):
        ask(process, "RAISE")
    assert ask(process, "")["texts"]


def test_connections_are_refused(process: PeerProcess) -> None:
    with pytest.raises(PeerFailure, match="a benchmark refuses connections"):
        ask(process, "FETCH")


@pytest.mark.parametrize(
    ("query", "timeout", "said"),
    [
        ("EXIT", 60, "ended with status 7: said before the end"),
        ("HANG", 0.5, "gave no answer in time"),
        ("GARBAGE", 60, "not JSON"),
        ("LIST", 60, "not an object"),
        ("OTHER", 60, "was not asked"),
        ("VECTORS", 60, "vectors where there are none"),
    ],
)
def test_what_cannot_be_trusted_is_ended(process: PeerProcess, query: str, timeout: float, said: str) -> None:
    with pytest.raises(PeerFailure, match=said):
        ask(process, query, timeout)
    assert not process.alive


def test_vectors_are_given_to_a_peer_that_asks(process: PeerProcess) -> None:
    asked = list[list[str]]()

    def vectors(texts: list[str]) -> list[list[float]]:
        asked.append(texts)
        return [[1.0, 0.5]] * len(texts)

    answer = process.ask({"query": "VECTORS", "texts": ["a", "b\ud800"], "level": 1}, 60, vectors)
    assert answer["texts"] == ["2"]
    assert asked == [["a", "b\ud800"]]


def test_a_request_that_is_not_read_is_given_up(tmp_path: Path) -> None:
    deaf = tmp_path / "deaf.py"
    deaf.write_text("import time\ntime.sleep(600)\n", encoding="utf-8")
    process = PeerProcess(PYTHON, deaf)
    with pytest.raises(PeerFailure, match=r"does not read|no answer in time"):
        # The worker sleeps while it is loaded; then nobody reads what is more than a pipe holds.
        process.ask({**LOAD, "more": "x" * 4_000_000}, 0.5)
    assert not process.alive


def test_the_environment_is_not_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    shown = tmp_path / "shown.py"
    shown.write_text(
        "import os, sys\n"
        "def load(method, options, host):\n"
        "    return lambda r: {'env': dict(os.environ), 'path': sys.path, 'cwd': os.getcwd(), 'hash': hash('a')}\n",
        encoding="utf-8",
    )
    seen = list[dict[str, Any]]()
    for _ in range(2):
        process = PeerProcess(PYTHON, shown)
        process.ask(LOAD, 60)
        seen.append(process.ask({}, 60))
        process.close()
        assert not Path(seen[-1]["cwd"]).exists()
    environment = seen[0]["env"]
    assert not {"SOME_API_KEY", "PYTHONPATH", "HTTPS_PROXY"} & set(environment)
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["HOME"] == seen[0]["cwd"] != os.getcwd()
    assert not any(p in ("", str(tmp_path)) or p.endswith("workers") for p in seen[0]["path"])
    assert seen[0]["hash"] == seen[1]["hash"]  # the same bytes twice


def test_an_interpreter_that_cannot_be_run(worker: Path, tmp_path: Path) -> None:
    with pytest.raises(PeerFailure, match="cannot be run"):
        PeerProcess(tmp_path / "python", worker)


def test_a_model_that_does_not_load_is_the_answer(worker: Path) -> None:
    process = PeerProcess(PYTHON, worker)
    with pytest.raises(PeerFailure, match="no such model"):
        process.ask({**LOAD, "options": {"model": "m"}}, 60)
    process.close()
    process.close()
