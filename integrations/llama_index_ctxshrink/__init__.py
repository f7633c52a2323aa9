"""ctxshrink in LlamaIndex: a node postprocessor, an ingestion transform and a memory block."""

from ctxshrink.errors import MissingExtraError

try:
    import llama_index.core as _llama_index_core  # noqa: F401  the one thing this package cannot do without
except ImportError as error:
    raise MissingExtraError("llama_index_ctxshrink", "llama-index") from error

from .expand import expand_tool
from .memory import CompressedHistoryBlock
from .nodes import CtxShrinkPostprocessor, CtxShrinkTransform

__all__ = ["CompressedHistoryBlock", "CtxShrinkPostprocessor", "CtxShrinkTransform", "expand_tool"]
