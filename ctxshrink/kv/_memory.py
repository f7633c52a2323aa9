"""What a process or a GPU really holds, before and after; only where the system tells."""

from __future__ import annotations

import gc
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Gauge", "Usage"]

_STATUS: Final = Path("/proc/self/status")
_RESET: Final = Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes in use at three moments.

    Attributes:
        kind: "VRAM": what torch holds on the GPU; "RSS": the process, everything in it.
        before: With the model loaded.
        peak: The most while the context was read and compressed; None where the system does not tell.
        after: With the compressed context alone.
    """

    kind: str
    before: int
    peak: int | None
    after: int


class Gauge:
    """Measures from its making to `read`.

    Args:
        device: The model's device.
    """

    def __init__(self, device: Any) -> None:
        self._device = device if getattr(device, "type", "cpu") == "cuda" else None
        gc.collect()
        if self._device is not None:
            import torch

            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            _reset_peak()
        self._before = self._now()

    def read(self) -> Usage | None:
        """The figures; None where the system gives none."""
        gc.collect()
        after = self._now()
        if self._before is None or after is None:
            return None
        if self._device is None:
            return Usage("RSS", self._before, _status("VmHWM"), after)
        import torch

        return Usage("VRAM", self._before, int(torch.cuda.max_memory_allocated(self._device)), after)

    def _now(self) -> int | None:
        if self._device is None:
            return _status("VmRSS")
        import torch

        return int(torch.cuda.memory_allocated(self._device))


def _status(field: str) -> int | None:
    try:
        found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text("ascii"), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return None if found is None else int(found[1]) * 1024


def _reset_peak() -> None:
    """Linux counts the peak from here; where it may not, the peak is that of the process's whole life."""
    try:
        _RESET.write_text("5", "ascii")
    except OSError:
        return
