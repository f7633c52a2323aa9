"""Every Python snippet of every page runs, and prints what the page says it prints."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

from .pages import PAGES, Fence, fences, matches
from .sandbox import run_python

STANDALONE = ("docs/index.md", "docs/quickstart*.md")
"""Pages to copy from: each snippet is complete by itself. On others, snippets go on from those before them."""
SPLIT = ("README.md",)
"""Pages of which each snippet has a process of its own."""


def _scripts() -> dict[str, tuple[Fence, ...]]:
    scripts: dict[str, tuple[Fence, ...]] = {}
    for page in PAGES:
        found = fences(page, "python")
        if page in SPLIT:
            scripts |= {fence.id: (fence,) for fence in found}
        elif found:
            scripts[page] = found
    return scripts


SCRIPTS = _scripts()


def check(script: tuple[Fence, ...], folder: Path, *, alone: bool) -> None:
    """Run a script and compare what it prints with what its page shows."""
    for fence, printed in zip(script, run_python(script, folder, alone=alone), strict=True):
        assert fence.output is None or matches(fence.output, printed), f"{fence.id} prints:\n{printed}"


@pytest.mark.parametrize("name", SCRIPTS)
def test_snippets_run(name: str, tmp_path: Path) -> None:
    alone = any(fnmatch(name, pattern) for pattern in STANDALONE)
    check(SCRIPTS[name], tmp_path, alone=alone)


def test_there_are_snippets() -> None:
    assert sum(len(script) for script in SCRIPTS.values()) >= 25


def _fence(code: str, output: str | None = None) -> Fence:
    return Fence("README.md", 1, "python", code, output)


def test_a_failing_snippet_fails_and_says_where(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"README\.md\", line 3(.|\n)*NameError"):
        check((Fence("README.md", 2, "python", "x = 1\nnope\n"),), tmp_path, alone=False)


def test_another_output_than_shown_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"prints:\s+2\n"):
        check((_fence("x = 2", ""), _fence("print(x)", "3\n")), tmp_path, alone=False)


def test_a_snippet_that_needs_another_fails_alone(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="NameError"):
        check((_fence("x = 2"), _fence("print(x)")), tmp_path, alone=True)


def test_a_module_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        check((_fence("import no_such_module"),), tmp_path, alone=False)


def test_the_network_is_refused(tmp_path: Path) -> None:
    code = "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')"
    with pytest.raises(AssertionError, match="no network in tests"):
        check((_fence(code),), tmp_path, alone=False)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a … c", "a b c\n", True),
        ("a\nb  ", "a \nb\n", True),
        ("a … c", "a b", False),
        ("12 tokens", "13 tokens", False),
        ("(a|b)", "a", False),
    ],
)
def test_what_counts_as_the_same_output(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same
