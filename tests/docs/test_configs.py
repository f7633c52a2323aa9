"""Every configuration that a page shows is one that is read."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from ctxshrink.policyfile import shrinker_settings

from .pages import Fence, all_fences

FENCES = {fence.id: fence for fence in all_fences("toml", "json", "jsonl", "yaml")}


def load(fence: Fence, folder: Path) -> None:
    """Read it as what it is; raises where it is not."""
    if fence.language == "json":
        json.loads(fence.text)
    elif fence.language == "jsonl":
        assert [json.loads(line) for line in fence.text.splitlines() if line]
    elif fence.language == "yaml":
        yaml.safe_load(fence.text)
    elif {"policy", "guardrail"} & tomllib.loads(fence.text).keys():
        file = folder / "ctxshrink.toml"
        file.write_text(fence.text, "utf-8")
        shrinker_settings(file)


@pytest.mark.parametrize("name", FENCES)
def test_the_configuration_is_read(name: str, tmp_path: Path) -> None:
    load(FENCES[name], tmp_path)


@pytest.mark.parametrize(
    ("language", "text"),
    [("json", "{'a': 1}"), ("jsonl", '{"a": 1}\n{"b"\n'), ("toml", "a = \n"), ("toml", "[policy]\nnope = 1\n")],
)
def test_a_wrong_configuration_is_found(language: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"."):
        load(Fence("x.md", 1, language, text), tmp_path)
