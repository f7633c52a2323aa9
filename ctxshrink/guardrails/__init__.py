"""Guardrails: is the compression still good for what it is needed for?

`PerplexityGuardrail` estimates what was lost; `KeepFacts` is a rule; `AllOf` joins several. The perplexity of the
short text by itself says nothing (dropping whole sentences leaves fluent text), so what is scored is what was left out,
how well the text that matters can be told from what is left, and whether what is left still says the same.
"""

from ._result import judge_result
from .detector import SHIPPED, Adjustment, Detector, load_detector
from .perplexity import MAX_MISS_RATE, PerplexityGuardrail
from .rules import AllOf, KeepFacts

__all__ = [
    "MAX_MISS_RATE",
    "SHIPPED",
    "Adjustment",
    "AllOf",
    "Detector",
    "KeepFacts",
    "PerplexityGuardrail",
    "judge_result",
    "load_detector",
]
