"""`.ci/changelog`: a change of the packages comes with its line."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "changelog"

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, message: str, *changed: str) -> None:
    for name in changed:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(message, "utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "-m", message)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-b", "main")
    (tmp_path / ".ci").mkdir()
    shutil.copy(SCRIPT, tmp_path / ".ci" / "changelog")
    commit(tmp_path, "start", "CHANGELOG.md", "ctxshrink/a.py", "docs/a.md")
    git(tmp_path, "switch", "-c", "mine")
    return tmp_path


@pytest.mark.parametrize(
    ("message", "changed", "passes"),
    [
        ("code alone", ["ctxshrink/a.py"], False),
        ("a seat alone", ["integrations/x/a.py", "docs/a.md"], False),
        ("code with its line", ["ctxshrink/a.py", "CHANGELOG.md"], True),
        ("documents", ["docs/a.md"], True),
        ("code\n\nChangelog: none, a comment", ["ctxshrink/a.py"], True),
        ("code\n\nChangelog: none", ["ctxshrink/a.py"], False),
    ],
)
def test_changelog(repository: Path, message: str, changed: list[str], passes: bool) -> None:
    commit(repository, message, *changed)
    done = subprocess.run([".ci/changelog", "main"], cwd=repository, capture_output=True, text=True)
    assert (done.returncode == 0) == passes, done.stderr
    assert passes or changed[0] in done.stderr
