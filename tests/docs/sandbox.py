"""Runs what pages show: in a process of its own, in an empty folder, without a network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ctxshrink import MissingExtraError

from .pages import ROOT, Fence

_OFFLINE = """
import socket

def _refuse(*_, **__):
    raise OSError("no network in tests")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = _refuse
"""

_CHILD = """
import contextlib, io, json, sys, types

snippets, alone, out = json.load(open(sys.argv[1])), sys.argv[2] == "alone", sys.argv[3]
printed, module = [], None
for path, line, code in snippets:
    if alone or module is None:
        module = sys.modules["__main__"] = types.ModuleType("__main__")
    compiled = compile("\\n" * (line - 1) + code, path, "exec")
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        exec(compiled, module.__dict__)
    printed.append(stream.getvalue())
json.dump(printed, open(out, "w"))
"""


def environment(folder: Path) -> dict[str, str]:
    """Variables under which every Python process refuses sockets, and the commands of this environment are found."""
    site = folder / "site"
    site.mkdir(parents=True)
    (site / "sitecustomize.py").write_text(_OFFLINE, "utf-8")
    known = {**os.environ, "PYTHONPATH": str(site), "PYTHONUTF8": "1", "COLUMNS": "80", "NO_COLOR": "1"}
    return {**known, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run_python(fences: Sequence[Fence], folder: Path, *, alone: bool = False) -> list[str]:
    """Run snippets in order in one process.

    Args:
        fences: What to run. Tracebacks name the page and the line.
        folder: For files that the snippets write.
        alone: Each has a namespace of its own; else later ones see the names of earlier ones.

    Returns:
        What each printed.
    """
    env, work = environment(folder), folder / "work"
    work.mkdir()
    given, out, child = folder / "snippets.json", folder / "printed.json", folder / "child.py"
    given.write_text(json.dumps([[str(ROOT / f.page), f.line, f.text] for f in fences]), "utf-8")
    child.write_text(_CHILD, "utf-8")
    command = [sys.executable, str(child), str(given), "alone" if alone else "together", str(out)]
    done = subprocess.run(command, cwd=work, env=env, capture_output=True, text=True, timeout=600)
    _check(done.returncode, done.stderr)
    return json.loads(out.read_text("utf-8"))


def _check(status: int, said: str) -> None:
    """Raise where it failed: what is not installed by its name, so that the test is skipped where it may be missing."""
    if status and (module := re.search(r"^ModuleNotFoundError: No module named '([\w.]+)'", said, re.MULTILINE)):
        raise ModuleNotFoundError(said, name=module[1])
    if status and (extra := re.search(r"MissingExtraError: (.*) needs.*ctxshrink\[([\w-]+)\]", said)):
        raise MissingExtraError(extra[1], extra[2])
    assert status == 0, said


def run_shell(fences: Sequence[Fence], folder: Path) -> list[str]:
    """Run shell snippets in order in one folder; what each wrote to standard output."""
    env, work = environment(folder), folder / "work"
    work.mkdir()
    printed: list[str] = []
    for fence in fences:
        command = ["sh", "-euc", fence.text]
        done = subprocess.run(command, cwd=work, env=env, capture_output=True, text=True, timeout=600)
        _check(done.returncode, f"{fence.id}: {done.stdout}\n{done.stderr}")
        printed.append(done.stdout)
    return printed
