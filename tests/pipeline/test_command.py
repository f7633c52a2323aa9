from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from ctxshrink.distill import Distillate
from ctxshrink.distill.extractive import ExtractiveDistiller
from ctxshrink.pipeline import command
from ctxshrink.store import Store

from .halver import Halver

app = typer.Typer()
app.command()(command.distill)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for i in range(5):
        (folder / f"{i}.txt").write_text(f"document {i} says this and that, and a few more words than it needs")
    (folder / "picture.png").write_bytes(b"x")
    return folder


@pytest.fixture
def halver(monkeypatch: pytest.MonkeyPatch) -> Halver:
    halver = Halver()
    monkeypatch.setattr(command, "_distiller", lambda *_: halver)
    return halver


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_folder_goes_into_a_store_once(corpus: Path, tmp_path: Path, halver: Halver) -> None:
    url, out = f"sqlite:///{tmp_path}/store.db", tmp_path / "report.json"
    first = call(corpus, "--store", url, "--keep", "0.5", "--json", out)
    assert first.exit_code == 0, first.output
    assert "unknown type .png" in first.output
    report = json.loads(out.read_text())["report"]
    assert (report["documents"], report["distilled"], report["skipped"]) == (5, 5, {"unknown type .png": 1})
    assert report["problems"][0]["uri"].endswith("picture.png")
    again = call(corpus, "--store", url, "--keep", "0.5", "--json", out)
    assert again.exit_code == 0
    assert json.loads(out.read_text())["report"]["unchanged"] == 5
    assert len(halver.given) == 5
    with Store(url) as store:
        assert store.stats().derived == 5


def test_a_dry_run_makes_no_store(corpus: Path, tmp_path: Path, halver: Halver) -> None:
    result = call(corpus, "--store", f"sqlite:///{tmp_path}/store.db", "--keep", "0.5", "--dry-run")
    assert result.exit_code == 0
    assert "to distill" in result.output
    assert "does not exist yet" in result.output
    assert not (tmp_path / "store.db").exists()
    assert not halver.given


def test_a_dry_run_on_a_store_tells_what_is_new(corpus: Path, tmp_path: Path, halver: Halver) -> None:
    url, out = f"sqlite:///{tmp_path}/store.db", tmp_path / "report.json"
    call(corpus, "--store", url, "--keep", "0.5")
    (corpus / "new.txt").write_text("a new one")
    assert call(corpus, "--store", url, "--keep", "0.5", "--dry-run", "--json", out).exit_code == 0
    report = json.loads(out.read_text())["report"]
    assert (report["unchanged"], report["pending"]) == (5, 1)


def test_documents_that_failed_give_exit_code_1(corpus: Path, tmp_path: Path, halver: Halver) -> None:
    halver.poison = "document 3"
    result = call(corpus, "--store", f"sqlite:///{tmp_path}/store.db", "--keep", "0.5")
    assert result.exit_code == 1
    assert "3.txt: failed" in result.output
    assert "there is poison in it" in result.output


def test_an_interrupted_run_tells_what_it_did(
    corpus: Path, tmp_path: Path, halver: Halver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tired(sources):
        raise KeyboardInterrupt

    monkeypatch.setattr(halver, "distill", tired)
    result = call(corpus, "--store", f"sqlite:///{tmp_path}/store.db", "--keep", "0.5")
    assert result.exit_code == 130
    assert "stopped: interrupted" in result.output


def test_a_store_that_fails_ends_with_report_and_error(
    corpus: Path, tmp_path: Path, halver: Halver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ctxshrink.errors import StoreError

    calls = 0
    put = Store.put

    def failing(self, *args, **kwargs):
        nonlocal calls
        calls += 1
        if calls > 2:
            raise StoreError("could not write to the store: database or disk is full")
        return put(self, *args, **kwargs)

    monkeypatch.setattr(Store, "put", failing)
    out = tmp_path / "r.json"
    result = call(corpus, "--store", f"sqlite:///{tmp_path}/s.db", "--keep", "0.5", "--batch", 2, "--json", out)
    assert result.exit_code == 2
    assert "error: could not write to the store" in result.output
    assert json.loads(out.read_text())["report"]["distilled"] == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give --keep R"),
        (["--keep", "1.5"], "--keep"),
        (["--keep", "0"], "--keep"),
        (["--keep", "0.5", "--llm", "http://localhost:1/v1", "--model", "m"], "give --facts"),
        (["--facts", "--llm", "http://localhost:1/v1"], "--model"),
        (["--facts", "--model", "m"], "--llm"),
        (["--keep", "0.5", "--api-key-file", "key"], "are for --llm"),
        (["--facts", "--llm", "http://localhost:1/v1", "--model", "m", "--api-key-file", "no/key"], "cannot be read"),
        (["--facts", "--max-calls", "5"], "are for --llm"),
        (["--facts", "--llm", "http://localhost:1/v1", "--model", "m", "--requests-per-minute", "0"], "per_minute"),
        (["--facts", "--llm", "nowhere", "--model", "m"], "http"),
        (
            ["--facts", "--llm", "http://localhost:1", "--model", "m", "--max-calls", "3", "--workers", "4"],
            "--max-calls 3 leaves no request to each of 4 workers",
        ),
        (["--keep", "0.5", "--json", "no/such/folder/out.json"], "no such folder"),
        (["--keep", "0.5", "--json", "."], "is a folder"),
        (["--keep", "0.5", "--namespace", ""], "namespace"),
    ],
)
def test_wrong_options_are_one_line(corpus: Path, tmp_path: Path, options: list[str], message: str) -> None:
    result = call(corpus, "--store", f"sqlite:///{tmp_path}/store.db", *options)
    assert result.exit_code == 2, result.output
    [line] = result.output.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize("url", ["store.db", "nosuchdatabase://x/y", "sqlite:////no/such/folder/store.db"])
