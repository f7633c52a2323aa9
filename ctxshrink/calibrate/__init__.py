"""Fits the guardrail and the keep floors to a user's own traffic; ``ctxshrink calibrate``.

Data names what is needed (`read_labelled`), or later turns of logged conversations show it (`read_traces`). Every
record is compressed at several keeps; the guardrail's risk of each output stands beside what it lost. `calibrate` fits
the risk's scale and threshold to that and says, on held-out folds, what they lose and save.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctxshrink._lazy import lazy

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

__getattr__ = lazy(
    __name__,
    {
        "examples": ("Data", "Example", "read_labelled"),
        "observations": ("Observation", "Observed", "observe"),
        "run": ("KEEPS", "LEAST_RECORDS", "Calibration", "calibrate"),
        "traces": ("read_traces",),
    },
)
