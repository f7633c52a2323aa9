from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ctxshrink._report import WHY, shorten
from ctxshrink.cli import app

TEXT = (
    "The pump in hall 7 was replaced on 4 May 2023. It had been running since the opening of the plant. "
    "The new one cost 1,840 euros and came from a supplier in Turin. Visitors like the view from the roof. "
    "The canteen serves soup on Fridays. Many colleagues come by bicycle in summer."
)
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "You are the assistant of a plant."},
    *(
        {"role": role, "content": f"{TEXT} This is part {i} of the story, told by the {role}."}
        for i in range(5)
        for role in ("user", "assistant")
    ),
    {"role": "user", "content": "When was the pump replaced?"},
]


def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin, env={"COLUMNS": "160", "NO_COLOR": "1"})


def save(path: Path, value: Any) -> str:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return str(path)


def test_shrink_text_from_a_file(tmp_path: Path) -> None:
    done = run("shrink", save(tmp_path / "a.txt", TEXT), "--query", "What did the pump cost?", "--max-tokens", "60")
    assert done.exit_code == 0, done.output
    assert "1,840 euros" in done.stdout
    assert len(done.stdout) < len(TEXT)
    assert "tokens" in done.stderr
    assert "estimate" in done.stderr


def test_shrink_stdin_is_byte_exact_when_everything_is_kept() -> None:
    text = "One line.\r\n\r\n  Another —\twith a tab; no newline at the end"
    done = run("shrink", "-", "--keep", "1", "--no-guardrail", stdin=text.encode())
    assert done.exit_code == 0, done.output
    assert done.stdout_bytes == text.encode()


def test_shrink_max_tokens_is_met() -> None:
    done = run("shrink", "-", "--max-tokens", "30", "--json", "--no-guardrail", stdin=TEXT)
    report = json.loads(done.stdout)
    assert 0 < report["tokens_after"] <= 30
    assert report["output"] != TEXT
    assert report["goal"] == {"keep": None, "max_tokens": 30, "lossless": False}


@pytest.mark.parametrize("wrapped", [False, True])
def test_shrink_messages(tmp_path: Path, wrapped: bool) -> None:
    given: Any = {"model": "m", "messages": MESSAGES} if wrapped else MESSAGES
    done = run("shrink", save(tmp_path / "m.json", given), "--keep", "0.4", "--no-guardrail")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    if wrapped:
        assert made["model"] == "m"
        made = made["messages"]
    assert [m["role"] for m in made] == [m["role"] for m in MESSAGES]
    assert made[0] == MESSAGES[0]
    assert made[-4:] == MESSAGES[-4:]
    assert len(json.dumps(made)) < len(json.dumps(MESSAGES))


def test_shrink_documents_and_json_report(tmp_path: Path) -> None:
    docs = [{"text": TEXT, "source": "a"}, {"text": "The canteen serves soup on Fridays, and fish on Mondays.", "n": 2}]
    file = save(tmp_path / "d.json", docs)
    done = run("shrink", file, "--query", "When was the pump replaced?", "--keep", "0.4", "--json", "--no-guardrail")
    report = json.loads(done.stdout)
    assert [d.get("source") for d in report["output"]] == ["a", None]
    assert "4 May 2023" in report["output"][0]["text"]
    assert [d["before"] for d in report["decisions"]] == [d["text"] for d in docs]


def test_json_that_is_neither_is_text(tmp_path: Path) -> None:
    for value in ("[]", '{"a": 1}', "[1, 2]", "[broken"):
        done = run("shrink", save(tmp_path / "x.json", value), "--keep", "1", "--no-guardrail")
        assert done.exit_code == 0
        assert done.stdout == value
    strings = save(tmp_path / "s.json", '["a", "b"]')
    assert run("shrink", strings, "--keep", "1", "--as", "text", "--no-guardrail").stdout == '["a", "b"]'
    assert json.loads(run("shrink", strings, "--keep", "1", "--no-guardrail").stdout) == ["a", "b"]


def test_a_byte_order_mark_before_json_is_no_text(tmp_path: Path) -> None:
    marked = save(tmp_path / "m.json", "\ufeff" + json.dumps(MESSAGES))
    done = run("shrink", marked, "--keep", "0.4", "--no-guardrail")
    assert done.exit_code == 0, done.output
    assert [m["role"] for m in json.loads(done.stdout)] == [m["role"] for m in MESSAGES]
    assert run("shrink", "-", "--keep", "1", "--no-guardrail", stdin="\ufeffa word").stdout == "\ufeffa word"


