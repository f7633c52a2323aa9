"""ctxshrink: make the context of agent and RAG pipelines smaller, and check that nothing needed was lost.

    from ctxshrink import Shrinker

    result = Shrinker().shrink_messages(messages, max_tokens=4000)
    result.output, result.tokens_before, result.tokens_after, result.decisions, result.warnings

This page is the public API; `ctxshrink.types` holds the words and protocols for plug-ins.
"""

from importlib.metadata import PackageNotFoundError, version

from .decorator import shrink_prompt
from .errors import (
    BudgetError,
    ConfigError,
    CtxShrinkError,
    FormatError,
    MissingExtraError,
    ModelError,
    StoreError,
)
from .guardrails import AllOf, KeepFacts, PerplexityGuardrail
from .policies import Adaptive, KeepRatio, Lossless, TokenBudget
from .prefix import Conversation
from .result import ShrinkResult
from .shrinker import Shrinker
from .types import Decision, Segment, Verdict

try:
    __version__ = version("ctxshrink")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "Adaptive",
    "AllOf",
    "BudgetError",
    "ConfigError",
    "Conversation",
    "CtxShrinkError",
    "Decision",
    "FormatError",
    "KeepFacts",
    "KeepRatio",
    "Lossless",
    "MissingExtraError",
    "ModelError",
    "PerplexityGuardrail",
    "Segment",
    "ShrinkResult",
    "Shrinker",
    "StoreError",
    "TokenBudget",
    "Verdict",
    "__version__",
    "shrink_prompt",
]
