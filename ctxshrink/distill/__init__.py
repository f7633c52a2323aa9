"""Distillation: texts made shorter once, offline, and kept.

`ExtractiveDistiller` keeps verbatim pieces, without a language model; `FactsDistiller` has a cheap one write dense
facts, and checks every one of them against the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctxshrink._lazy import lazy

from .types import Derived, Distillate, Distiller, Setting, Source, content_hash, recipe_key

if TYPE_CHECKING:
    from .extractive import ExtractiveDistiller
    from .facts import FactsDistiller
    from .limits import Limits, Usage
    from .llms import LLM, Completion, LangChainLLM, LlamaIndexLLM, OpenAIEndpoint, as_llm

__all__ = [
    "LLM",
    "Completion",
    "Derived",
    "Distillate",
    "Distiller",
    "ExtractiveDistiller",
    "FactsDistiller",
    "LangChainLLM",
    "Limits",
    "LlamaIndexLLM",
    "OpenAIEndpoint",
    "Setting",
    "Source",
    "Usage",
    "as_llm",
    "content_hash",
    "recipe_key",
]

__getattr__ = lazy(
    __name__,
    {
        "extractive": ("ExtractiveDistiller",),
        "facts": ("FactsDistiller",),
        "limits": ("Limits", "Usage"),
        "llms": ("LLM", "Completion", "LangChainLLM", "LlamaIndexLLM", "OpenAIEndpoint", "as_llm"),
    },
)
