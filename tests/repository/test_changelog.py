"""The version stands in one place, and the changelog follows it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEADING = re.compile(r"^## (\d+)\.(\d+)\.(\d+) \((unreleased|\d{4}-\d\d-\d\d)\)$")


def headings() -> list[str]:
    return [line for line in (ROOT / "CHANGELOG.md").read_text("utf-8").splitlines() if line.startswith("## ")]


def version() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]


def test_sections_are_versions_newest_first() -> None:
    found = [HEADING.match(line) for line in headings()]
    assert all(found), f"a section is `## X.Y.Z (unreleased)` or `## X.Y.Z (YYYY-MM-DD)`, not {headings()}"
    versions = [tuple(int(part) for part in match.groups()[:3]) for match in found if match]
    assert versions == sorted(set(versions), reverse=True)
    states = [match[4] for match in found if match]
    assert "unreleased" not in states[1:], "only the newest version may be unreleased"
    dates = [date.fromisoformat(state) for state in states if state != "unreleased"]
    assert dates == sorted(dates, reverse=True)


def test_the_newest_section_is_the_version_of_the_package() -> None:
    assert headings()[0].split()[1] == version()


def test_no_other_file_repeats_the_version() -> None:
    """`ctxshrink.__version__` is read from the installed metadata."""
    stated = re.compile(rf"""version["']?\s*[:=]+\s*["']{re.escape(version())}["']""")
    sources = [path for folder in ("ctxshrink", "integrations") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    assert [path.name for path in sources if stated.search(path.read_text("utf-8"))] == []


CHANGELOG = "# Changelog\n\n## 1.2.0 (2026-02-03)\n\n- New `thing`.\n\n## 1.1.0 (2026-01-02)\n\n- Old.\n"


def run_notes(folder: Path, tag: str, changelog: str = CHANGELOG) -> subprocess.CompletedProcess[str]:
    (folder / ".ci").mkdir()
    script = folder / ".ci" / "notes"
    script.write_text((ROOT / ".ci" / "notes").read_text("utf-8"), "utf-8")
    (folder / "CHANGELOG.md").write_text(changelog, "utf-8")
    (folder / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n', "utf-8")
    return subprocess.run([sys.executable, str(script), tag], capture_output=True, text=True)


@pytest.mark.parametrize("tag", ["v1.2.0", "1.2.0"])
def test_the_release_page_says_what_the_section_says(tmp_path: Path, tag: str) -> None:
    done = run_notes(tmp_path, tag)
    assert (done.returncode, done.stdout) == (0, "- New `thing`.\n")


@pytest.mark.parametrize(
    ("tag", "changelog", "said"),
    [
        ("v1.1.0", CHANGELOG, "pyproject.toml 1.2.0"),
        ("v1.2.0", CHANGELOG.replace("2026-02-03", "unreleased"), "write the date"),
        ("v1.2.0", CHANGELOG.replace("## 1.2.0", "## 1.2.0rc1"), "no section ## 1.2.0"),
    ],
)
def test_a_release_that_is_not_ready_is_refused(tmp_path: Path, tag: str, changelog: str, said: str) -> None:
    done = run_notes(tmp_path, tag, changelog)
    assert done.returncode != 0
    assert said in done.stderr
