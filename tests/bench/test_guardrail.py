from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ctxshrink.bench.guardrail import ATTACKED, Subject, load, measure, steps, summarize
from ctxshrink.cli import app
from ctxshrink.guardrails import SHIPPED, load_detector
from ctxshrink.testing import FakeScorer

from .test_command import CHAT, RAG, TOOLS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for task, name, rows in (
        ("rag", "pumps", RAG),
        ("rag", "halls", RAG[:2]),
        ("chat", "talk", CHAT),
        ("tools", "log", TOOLS),
    ):
        (tmp_path / task).mkdir(exist_ok=True)
        text = "".join(json.dumps(r) + "\n" for r in rows)
        (tmp_path / task / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def test_every_part_runs_and_reports(data: Path) -> None:
    out = data / "out.json"
    arguments = ["bench", "guardrail", "--data", str(data), "--split", "all", "--limit", "2", "--json", str(out)]
    done = CliRunner().invoke(app, arguments, env={"NO_COLOR": "1"})
    assert done.exit_code == 0, done.output
    for words in ("detector, segments", "detector, whole outputs", "each feature alone", "share of the losses missed"):
        assert words in done.stdout
    for words in ("product", "without: missed", "adversaries", "identity", "cost", "pairs scored"):
        assert words in done.stdout
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["settings"]["records"] == {"rag/halls": 2, "rag/pumps": 2, "chat/talk": 1, "tools/log": 1}
    assert report["settings"]["max_miss_rate"] == 0.02
    detector = {(r["source"], r["level"]): r for r in report["detector"]}
    assert {s for s, _ in detector} == {*report["settings"]["records"], "rag", "all"}
    assert detector["all", "output"]["rows"] == sum(
        detector[s, "output"]["rows"] for s in report["settings"]["records"]
    )
    assert {"share kept", "words kept", "query words kept", "perplexity"} <= set(detector["all", "segment"]["alone"])
    assert "cosine" not in detector["all", "segment"]["alone"]
    assert {p["mode"] for p in report["curve"]} <= {"query", "blind", "all"}
    product = {(r["source"], r["keep"], r["guarded"]): r for r in report["product"]}
    assert len(product) == 5 * 3 * 2
    for keep in (0.5, 0.25, 0.1):
        assert product["all", keep, True]["at_risk"] == product["all", keep, False]["at_risk"] > 0
        assert product["all", keep, True]["lost"] <= product["all", keep, False]["lost"]
    harmless = {r["change"]: r["share"] for r in report["attacks"] if not r["harmful"] and r["task"] == "all"}
    assert harmless["identity"] == harmless["white space"] == 1.0
    assert [r["task"] for r in report["cost"]] == ["rag", "chat", "tools"]


def test_two_runs_agree_but_for_the_clock(data: Path) -> None:
    sources = load(data, split="all", limit=1)
    reports: list[Any] = []
    for _ in range(2):
        count: list[str] = []
        found = measure(sources, Subject(0.02, None), FakeScorer(), step=count.append)
        assert len(count) == steps(sources)
        reports.append({k: rows for k, rows in summarize(found).items() if k != "cost"})
    assert repr(reports[0]) == repr(reports[1])
    assert ATTACKED >= 1


def test_the_encoder_adds_the_cosine(data: Path, encoder_folder: Path) -> None:
    arguments = ["bench", "guardrail", "--data", str(data), "--split", "all", "--limit", "1"]
    out = data / "out.json"
    done = CliRunner().invoke(app, [*arguments, "--encoder", str(encoder_folder), "--json", str(out)])
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text(encoding="utf-8"))
    assert "cosine" in report["detector"][-1]["alone"]
    assert report["settings"]["encoder"] == encoder_folder.name


def test_a_folder_without_the_tasks_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "guardrail", "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert "none of the folders rag, chat, tools" in " ".join(done.stderr.split())


def test_each_source_gets_its_own_detector(data: Path) -> None:
    sources = load(data, split="all", limit=1)
    for source in sources:
        (data / "fits" / source.name).mkdir(parents=True)
        shutil.copy(SHIPPED, data / "fits" / source.name)
    subject = Subject(0.05, data / "fits")
    subject.check(sources)
    guardrail = subject.guardrail("rag/halls", FakeScorer())
    assert guardrail.detector is load_detector(data / "fits" / "rag" / "halls")
    assert guardrail.detector is not load_detector()
    assert guardrail.max_miss_rate == 0.05


def test_every_source_needs_its_detector(data: Path) -> None:
    (data / "fits" / "rag" / "halls").mkdir(parents=True)
    (data / "fits" / "rag" / "halls" / "config.json").write_text("{}", encoding="utf-8")
    arguments = ["bench", "guardrail", "--data", str(data), "--split", "all", "--detectors", str(data / "fits")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "no config.json for rag/pumps, chat/talk, tools/log" in " ".join(done.stderr.split())