def test_a_wrong_store_is_one_line(corpus: Path, url: str) -> None:
    result = call(corpus, "--store", url, "--keep", "0.5")
    assert result.exit_code == 2
    assert "store" in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    result = call(tmp_path / "nowhere", "--store", "sqlite://", "--keep", "0.5")
    assert result.exit_code == 2
    assert "no such file or folder" in result.output


def test_facts_without_a_model_run_the_embedded_distiller_and_say_so(corpus: Path, tmp_path: Path) -> None:
    result = call(corpus, "--store", f"sqlite:///{tmp_path}/store.db", "--facts")
    assert result.exit_code == 0
    assert "no language model is asked; the embedded distiller keeps 0.5" in result.output
    made = command._distiller(None, True, None, None, None, None, None)
    assert isinstance(made, ExtractiveDistiller)
    assert made.keep == 0.5


class Endpoint(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that says nothing of use."""

    keys: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        self.keys.append(self.headers["Authorization"])
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = {
            "choices": [{"message": {"role": "assistant", "content": '{"facts": []}'}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 5},
        }
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_language_model_is_asked_with_the_key_and_its_cost_is_told(tmp_path: Path) -> None:
    text = " ".join(f"In {1900 + i} the crane at quay {i} lifted {i * 7} tonnes." for i in range(12))
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "key").write_text("sk-very-secret\n")
    out, url = tmp_path / "report.json", f"sqlite:///{tmp_path}/store.db"
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"http://127.0.0.1:{server.server_port}/v1"
        options = ["--facts", "--llm", host, "--model", "m", "--api-key-file", tmp_path / "key", "--max-calls", 9]
        result = call(tmp_path / "a.txt", "--store", url, *options, "--json", out)
        server.shutdown()
    assert result.exit_code == 0, result.output
    assert set(Endpoint.keys) == {"Bearer sk-very-secret"}
    report = json.loads(out.read_text())["report"]
    assert report["calls"] == len(Endpoint.keys)
    assert report["input_tokens"] == 100 * report["calls"]
    assert (report["distilled"], report["fallen_back"]) == (1, 1)
    assert "calls of the model" in result.output
    for said in (result.output, out.read_text()):
        assert "secret" not in said
        assert host not in said


def test_a_terminal_gets_a_progress_bar(
    corpus: Path, tmp_path: Path, halver: Halver, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()

    def terminal(*, stderr: bool = False) -> Console:
        return Console(file=out, force_terminal=stderr, width=100)

    monkeypatch.setattr(command, "console", terminal)
    assert call(corpus, "--store", f"sqlite:///{tmp_path}/store.db", "--keep", "0.5", "--batch", 1).exit_code == 0
    assert "5 documents" in out.getvalue()
    assert "100%" in out.getvalue()


def test_a_key_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(" sk-secret\n")
    assert command._key(file) == "sk-secret"
    file.write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        command._key(file)


def test_the_command_in_a_process_of_its_own(corpus: Path, tmp_path: Path) -> None:
    (corpus / "long.md").write_text(
        "\n\n".join(f"Sentence {i} tells what happened in year {1900 + i}." for i in range(60))
    )
    url = f"sqlite:///{tmp_path}/store.db"
    code = "import typer\nfrom ctxshrink.pipeline.command import distill\ntyper.run(distill)"
    done = subprocess.run(
        [sys.executable, "-c", code, corpus, "--store", url, "--keep", "0.4"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    with Store(url) as store:
        [row] = [r for r in store.derived() if r.uri.endswith("long.md")]
        assert isinstance(row.distillate, Distillate)
        assert row.distillate.tokens_after <= row.distillate.tokens_before
        assert store.load(row.original) == (corpus / "long.md").read_text()
