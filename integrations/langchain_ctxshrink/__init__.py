"""ctxshrink in LangChain: documents, loaders, retrievers, messages, agents.

Importing this package also teaches `ctxshrink.Shrinker.shrink_messages` to read LangChain messages. The middleware
needs the package ``langchain`` beside ``langchain-core``, the chat model needs torch and transformers; they are loaded
when they are first asked for.
"""

from typing import TYPE_CHECKING, Any

from ctxshrink.errors import MissingExtraError
from ctxshrink.messages import register

try:
    import langchain_core as _langchain_core  # noqa: F401  the one thing this package cannot do without
except ImportError as error:
    raise MissingExtraError("langchain_ctxshrink", "langchain") from error

from .documents import CtxShrinkCompressor
from .expand import expand_tool
from .loader import CtxShrinkLoader
from .messages import LangChainFormat, shrink_messages
from .retriever import CtxShrinkRetriever
from .summarizer import CtxShrinkSummarizer

if TYPE_CHECKING:
    from .chat_hf import ChatCompressedHF
    from .middleware import CtxShrinkMiddleware

__all__ = [
    "ChatCompressedHF",
    "CtxShrinkCompressor",
    "CtxShrinkLoader",
    "CtxShrinkMiddleware",
    "CtxShrinkRetriever",
    "CtxShrinkSummarizer",
    "LangChainFormat",
    "expand_tool",
    "shrink_messages",
]

register(LangChainFormat())


def __getattr__(name: str) -> Any:
    if name == "ChatCompressedHF":
        from .chat_hf import ChatCompressedHF

        return ChatCompressedHF
    if name != "CtxShrinkMiddleware":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from .middleware import CtxShrinkMiddleware
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("langchain", "langgraph"):
            raise
        raise MissingExtraError("CtxShrinkMiddleware", "langchain") from error
    return CtxShrinkMiddleware
