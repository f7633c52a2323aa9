"""Peers that were written for the tests: a worker file, or a package that only their interpreter can see."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ctxshrink import Shrinker
from ctxshrink.bench.methods import pooled_policy
from ctxshrink.bench.peer_methods import PeerSpec
from ctxshrink.compressors import get_compressor

WORKER = '''
import os, sys, time, urllib.request

def load(method, options, host):
    """Keeps the first words of each text; what it is told to do in the question, it does first."""
    if options["model"]:
        raise ValueError("no such model")

    def work(request):
        ask = request.get("query", "")
        if "RAISE" in ask:
            raise ValueError("it broke")
        if "EXIT" in ask:
            os.write(2, b"said before the end\\n")
            os._exit(7)
        if "HANG" in ask:
            time.sleep(600)
        if "GARBAGE" in ask:
            host._sink.write("not json\\n")
        if "OTHER" in ask:
            host.send({"id": -1})
        if "LIST" in ask:
            host._sink.write("[1]\\n")
        if "FETCH" in ask:
            urllib.request.urlopen("http://example.com", timeout=5)
        if "SHAPE" in ask:
            return {"texts": "one text"}
        if "VECTORS" in ask:
            return {"texts": [str(len(host.vectors(request["texts"])))]}
        if "NOISE" in ask:
            print("printed"); os.write(1, b"written\\n"); sys.stdout.flush()
            os.system("echo from a child")
            assert sys.stdin.read() == ""
        with host.clock:
            words = [t.split() for t in request.get("texts", [m["content"] for m in request.get("messages", [])])]
            # Keeps more than it is asked for, as some do.
            made = [" ".join(w[: round(min(1, 1.5 * request["level"]) * len(w))]) for w in words]
        setting = "rate={:.4g}".format(request["level"])
        if "messages" in request:
            return {"messages": [{"role": "user", "content": t} for t in made], "setting": setting}
        return {"texts": made, "setting": setting}

    return work
'''

PYTHON = Path(sys.executable)


def shrinker() -> Shrinker:
    return Shrinker(policy=pooled_policy(), compressors=[get_compressor("truncate")], guardrail=None)


def spec(worker: Path, *, steps: int = 6) -> PeerSpec:
    tasks = frozenset(("rag", "chat", "tools"))
    return PeerSpec(
        "first-words", "first", "first", str(worker), tasks, "first", "first words", ("pytest",), "rate", steps
    )


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("worker") / "first_words.py"
    file.write_text(WORKER, encoding="utf-8")
    return file


@pytest.fixture
def with_packages(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """An interpreter that sees packages which this one does not."""
    if sys.platform == "win32":
        pytest.skip("a shell script stands for an interpreter")

    def make(packages: Mapping[str, str]) -> Path:
        folder = tmp_path / "packages"
        for name, source in packages.items():
            file = folder / f"{name.replace('.', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source, encoding="utf-8")
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        return python

    return make
