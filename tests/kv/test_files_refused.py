"""Files that are not as they were written are refused with our errors, whatever byte of them is another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError, ModelError

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ctxshrink.kv.files import load_context

from .contexts import context_of
from .models import model_of


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    folder = tmp_path_factory.mktemp("flips")
    context_of(rows=1, tokens=12).save(folder / "good")
    return (folder / "good").read_bytes(), folder / "bad"


@settings(deadline=None, max_examples=300)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.booleans())
def test_every_changed_byte_is_refused(
    saved: tuple[bytes, Path], place: float, change: int, in_header: bool
) -> None:  # fmt: skip
    good, bad = saved
    head = 8 + int.from_bytes(good[:8], "little")
    at = int(place * (head if in_header else len(good)))
    bad.write_bytes(good[:at] + bytes([good[at] ^ change]) + good[at + 1 :])
    with pytest.raises((ConfigError, ModelError), match="bad"):
        load_context(bad, model_of("llama-gqa"))


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 1, exclude_max=True), st.binary(max_size=9))
def test_every_cut_or_longer_file_is_refused(saved: tuple[bytes, Path], share: float, more: bytes) -> None:
    good, bad = saved
    cut = good[: int(share * len(good))] + more
    for data in (cut, good + more + b"\0"):
        if data == good:
            continue
        bad.write_bytes(data)
        with pytest.raises(ModelError, match="bad"):
            load_context(bad, model_of("llama-gqa"))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300), st.one_of(st.none(), st.integers(0, 2**64 - 1)))
def test_anything_else_is_refused(saved: tuple[bytes, Path], data: bytes, length: int | None) -> None:
    _, bad = saved
    bad.write_bytes(data if length is None else length.to_bytes(8, "little") + data)
    with pytest.raises(ModelError, match="bad"):
        load_context(bad, model_of("llama-gqa"))


_ODD = {
    "deep": "[" * 100_000,
    "empty": "{}",
    "list": "[]",
    "number": "1",
    "no entry": '{"__metadata__": {}}',
    "entry": '{"__metadata__": {"ctxshrink-kv": "[]"}}',
    "deep entry": '{"__metadata__": {"ctxshrink-kv": "' + "[" * 100_000 + '"}}',
}


@pytest.mark.parametrize("name", _ODD)
def test_odd_headers_are_refused(tmp_path: Path, name: str) -> None:
    text = _ODD[name]
    (tmp_path / "a").write_bytes(len(text).to_bytes(8, "little") + text.encode())
    with pytest.raises(ModelError):
        load_context(tmp_path / "a", model_of("llama-gqa"))


def _forged(good: bytes, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> bytes:
    """The file with another header and a sum that is right for it, as someone could make it on purpose."""
    length = int.from_bytes(good[:8], "little")
    outer = json.loads(good[8 : 8 + length])
    inner = json.loads(outer["__metadata__"]["ctxshrink-kv"])
    change(outer, inner)
    inner["sha256"] = "0" * 64
    outer["__metadata__"]["ctxshrink-kv"] = json.dumps(inner)
    raw = json.dumps(outer).encode()
    raw += b" " * (-len(raw) % 8)
    blank = len(raw).to_bytes(8, "little") + raw + good[8 + length :]
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1)


def _shape(outer: dict[str, Any], name: str, shape: list[int]) -> None:
    outer[name]["shape"] = shape


_FORGERIES: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "terabytes": lambda o, i: _shape(o, "ids", [1, 2**42]),
    "many": lambda o, i: _shape(o, "ids", [2**40, 0]),
    "outside": lambda o, i: o["ids"].update(data_offsets=[0, 2**40]),
    "type": lambda o, i: o["ids"].update(dtype="F32"),
    "kind": lambda o, i: o["layers.0.blocks.1.keys"].update(dtype="I32"),
    "unknown type": lambda o, i: o["ids"].update(dtype="X1"),
    "transposed": lambda o, i: _shape(o, "layers.0.blocks.1.keys", [1, 8, 2, 8]),
    "flat": lambda o, i: _shape(o, "layers.0.blocks.1.keys", [128]),
    "missing": lambda o, i: i["layers"][0]["blocks"].pop(),
    "fewer layers": lambda o, i: i["layers"].pop(),
    "no layers": lambda o, i: i.update(layers=[]),
    "layers": lambda o, i: i.update(layers=5),
    "length": lambda o, i: i.update(length=2**60),
    "short": lambda o, i: i.update(length=3),
    "float": lambda o, i: i.update(length=12.0),
    "text": lambda o, i: i.update(length="12"),
    "prompt": lambda o, i: i.update(prompt=None),
    "report": lambda o, i: i.update(report=None),
    "seconds": lambda o, i: i["report"].update(prefill_seconds=[]),
    "attempts": lambda o, i: i["report"].update(attempts=[{}]),
    "verdict": lambda o, i: i["report"]["attempts"][0].update(verdict=7),
    "window": lambda o, i: i["layers"][0].update(window=4),
    "covers": lambda o, i: i["layers"][0]["blocks"][0].update(covers=10**9),
    "tier": lambda o, i: i["layers"][0]["blocks"][0].update(tier=True),
    "bits": lambda o, i: i["layers"][0]["blocks"][0]["keys"].update(bits=4),
    "group": lambda o, i: i["layers"][0]["blocks"][0]["keys"].update(group=10**12),
    "exact": lambda o, i: i["layers"][0]["blocks"][0].update(keys=None),
    "meta": lambda o, i: i["layers"][0]["blocks"][0].update(keys=[1]),
    "no meta": lambda o, i: i["layers"][0]["blocks"][0].pop("keys"),
}


@pytest.mark.parametrize("name", _FORGERIES)
def test_headers_that_do_not_fit_are_refused(saved: tuple[bytes, Path], name: str) -> None:
    good, bad = saved
    bad.write_bytes(_forged(good, lambda o, i: None))
    assert load_context(bad, model_of("llama-gqa")).length == 12
    bad.write_bytes(_forged(good, _FORGERIES[name]))
    with pytest.raises(ModelError, match="bad"):
        load_context(bad, model_of("llama-gqa"))


def test_another_version_is_refused(saved: tuple[bytes, Path]) -> None:
    good, bad = saved
    bad.write_bytes(_forged(good, lambda o, i: i.update(version=2)))
    with pytest.raises(ModelError, match="version 2"):
        load_context(bad, model_of("llama-gqa"))
