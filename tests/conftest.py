"""What tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ("tests.missing_extras",)

# A machine that is busy is no failure: tests say nothing about wall-clock time.
settings.register_profile("ctxshrink", deadline=None)
settings.load_profile("ctxshrink")

BENCHMARK_DATA = Path(__file__).parents[2] / "shared" / "data" / "public"


@pytest.fixture(scope="session")
def benchmark_data() -> Path:
    """The folder of public benchmark data. It is not part of the project: without it only these tests are skipped."""
    if not BENCHMARK_DATA.is_dir():
        pytest.skip("the public benchmark data is not beside this checkout (../shared/data/public)")
    return BENCHMARK_DATA