def test_shrink_with_a_policy_file(tmp_path: Path) -> None:
    file = save(tmp_path / "ctxshrink.toml", "version = 1\n[policy]\nkeep = 0.4\n[guardrail]\nmax_miss_rate = 0.999\n")
    text, query = save(tmp_path / "a.txt", TEXT), "When was the pump replaced?"
    done = run("shrink", text, "--config", file, "--query", query, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["tokens_after"] <= 0.4 * report["tokens_before"]
    assert "4 May 2023" in report["output"]
    whole = save(tmp_path / "whole.toml", "version = 1\n[policy]\nkeep = 1.0\n")
    assert run("shrink", text, "--config", whole, "--query", query).stdout == TEXT


@pytest.mark.parametrize("conflict", ["--lossless", "--no-guardrail"])
def test_a_policy_file_names_the_policy_and_the_guardrail(tmp_path: Path, conflict: str) -> None:
    done = run("shrink", "-", "--config", save(tmp_path / "p.toml", "version = 1\n"), conflict, stdin=TEXT)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: --config names the policy and the guardrail")


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "p.toml"), ("version = 99\n", "99"), ("version = 1\n[policy]\nkepp = 0.5\n", "kepp")],
)
def test_a_policy_file_that_is_none_is_one_clean_line(tmp_path: Path, content: str | None, says: str) -> None:
    file = tmp_path / "p.toml"
    if content is not None:
        save(file, content)
    done = run("shrink", "-", "--config", str(file), stdin=TEXT)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (["no-such-file"], None, "no-such-file: cannot be read: No such file"),
        (["-", "--keep", "0"], "a b", "keep must be a number in (0, 1]"),
        (["-", "--keep", "1.5"], "a b", "keep must be a number in (0, 1]"),
        (["-", "--max-tokens", "-1"], "a b", "max_tokens must be a whole number"),
        (["-", "--keep", "0.5", "--max-tokens", "3"], "a b", "give keep or max_tokens, not both"),
        (["-", "--counter", "no such counter"], "a b", "counter"),
        (["-"], b"caf\xe9", "-: not UTF-8 text (byte 3)"),
        (["-", "--as", "messages"], "plain text", "--as messages: the input is not JSON"),
        (["-", "--as", "messages"], '[{"content": "x"}]', "message 0 has no role"),
        (["-", "--as", "documents"], '[{"body": "x"}]', "document 0 has no text"),
        (["-", "--as", "messages"], '"hello"', "messages must be a list"),
    ],
)
def test_bad_input_is_one_clean_line_and_exit_code_2(arguments: list[str], stdin: Any, says: str) -> None:
    done = run("shrink", *arguments, stdin=stdin)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_demo_shows_tables_a_fallback_and_an_honest_summary() -> None:
    done = run("demo")
    assert done.exit_code == 0, done.output
    for word in ("locked", "compressed", "fallback:", "tool result", "gross", "an estimate"):
        assert word in done.stdout, word


def test_demo_is_repeatable_and_keeps_what_it_promises() -> None:
    from ctxshrink.demo import load, shrink_chunks, shrink_conversation

    chat, messages = shrink_conversation(), load("conversation")["messages"]
    assert chat.output[0] == messages[0]
    assert chat.output[-1] == messages[-1]
    assert chat.tokens_after < chat.tokens_before
    everything = " ".join(d.text for d in chat.decisions)
    for fact in ("03:15 UTC", "Friday 13 March, 18:00 UTC", "ledger_entries"):
        assert fact in everything, fact
    chunks = shrink_chunks()
    assert chunks.output == shrink_chunks().output
    text = " ".join(d["text"] for d in chunks.output)
    assert "180 days" in text
    assert "data protection officer" in text
    assert len(chat.fallbacks) + len(chunks.fallbacks) > 0


def test_doctor_reports_and_is_healthy() -> None:
    done = run("doctor")
    assert done.exit_code == 0, done.output
    for word in ("numpy", "onnxruntime", "tiktoken", "opentelemetry-api", "extractive", "guardrail", "self-test"):
        assert word in done.stdout, word


def test_doctor_exits_with_1_when_the_self_test_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from ctxshrink import Shrinker

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no disk")

    monkeypatch.setattr(Shrinker, "shrink_text", broken)
    done = run("doctor")
    assert done.exit_code == 1
    assert "no disk" in done.stdout


def test_train_reports_a_missing_recipe(tmp_path: Path) -> None:
    done = run("train", "scorer", "--config", str(tmp_path / "none.toml"))
    assert done.exit_code == 2
    assert "none.toml" in done.stderr


def test_train_without_torch_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    recipe = save(tmp_path / "r.toml", f'work = "{tmp_path}/w"\n[train]\ntokens = 1\n[data]\nroot = "{tmp_path}"\n')
    done = run("train", "scorer", "--config", recipe)
    assert done.exit_code == 2
    assert 'pip install "ctxshrink[train]"' in done.stderr


def test_version_and_help() -> None:
    assert run("--version").stdout.startswith("ctxshrink ")
    for command in (
        [],
        ["shrink"],
        ["demo"],
        ["doctor"],
        ["bench"],
        ["bench", "rag"],
        ["bench", "speed"],
        ["bench", "guardrail"],
        ["calibrate"],
        ["estimate"],
        ["train", "scorer"],
        ["train", "guardrail"],
    ):
        done = run(*command, "--help")
        assert done.exit_code == 0
        assert "Usage" in done.stdout
    listed = run("--help").stdout
    assert all(f"{command} " in listed for command in ("shrink", "calibrate", "estimate", "bench", "train", "doctor"))


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, ctxshrink.cli; heavy = {'torch', 'transformers', 'onnxruntime', 'tokenizers', 'langchain_core', "
        "'llama_index'} & set(sys.modules); sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_long_reason_keeps_its_risk() -> None:
    said = f"pruner at keep 0.65; drops '{'The last inspection was in May. ' * 9}', number 39; risk 0.12 <= 0.30"
    short = shorten(said)
    assert len(short) <= WHY
    assert short.startswith("pruner at keep 0.65; drops 'The last")
    assert short.endswith("…; risk 0.12 <= 0.30")
    assert shorten("word " * 90).endswith("…")
    assert len(shorten(f"a; {'b' * 300}")) == WHY
