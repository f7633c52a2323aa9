"""Where an extra is not installed, the tests that need it are skipped and say which package they miss.

A plug-in and no part of `conftest`: of a folder that is being collected, pytest asks the `conftest` files only once the
folder's own is imported, and importing it may be what fails. `.ci/run` installs every extra, `.ci/base` none.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path

import pytest

from ctxshrink import MissingExtraError

OPTIONAL = (
    "axe_playwright_python",
    "langchain",
    "langchain_core",
    "langchain_tests",
    "langgraph",
    "llama_index",
    "llmlingua",
    "nbclient",
    "onnx",
    "opentelemetry",
    "playwright",
    "psycopg",
    "pymysql",
    "pypdf",
    "ray",
    "safetensors",
    "sqlalchemy",
    "tenacity",
    "tiktoken",
    "torch",
    "transformers",
    "tree_sitter",
    "yaml",
    "zensical",
)
"""Modules that an extra brings and the base install has not."""
ABSENT = frozenset(name for name in OPTIONAL if find_spec(name) is None)
CORE = frozenset(("calibrate", "decorator", "guardrails", "messages", "prefix", "text"))
"""Folders of tests that need no extra unless they say so themselves: there, and in the files beside them, a package
that is missed while a test runs is a failure. It may be the base install that began to need it."""
_MODULE = re.compile(r"ModuleNotFoundError: No module named '(\w+)")
_EXTRA = re.compile(r'MissingExtraError: .*pip install "(.+)"')


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file or folder that cannot be imported for want of an absent package is skipped."""
    report = yield
    said = str(report.longrepr) if report.failed else ""
    missing = [name for name in _MODULE.findall(said) if name in ABSENT] or _EXTRA.findall(said)
    if missing:
        _skip(report, collector.path, missing[0])
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test or fixture outside the core that meets an absent package is skipped."""
    report = yield
    error = call.excinfo.value if call.excinfo else None
    if report.failed and item.path.parent.name not in (*CORE, "tests"):
        if isinstance(error, MissingExtraError):
            _skip(report, item.path, str(error).rpartition("pip install ")[2])
        elif isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] in ABSENT:
            _skip(report, item.path, str(error.name))
    return report


def _skip(report: pytest.CollectReport | pytest.TestReport, path: Path, missing: str) -> None:
    report.outcome = "skipped"
    report.longrepr = (str(path), 0, f"Skipped: {missing} is not installed")
