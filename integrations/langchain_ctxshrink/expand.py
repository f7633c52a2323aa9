"""The expand tool for LangChain agents."""

from __future__ import annotations

from langchain_core.tools import BaseTool, StructuredTool

from ctxshrink.expand import DESCRIPTION, TOOL_NAME, Expander
from ctxshrink.expand.arguments import ExpandArguments, tool_functions
from ctxshrink.types import OriginalStore


def expand_tool(store: OriginalStore | Expander) -> BaseTool:
    """A tool that returns the originals of shortened texts, sync and async.

    It is called `ctxshrink.expand.TOOL_NAME`, and so are its messages: whoever compresses tool results knows by that to
    leave them alone. It answers wrong calls with a sentence and never raises.

    Args:
        store: Where the originals are, or an expander with settings of its own.
    """
    expand, aexpand = tool_functions(store)
    return StructuredTool.from_function(
        func=expand,
        coroutine=aexpand,
        name=TOOL_NAME,
        description=DESCRIPTION,
        args_schema=ExpandArguments,
        handle_validation_error=lambda _error: 'Call it like {"id": "abcdefghij", "lines": "10-40"}.',
    )
