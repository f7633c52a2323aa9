"""What runs on the forge: parses, calls scripts that exist, may do no more than it needs, and is pinned."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

yaml: Any = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = sorted(path for path in (ROOT / ".ci").iterdir() if path.is_file() and path.suffix == "")
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in load(path)["jobs"].values() for step in job.get("steps", [])]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_scripts_that_can_be_run(path: Path) -> None:
    called = {name for step in steps(path) for name in re.findall(r"\.ci/[\w-]+", step.get("run", ""))}
    assert called
    assert called <= {f".ci/{script.name}" for script in SCRIPTS}


def test_every_script_is_called_by_a_workflow() -> None:
    texts = "".join(path.read_text("utf-8") for path in WORKFLOWS)
    assert [script.name for script in SCRIPTS if f".ci/{script.name}" not in texts] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound(path: Path) -> None:
    assert path.stat().st_mode & 0o111 == 0o111, f"chmod +x .ci/{path.name}"
    first, *_ = text = path.read_text("utf-8").splitlines()
    if first.endswith("bash"):
        assert "set -euo pipefail" in text
        subprocess.run(["bash", "-n", str(path)], check=True)
    else:
        compile("\n".join(text), path.name, "exec")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_paths_that_a_workflow_names_exist(path: Path) -> None:
    named = re.findall(
        r"(?:^|[\s'\"])((?:tests|docs|examples)/[\w./-]+|constraints\.txt|pyproject\.toml)", path.read_text("utf-8")
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_have_no_right_that_they_do_not_name(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"], name
        written = {right for right, level in job["permissions"].items() if level == "write"}
        assert written <= {"contents", "id-token", "attestations"}
        assert not written or path.name == "release.yml", name
        assert "uses" in job or job["timeout-minutes"] <= 45, name
    for step in steps(path):
        if "checkout@" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False
        assert "${{" not in step.get("run", "").replace("python${{ matrix.python }}", "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    lines = [line for line in path.read_text("utf-8").splitlines() if "uses:" in line and "uses: ./" not in line]
    assert lines
    assert [line for line in lines if not re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)] == []


def test_the_matrix_is_what_the_package_declares() -> None:
    declared = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert load(ROOT / ".github/workflows/ci.yml")["jobs"]["full"]["strategy"]["matrix"]["python"] == declared


def test_every_extra_is_tried_alone() -> None:
    project = (
        (ROOT / "pyproject.toml").read_text("utf-8").partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    )
    extras = set(re.findall(r"^([\w-]+) = \[", project, re.MULTILINE)) - {"all", "dev", "docs"}
    assert set(re.findall(r"^  \[([\w-]+)\]=", (ROOT / ".ci/extras").read_text("utf-8"), re.MULTILINE)) == extras


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms_are_complete(path: Path) -> None:
    form = load(path)
    if path.name == "config.yml":
        assert form == {"blank_issues_enabled": False}
        return
    assert form["name"]
    assert form["description"]
    kinds = {"markdown", "textarea", "input", "dropdown", "checkboxes"}
    ids = [element.get("id") for element in form["body"] if element["type"] != "markdown"]
    assert {element["type"] for element in form["body"]} <= kinds
    assert len(ids) == len(set(ids))
    assert None not in ids
    assert all(element["attributes"].get("label") for element in form["body"] if element["type"] != "markdown")
