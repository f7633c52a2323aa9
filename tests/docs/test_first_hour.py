"""A newcomer's first hour: the very commands of the page, in order, on the data that its snippet writes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from .pages import fences
from .sandbox import environment

PAGE = "docs/first-hour.md"
COMMANDS = [fence.text.strip() for fence in fences(PAGE, "sh")]
INSTALL, *STEPS = COMMANDS


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, subprocess.CompletedProcess[str]]:
    """What each command wrote, and the folder that they were run in."""
    folder = tmp_path_factory.mktemp("first-hour")
    env, work = environment(folder), folder / "work"
    work.mkdir()
    [data] = fences(PAGE, "python")
    subprocess.run(["python", "-c", data.text], cwd=work, env=env, check=True, timeout=120)
    done: dict[str, subprocess.CompletedProcess[str]] = {}
    for step in STEPS:
        command = ["sh", "-euc", f"{step}\npwd >&2"]  # the folder is the last line of what is told
        done[step] = subprocess.run(command, cwd=work, env=env, capture_output=True, text=True, timeout=300)
    return done


def told(hour: Mapping[str, subprocess.CompletedProcess[str]], part: str) -> subprocess.CompletedProcess[str]:
    [step] = [step for step in STEPS if part in step]
    return hour[step]


def test_it_is_five_commands() -> None:
    assert INSTALL == "pip install ."
    assert all("\n" not in step for step in STEPS)
    assert [step.split()[1] for step in STEPS] == ["shrink", "shrink", "calibrate", "shrink"]
    assert "| ctxshrink report - " in STEPS[-1]


@pytest.mark.parametrize("step", STEPS, ids=["compress", "guardrail", "calibrate", "report"])
def test_every_command_works(step: str, hour: Mapping[str, subprocess.CompletedProcess[str]]) -> None:
    assert hour[step].returncode == 0, hour[step].stderr


def test_the_document_gets_shorter_and_the_answer_stays(hour: Mapping[str, subprocess.CompletedProcess[str]]) -> None:
    done = told(hour, "--keep 0.3")
    before, after = tokens(done.stderr)
    assert after < before
    assert "The boiler of hall 10" in done.stdout
    assert "pruner at keep" in done.stderr
    assert re.search(r"risk 0\.\d\d <= 0\.\d\d", " ".join(done.stderr.split()))


def test_the_guardrail_says_what_it_holds_against_a_bound(
    hour: Mapping[str, subprocess.CompletedProcess[str]],
) -> None:
    done = told(hour, "--max-tokens 60")
    assert tokens(done.stderr)[1] <= 60
    assert "forced" in done.stderr
    assert re.search(r"warning: .*number \d+ in the ranking.*risk 0\.\d\d > 0\.\d\d", done.stderr)


def test_calibration_compares_three_ways_and_accepts_more(
    hour: Mapping[str, subprocess.CompletedProcess[str]],
) -> None:
    done = told(hour, "calibrate")
    assert "60 records" in done.stdout
    rows = {
        way: re.findall(rf"0\.25\s+{way}\s+(\S+)%.*?(\S+)% \d", done.stdout) for way in ("calibrated", "as shipped")
    }
    (lost, saved), (_, shipped) = rows["calibrated"][0], rows["as shipped"][0]
    assert float(lost) == 0
    assert float(saved) > 50 > float(shipped)


def test_the_report_is_a_page_with_the_question_and_every_chunk(
    hour: Mapping[str, subprocess.CompletedProcess[str]],
) -> None:
    done = told(hour, "report")
    folder = Path(done.stderr.strip().splitlines()[-1])
    page = (folder / "report.html").read_text("utf-8")
    chunks = json.loads((folder / "chunks.json").read_text("utf-8"))
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert all(chunk["text"].split(". ")[0] in page for chunk in chunks)


def tokens(report: str) -> tuple[int, int]:
    """Tokens before and after, of the last line of a report."""
    found = re.search(r"([\d,]+) → ([\d,]+) tokens:", report)
    assert found is not None
    return int(found[1].replace(",", "")), int(found[2].replace(",", ""))
