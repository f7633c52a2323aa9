from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.telemetry.material import Export


@pytest.fixture
def export() -> Export:
    pytest.importorskip("opentelemetry.sdk")
    from tests.telemetry.material import Export

    return Export()
