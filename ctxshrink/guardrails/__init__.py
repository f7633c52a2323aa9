"""Guardrails: is the compression still good for what it is needed for?

`PerplexityGuardrail` estimates what was lost; `KeepFacts` is a rule; `AllOf` joins several. The perplexity of the
short text by itself says nothing (dropping whole sentences leaves fluent text), so what is scored is how well the text
that matters, the query or what was dropped, can be told from what is left.
"""

from .calibration import RANGES, SHIPPED, Calibration, load_calibrations
from .perplexity import PerplexityGuardrail
from .rules import AllOf, KeepFacts

__all__ = ["RANGES", "SHIPPED", "AllOf", "Calibration", "KeepFacts", "PerplexityGuardrail", "load_calibrations"]
