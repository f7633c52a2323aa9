"""Every example runs, without a network, and shows that something got smaller."""

import re
import runpy
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NEEDS = {
    "distilled_corpus": ("langchain_core", "sqlalchemy"),
    "kv_cache": ("torch", "transformers", "onnx"),
    "langchain_agent": ("langchain", "langchain_core"),
    "langchain_rag": ("langchain_core",),
    "llamaindex_agent": ("llama_index.core",),
    "llamaindex_query_engine": ("llama_index.core",),
}
SAYS = {
    "quickstart": "handbook-12",
    "openai_agent_loop": "answer: The cellar was at 11 degrees at 13:00",
    "distilled_corpus": "distilled 0, unchanged 3",
    "decorator": "the deposit is 250 euros",
    "observe": "6 reused strings would have been missed",
    "kv_cache": "from the file: ",
    "report": "30 calls in the report",
    "langchain_rag": "Smoke detectors must be tested every 6 months",
    "langchain_agent": "answer: web-2 could not reach db-1 at 09:41.",
    "llamaindex_agent": "The harbour depot has 31 free bays.",
    "llamaindex_query_engine": "The largest order that we deliver on the same day is 35 boxes.",
}


def test_every_example_has_its_expectation() -> None:
    assert {path.stem for path in EXAMPLES} == set(SAYS)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_runs_offline_and_saves_tokens(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for framework in NEEDS.get(path.stem, ()):
        pytest.importorskip(framework)

    def refuse(*_: Any) -> NoReturn:
        raise AssertionError(f"{path.name} opens a network connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    runpy.run_path(str(path), run_name="__main__")
    printed = capsys.readouterr().out
    assert SAYS[path.stem] in printed
    counts = [(int(before), int(after)) for before, after in re.findall(r"(\d+) +-> +(\d+) tokens", printed)]
    assert counts
    assert all(after <= before for before, after in counts)
    assert any(after < before for before, after in counts)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 95  # an agent needs a scripted model
