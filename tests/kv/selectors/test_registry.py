"""Selectors by name, their settings, and other objects in their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ctxshrink.errors import ConfigError
from ctxshrink.kv.selectors import (
    H2O,
    SELECTORS,
    ExpectedAttention,
    KVzip,
    Random,
    SnapKV,
    Streaming,
    resolve_selector,
)
from ctxshrink.kv.types import LayerInput

from ..models import ids_of, model_of
from .plain import scores_of


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(
        ConfigError, match="unknown selector 'snap'; known: h2o, snapkv, tova, streaming, knorm, keydiff"
    ):
        resolve_selector("snap")


def test_a_selector_stays_what_it_is():
    mine = SnapKV(window=8)
    assert resolve_selector(mine) is mine


def test_a_kvzip_with_a_tokenizer_keeps_it():
    mine = KVzip("its own", chunk=9)
    assert resolve_selector(mine, tokenizer="another") is mine
    assert resolve_selector(KVzip(chunk=9), tokenizer="another") == KVzip("another", chunk=9)


def test_a_function_is_a_selector():
    def newest_first(layer: LayerInput) -> Tensor:
        return torch.arange(layer.keys.shape[2]).expand(layer.keys.shape[:3]).float()

    assert resolve_selector(newest_first).name == "newest_first"
    found = scores_of(model_of("llama-gqa"), newest_first, ids_of(1, 9))
    assert found[2][0, 1].tolist() == list(range(9))


@pytest.mark.parametrize("given", [H2O, KVzip])
def test_a_class_in_place_of_an_object_is_told_so(given: Any):
    with pytest.raises(ConfigError, match=rf"not the class {given.__name__}: write {given.__name__}\(\)"):
        resolve_selector(given)


@pytest.mark.parametrize("given", [None, 3, ["h2o"], {}])
def test_what_cannot_rank_is_refused(given: Any):
    with pytest.raises(ConfigError, match="a selector is a name"):
        resolve_selector(given)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: SnapKV(window=0), "window of the selector snapkv must be a whole number of at least 1, not 0"),
        (lambda: SnapKV(kernel=4), "kernel of the selector snapkv must be odd, not 4"),
        (lambda: SnapKV(pooling="sum"), "pooling of the selector snapkv must be one of mean, max, not 'sum'"),  # type: ignore[arg-type]
        (lambda: SnapKV(window=2.5), "window of the selector snapkv"),  # type: ignore[arg-type]
        (lambda: Streaming(sink=-1), "sink of the selector streaming must be a whole number of at least 0, not -1"),
        (lambda: ExpectedAttention(future=0), "future of the selector expected"),
        (lambda: ExpectedAttention(sink=True), "sink of the selector expected"),
        (lambda: KVzip(chunk=0), "chunk of the selector kvzip"),
        (lambda: KVzip(lead=-1), "lead of the selector kvzip"),
        (lambda: Random(seed=-1), "seed of the selector random"),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[], object], told: str):
    with pytest.raises(ConfigError, match=told):
        make()


@pytest.mark.parametrize("name", SELECTORS)
def test_selectors_of_equal_settings_are_equal(name: str):
    assert SELECTORS[name]() == SELECTORS[name]()
    assert name in type(SELECTORS[name]()).__module__
