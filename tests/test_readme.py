"""Every Python snippet of the README runs, in a process of its own, without a network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
OFFLINE = "import socket\ndef _refuse(*_):\n    raise OSError('no network in tests')\nsocket.socket.connect = _refuse\n"


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) >= 5


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_snippet_runs(snippet: str) -> None:
    done = subprocess.run([sys.executable, "-c", OFFLINE + snippet], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
