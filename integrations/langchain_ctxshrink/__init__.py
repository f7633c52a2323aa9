"""ctxshrink in LangChain: documents, retrievers and messages.

Importing this package also teaches `ctxshrink.Shrinker.shrink_messages` to read LangChain messages.
"""

from ctxshrink.errors import MissingExtraError
from ctxshrink.messages import register

try:
    import langchain_core as _langchain_core  # noqa: F401  the one thing this package cannot do without
except ImportError as error:
    raise MissingExtraError("langchain_ctxshrink", "langchain") from error

from .documents import CtxShrinkCompressor
from .messages import LangChainFormat, shrink_messages
from .retriever import CtxShrinkRetriever

__all__ = ["CtxShrinkCompressor", "CtxShrinkRetriever", "LangChainFormat", "shrink_messages"]

register(LangChainFormat())
