"""An exported encoder of random weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.tiny_bert import write_folder


@pytest.fixture(scope="session")
def pruner_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `write_folder` writes. Tests that change files work on a copy."""
    pytest.importorskip("onnx")
    return write_folder(tmp_path_factory.mktemp("pruner"))
