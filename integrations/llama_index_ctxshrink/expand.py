"""The expand tool for LlamaIndex agents."""

from __future__ import annotations

from llama_index.core.tools import FunctionTool

from ctxshrink.expand import DESCRIPTION, TOOL_NAME, Expander
from ctxshrink.expand.arguments import ExpandArguments, tool_functions
from ctxshrink.types import OriginalStore


def expand_tool(store: OriginalStore | Expander) -> FunctionTool:
    """A tool that returns the originals of shortened texts, sync and async.

    It is called `ctxshrink.expand.TOOL_NAME`, and so are its outputs, by which whoever compresses tool results knows to
    leave them alone. It answers wrong calls with a sentence.

    Args:
        store: Where the originals are, or an expander with settings of its own.
    """
    expand, aexpand = tool_functions(store)
    return FunctionTool.from_defaults(
        fn=expand, async_fn=aexpand, name=TOOL_NAME, description=DESCRIPTION, fn_schema=ExpandArguments
    )
