"""What a release may take away from its users' code, and what it may not."""

from __future__ import annotations

import importlib

import pytest

from .names import LIST, committed_names, public_names


def test_no_public_name_is_gone() -> None:
    gone = sorted(committed_names() - public_names())
    assert not gone, (
        f"users' code may import {', '.join(gone)}: keep the old name beside the new one; or, if it has to go, take "
        f"its line out of tests/repository/{LIST.name} and say in CHANGELOG.md under Removed what takes its place"
    )


def test_every_public_name_is_listed() -> None:
    new = sorted(public_names() - committed_names())
    assert not new, (
        f"new public names: {', '.join(new)}. Give a name a leading underscore if it is not for users, else run: "
        "python -m tests.repository.names"
    )


def test_the_list_is_sorted_and_has_each_name_once() -> None:
    lines = LIST.read_text("utf-8").splitlines()
    assert lines == sorted(set(lines))


@pytest.mark.parametrize("module", sorted({name.split(":")[0] for name in public_names()}))
def test_listed_names_exist(module: str) -> None:
    """The sources were read right: what is listed can be imported where the module can."""
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as missing:
        pytest.skip(f"{missing.name} is not installed")
    for name in (name.split(":")[1] for name in public_names() if name.startswith(f"{module}:")):
        assert hasattr(imported, name)
