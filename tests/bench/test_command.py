from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ctxshrink.bench.encoder import SentenceEncoder
from ctxshrink.cli import app

FILLER = [
    "The hall was painted in a light grey.",
    "Visitors like the view from the roof.",
    "The canteen serves soup on Fridays.",
    "Many colleagues come by bicycle in summer.",
    "The gate is opened early in the morning.",
    "Deliveries arrive at the back entrance.",
]


def prose(fact: str, start: int) -> str:
    rest = [FILLER[(start + i) % len(FILLER)] for i in range(5)]
    return " ".join([*rest[:3], fact, *rest[3:]])


RAG: list[dict[str, Any]] = [
    {
        "id": f"r{i}",
        "query": f"When was the pump in hall {i} replaced?",
        "docs": [
            {"text": prose(f"The pump in hall {i} was replaced on {i + 1} May 2023.", i), "title": "Pumps"},
            {"text": prose("A valve was ordered in Turin.", i + 2)},
        ],
        "answers": [f"{i + 1} May 2023"],
        "supporting_sentences": [f"The pump in hall {i} was replaced on {i + 1} May 2023."],
        "lang": "de" if i == 3 else "en",
    }
    for i in range(4)
]
CHAT: list[dict[str, Any]] = [
    {
        "id": "c",
        "messages": [
            {"role": "system", "content": "Never promise a date."},
            {"role": "user", "content": prose("The deadline is 7 June 2024.", 0)},
            {"role": "assistant", "content": None, "tool_calls": [_call]},
            {"role": "tool", "tool_call_id": "t1", "content": prose("Order 48213 is late.", 1)},
            *({"role": r, "content": prose("Fine.", i)} for i in range(3) for r in ("assistant", "user")),
        ],
        "probes": [
            {"answers": ["7 June 2024"], "evidence_message_idx": [1], "in_recent4": False},
            {"answers": ["Order 48213"], "evidence_message_idx": [3], "in_recent4": True},
            {"answers": ["It is late"], "evidence_message_idx": [3], "extractive": False},
        ],
    }
    for _call in [{"id": "t1", "type": "function", "function": {"name": "find", "arguments": '{"order": 48213}'}}]
]
TOOLS: list[dict[str, Any]] = [
    {
        "id": "t",
        "query": "Which batch failed?",
        "content": "\n".join(
            f"2024-05-01 10:{i:02d}:00 " + ("ERROR batch 17 failed" if i == 17 else f"INFO batch {i} copied")
            for i in range(40)
        ),
        "needles": [{"answers": ["batch 17 failed"]}],
    }
]
METHODS = "ctxshrink,bm25,lead,random,truncate"


