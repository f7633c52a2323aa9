"""Compressors by name, and those of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

import ctxshrink.compressors as registry
from ctxshrink.compressors import available, get_compressor
from ctxshrink.compressors.extractive import ExtractiveCompressor
from ctxshrink.errors import ConfigError
from ctxshrink.types import Compressor


class Foreign:
    """A compressor of another package."""

    name = "foreign"

    def compress(self, jobs: object, call: object, /) -> list[object]:
        return []


class NotOne:
    """Has no `compress`."""


def broken() -> object:
    raise RuntimeError("no licence")


def test_built_ins() -> None:
    assert set(available()) >= {"extractive", "bm25", "lead", "random", "truncate"}
    for name in ("extractive", "bm25", "lead", "random", "truncate"):
        made = get_compressor(name)
        assert isinstance(made, Compressor)
        assert made.name == name


def test_an_instance_is_itself() -> None:
    mine = ExtractiveCompressor()
    assert get_compressor(mine) is mine


@pytest.mark.parametrize("wrong", [3, None, Foreign])
def test_not_a_compressor(wrong: object) -> None:
    with pytest.raises(ConfigError, match="compress"):
        get_compressor(wrong)  # pyright: ignore[reportArgumentType]


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'zip'.*extractive, structural, .*bm25"):
        get_compressor("zip")


def test_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {
        name: EntryPoint(name, f"{__name__}:{value}", registry.GROUP)
        for name, value in {
            "foreign": "Foreign",
            "notone": "NotOne",
            "broken": "broken",
            "gone": "nothing_here",
        }.items()
    }
    monkeypatch.setattr(registry, "_registered", lambda: made)
    assert "foreign" in available()
    assert get_compressor("foreign").name == "foreign"
    for name, message in {"notone": "no `name`", "broken": "no licence", "gone": "could not be loaded"}.items():
        with pytest.raises(ConfigError, match=message):
            get_compressor(name)


def test_wrong_markers() -> None:
    with pytest.raises(ConfigError, match="markers"):
        ExtractiveCompressor(markers="loud")  # pyright: ignore[reportArgumentType]
