"""ctxshrink in LlamaIndex: a node postprocessor, ingestion transforms, a memory block and a local LLM.

The LLM needs torch and transformers; it is loaded when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from ctxshrink.errors import MissingExtraError

try:
    import llama_index.core as _llama_index_core  # noqa: F401  the one thing this package cannot do without
except ImportError as error:
    raise MissingExtraError("llama_index_ctxshrink", "llama-index") from error

from .distill import CtxShrinkDistill
from .expand import expand_tool
from .memory import CompressedHistoryBlock
from .nodes import CtxShrinkPostprocessor, CtxShrinkTransform

if TYPE_CHECKING:
    from .compressed_hf import CompressedHuggingFaceLLM

__all__ = [
    "CompressedHistoryBlock",
    "CompressedHuggingFaceLLM",
    "CtxShrinkDistill",
    "CtxShrinkPostprocessor",
    "CtxShrinkTransform",
    "expand_tool",
]


def __getattr__(name: str) -> Any:
    if name != "CompressedHuggingFaceLLM":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .compressed_hf import CompressedHuggingFaceLLM

    return CompressedHuggingFaceLLM
