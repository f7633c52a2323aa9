"""Fits the guardrail and the keep floors to a user's own traffic; ``ctxshrink calibrate``.

Data names what is needed (`read_labelled`), or later turns of logged conversations show it (`read_traces`). Every
record is compressed at several keeps; the guardrail's risk of each output stands beside what it lost. `calibrate` fits
the risk's scale and threshold to that and says, on held-out folds, what they lose and save.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .examples import Data, Example, read_labelled
    from .observations import Observation, Observed, observe
    from .run import KEEPS, LEAST_RECORDS, Calibration, calibrate
    from .traces import read_traces

__all__ = [
    "KEEPS",
    "LEAST_RECORDS",
    "Calibration",
    "Data",
    "Example",
    "Observation",
    "Observed",
    "calibrate",
    "observe",
    "read_labelled",
    "read_traces",
]

_HOMES: Final = {
    "examples": ("Data", "Example", "read_labelled"),
    "observations": ("Observation", "Observed", "observe"),
    "run": ("KEEPS", "LEAST_RECORDS", "Calibration", "calibrate"),
    "traces": ("read_traces",),
}


def __getattr__(name: str) -> Any:
    # On use: the command line imports this package for its command, and `ctxshrink --help` needs nothing of the rest.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
