"""The four touches of CONTRIBUTING, made on a copy of the package, with the contract run on the outcome."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ctxshrink.compressors import BUILT_IN
from tests.docs.pages import ROOT, fences

PAGE = ".github/CONTRIBUTING.md"
COPIED = (
    "ctxshrink",
    "pyproject.toml",
    "tests/__init__.py",
    "tests/conftest.py",
    "tests/missing_extras.py",
    "tests/strategies.py",
    "tests/compressors",
    "docs/plugins.md",
)


def touches() -> list[tuple[str, str, str]]:
    """File, language and text of each touch: the first fence behind each bold heading that names a file."""
    found: list[tuple[str, str, str]] = []
    lines = (ROOT / PAGE).read_text("utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if heading := re.match(r"\*\*\d\. One .+`(\S+)`:$", line):
            fence = next(f for f in fences(PAGE, "python", "diff") if f.line > number)
            found.append((heading[1], fence.language, fence.text))
    return found


def apply(text: str, diff: str) -> str:
    """The text with the diff's one added line behind its one context line."""
    context, added = diff.splitlines()
    assert (context[0], added[0]) == (" ", "+")
    assert text.splitlines().count(context[1:]) == 1, f"CONTRIBUTING names a line that is not there: {context[1:]}"
    return text.replace(f"{context[1:]}\n", f"{context[1:]}\n{added[1:]}\n")


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the touches concern, with the touches made."""
    copy = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        source, target = ROOT / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for name, language, text in touches():
        file = copy / name
        file.write_text(text if language == "python" else apply(file.read_text("utf-8"), text), "utf-8")
    return copy


def test_there_are_four_touches() -> None:
    assert [(name, language) for name, language, _ in touches()] == [
        ("ctxshrink/compressors/ends.py", "python"),
        ("ctxshrink/compressors/__init__.py", "diff"),
        ("tests/compressors/test_contract.py", "diff"),
        ("docs/plugins.md", "diff"),
    ]


def test_the_example_keeps_the_contract(changed: Path) -> None:
    tests = ["tests/compressors/test_contract.py", "-k", "ends", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run([sys.executable, "-m", "pytest", *tests], cwd=changed, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= 20


def test_the_example_can_be_used_by_name(changed: Path) -> None:
    code = (
        "import ctxshrink.compressors as c; from ctxshrink import Shrinker; print(c.__file__);"
        "text = ' '.join(f'Sentence number {i} is here.' for i in range(9));"
        "print(Shrinker(compressors=['ends'], guardrail=None).shrink_text(text, keep=0.5).output)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=changed, capture_output=True, text=True, check=True)
    home, output = done.stdout.splitlines()
    assert Path(home).is_relative_to(changed)
    assert "number 0 " in output
    assert "number 8 " in output
    assert "number 4 " not in output


@pytest.mark.parametrize("tool", [["check"], ["format", "--check"]], ids=["lint", "format"])
def test_the_example_has_the_style_that_it_asks_for(changed: Path, tool: list[str]) -> None:
    pytest.importorskip("ruff")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *tool, "ctxshrink/compressors", "tests/compressors/test_contract.py"],
        cwd=changed,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_built_in_compressor_has_its_row() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "docs" / "plugins.md").read_text("utf-8"), re.MULTILINE)
    assert [name for name in BUILT_IN if rows.count(name) != 1] == []
