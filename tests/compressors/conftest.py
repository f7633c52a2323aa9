"""Tiny LLMLingua-2 models that several tests share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .token_models import FAMILIES, Family, build

if TYPE_CHECKING:
    from ctxshrink.compressors.llmlingua import LLMLingua2Compressor


@pytest.fixture(scope="session", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param


@pytest.fixture(scope="session")
def folder(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    return build(family, tmp_path_factory.mktemp("renamed") / f"my model, {family[:3]}")


@pytest.fixture(scope="session")
def compressor(folder: Path) -> LLMLingua2Compressor:
    pytest.importorskip("llmlingua")
    from ctxshrink.compressors.llmlingua import LLMLingua2Compressor

    return LLMLingua2Compressor(folder, batch_size=8)