def bench(tmp_path: Path, task: str, rows: list[dict[str, Any]], *more: str) -> tuple[Result, dict[str, Any]]:
    (tmp_path / "tiny.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    out = tmp_path / "out.json"
    arguments = ["bench", task, "--data", str(tmp_path / "tiny.jsonl"), "--json", str(out), *more]
    done = CliRunner().invoke(app, arguments, env={"NO_COLOR": "1"})
    assert done.exit_code == 0, done.output
    return done, json.loads(out.read_text(encoding="utf-8"))


def test_rag(tmp_path: Path) -> None:
    done, report = bench(tmp_path, "rag", RAG, "--keep", "0.5,0.2")
    for word in ("keep 0.5", "keep 0.2", "tiny", "truncate", "over budget", "guardrail", "AUROC"):
        assert word in done.stdout, word
    assert report["settings"]["methods"] == METHODS.split(",")
    assert report["environment"]["python"]
    methods = {(m["method"], m["keep"]): m for m in report["methods"]}
    assert len(methods) == 10
    for (name, keep), row in methods.items():
        assert row["over_budget"] == 0
        assert 0 < row["kept"] <= keep, name
        assert row["records"] == 4
    assert methods["bm25", 0.5]["all_sets"] == 1.0  # the query names the pump and its hall
    assert methods["truncate", 0.2]["all_sets"] == 0.0  # the last fifth of the text never holds the answer
    assert report["sets"][0]["scored_by"] == ["answers"]
    judged = report["guardrail"][-1]
    assert judged["calls"] == 8
    assert judged["accepted"] + judged["rejected"] > 0


def test_rag_is_repeatable_but_for_the_clock(tmp_path: Path) -> None:
    reports = [bench(tmp_path, "rag", RAG, "--keep", "0.3", "--no-guardrail", "--limit", "3")[1] for _ in range(2)]
    for report in reports:
        for row in [*report["sets"], *report["methods"]]:
            del row["tokens_per_second"]
            row.pop("seconds_per_record", None)
    assert reports[0] == reports[1]
    assert reports[0]["guardrail"] == []


def test_rag_with_an_encoder(tmp_path: Path, encoder_folder: Path) -> None:
    pytest.importorskip("llama_index.core")
    names = "minilm,hybrid,chunks,sentence-optimizer"
    more = ["--encoder", str(encoder_folder), "--methods", f"bm25,{names}", "--keep", "0.5,0.2", "--limit", "3"]
    done, report = bench(tmp_path, "rag", [{**r, "source": "musique"} for r in RAG], *more)
    assert "lost vs best baseline" in done.stdout
    assert report["settings"]["encoder"] == encoder_folder.name
    assert report["sets"][0]["scored_by"] == ["all support"]
    assert [m["method"] for m in report["methods"][:5]] == ["bm25", *names.split(",")]
    for row in report["methods"]:
        assert (row["failed"], row["over_budget"], row["records"]) == (0, 0, 3), row["method"]
        assert row["kept"] > 0 or row["method"] == "sentence-optimizer", row["method"]
        assert row["seconds_per_record"] > 0
    assert [s["keep"] for s in report["standings"]] == [0.5, 0.2]
    assert {s["set_name"] for s in report["set_standings"]} == {"tiny"}


def test_a_method_that_fails_on_the_simplest_text_stops_the_run(
    tmp_path: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("weights are gone")

    monkeypatch.setattr(SentenceEncoder, "cosine", broken)
    (tmp_path / "tiny.jsonl").write_text(json.dumps(RAG[0]) + "\n", encoding="utf-8")
    arguments = ["bench", "rag", "--data", str(tmp_path), "--methods", "minilm", "--encoder", str(encoder_folder)]
    done = CliRunner().invoke(app, arguments, env={"NO_COLOR": "1"})
    assert done.exit_code == 2
    assert "--methods minilm: minilm failed: OSError: weights are gone" in done.stderr


def test_chat(tmp_path: Path) -> None:
    done, report = bench(tmp_path, "chat", CHAT, "--keep", "0.5", "--no-guardrail")
    assert "locked changed" in done.stdout
    for row in report["methods"]:
        assert (row["broken"], row["over_budget"]) == (0, 0), row["method"]
    assert [m["method"] for m in report["methods"]] == ["ctxshrink", "lead", "idf", "random", "truncate"]
    assert report["standings"][0]["baseline"] in ("lead", "idf", "random", "truncate")
    ours = report["sets"][0]
    assert set(ours["scores"]) == {"probes", "older", "evidence"}
    assert ours["scored_by"] == ["probes"]
    assert ours["kept"] <= 0.5 < ours["kept_of_all"]


def test_tools(tmp_path: Path) -> None:
    _, report = bench(tmp_path, "tools", TOOLS, "--keep", "0.25", "--methods", "bm25,truncate", "--no-guardrail")
    assert [m["method"] for m in report["methods"]] == ["bm25", "truncate"]
    assert report["methods"][0]["all_sets"] == 1.0
    assert report["methods"][1]["all_sets"] == 0.0


def test_speed(tmp_path: Path) -> None:
    out = tmp_path / "s.json"
    arguments = ["bench", "speed", "--lengths", "0.5k,1k", "--no-guardrail", "--shape", "both", "--json", str(out)]
    done = CliRunner().invoke(app, arguments, env={"NO_COLOR": "1"})
    assert done.exit_code == 0, done.output
    assert "tokens/s" in done.stdout
    timings = json.loads(out.read_text(encoding="utf-8"))["timings"]
    assert [t["shape"] for t in timings] == ["chunks", "text"] * 2
    assert 500 <= timings[0]["tokens"] < timings[2]["tokens"] < 1600
    assert all(t["kept"] <= 0.51 for t in timings)


def test_chat_has_no_question_to_rank_by(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "chat", "--data", str(tmp_path), "--methods", "idf,hybrid"])
    assert done.exit_code == 2
    assert "hybrid: ranks by the question, which is unseen here" in " ".join(done.stderr.split())


@pytest.mark.parametrize("lengths", ["inf", "1k,-3", "0.5"])
def test_lengths_are_finite_and_positive(lengths: str) -> None:
    done = CliRunner().invoke(app, ["bench", "speed", "--lengths", lengths])
    assert done.exit_code == 2
    assert "--lengths must be 1 or more tokens" in " ".join(done.stderr.split())


def test_peers_need_an_encoder() -> None:
    done = CliRunner().invoke(app, ["bench", "speed", "--peers"])
    assert done.exit_code == 2
    assert "--peers: give --encoder the folder" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--data", "none.jsonl"], "no such file"),
        (["--keep", "0.5,x"], "--keep must be numbers separated by commas; got '0.5,x'"),
        (["--keep", "2"], "--keep must be a number in (0, 1]"),
        (["--keep", ","], "--keep must hold at least one number"),
        (
            ["--methods", "magic"],
            "--methods must name some of ctxshrink, lossless, ",
        ),
        (["--methods", "bm25,minilm"], "minilm: give --encoder the folder of a sentence encoder"),
        (["--methods", "chunks", "--encoder", "none"], "--encoder none: no config.json there"),
        (["--json", "no/such/folder.json", "--data", "none.jsonl"], "--json no/such/folder.json: no such folder"),
    ],
)
def test_wrong_settings(tmp_path: Path, arguments: list[str], says: str) -> None:
    file = tmp_path / "tiny.jsonl"
    file.write_text(json.dumps(RAG[0]) + "\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["bench", "rag", "--data", str(file), *arguments], env={"NO_COLOR": "1"})
    assert done.exit_code == 2
    assert says in done.stderr
    assert "Traceback" not in done.output


def test_bad_lines_stop_the_run(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text('{"id": "a", "query": "q"}\n', encoding="utf-8")
    done = CliRunner().invoke(app, ["bench", "rag", "--data", str(file)])
    assert done.exit_code == 2
    assert 'own.jsonl:1: the field "docs" is missing' in " ".join(done.stderr.split())
