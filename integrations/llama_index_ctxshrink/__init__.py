"""ctxshrink in LlamaIndex: a node postprocessor, ingestion transforms and a memory block."""

from ctxshrink.errors import MissingExtraError

try:
    import llama_index.core as _llama_index_core  # noqa: F401  the one thing this package cannot do without
except ImportError as error:
    raise MissingExtraError("llama_index_ctxshrink", "llama-index") from error

from .distill import CtxShrinkDistill
from .expand import expand_tool
from .memory import CompressedHistoryBlock
from .nodes import CtxShrinkPostprocessor, CtxShrinkTransform

__all__ = ["CompressedHistoryBlock", "CtxShrinkDistill", "CtxShrinkPostprocessor", "CtxShrinkTransform", "expand_tool"]
