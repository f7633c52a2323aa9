"""Every public name has a docstring and a place in the reference."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from functools import cache

import pytest

import ctxshrink

from .command_line import PAGE, page
from .pages import DOCS

FOLDER = DOCS / "reference"
ROOTS = ("ctxshrink", "langchain_ctxshrink", "llama_index_ctxshrink")
ELSEWHERE = {
    "ctxshrink.bench": "commands: reference/command-line.md",
    "ctxshrink.training": "commands: reference/command-line.md",
    "ctxshrink.models": "the embedded models' files",
}
"""Packages whose names are no interface, with where they are described instead."""
INSIDE = {"cli", "demo", "documents", "engine", "ladder", "reuse", "seats", "shares"}
"""Modules beside the packages that no other program imports."""
DEFINED_HERE = {"decorator", "errors", "observe", "policies", "result", "shrinker"}
"""Modules whose names are exported by `ctxshrink` or by a page's module."""


@cache
def documented() -> dict[str, str]:
    """Each module that the reference has, with its page."""
    found: dict[str, str] = {}
    for file in sorted(FOLDER.glob("*.md")):
        for module in re.findall(r"^::: (\S+)$", file.read_text("utf-8"), re.MULTILINE):
            assert module not in found, f"{module} is on two pages"
            found[module] = file.name
    return found


@pytest.mark.parametrize("module", documented())
def test_public_names_have_docstrings(module: str) -> None:
    home = importlib.import_module(module)
    assert inspect.getdoc(home), module
    for name in getattr(home, "__all__", []):
        value = getattr(home, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            told = inspect.getdoc(value)
            assert told, f"{module}.{name} has no docstring"
            assert not inspect.isclass(value) or value.__doc__, f"{module}.{name} has only its base's docstring"


def test_every_package_with_public_names_has_a_page() -> None:
    packages = [m.name for m in pkgutil.iter_modules(ctxshrink.__path__, "ctxshrink.") if m.ispkg]
    public = [p for p in packages if hasattr(importlib.import_module(p), "__all__")]
    assert set(public) - set(ELSEWHERE) - set(documented()) == set()
    assert set(ROOTS) <= set(documented())


def test_every_module_beside_the_packages_has_a_page_or_a_reason() -> None:
    modules = {m.name for m in pkgutil.iter_modules(ctxshrink.__path__) if not m.ispkg and not m.name.startswith("_")}
    shown = {name.removeprefix("ctxshrink.") for name in documented()}
    assert modules - shown - INSIDE - DEFINED_HERE == set()


def test_the_overview_names_every_module_and_page() -> None:
    overview = (FOLDER / "index.md").read_text("utf-8")
    for module, file in documented().items():
        assert f"`{module}`" in overview, f"{module} is not in the overview"
        assert f"]({file})" in overview, f"{file} is not in the overview"


def test_the_command_line_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m tests.docs.command_line"
