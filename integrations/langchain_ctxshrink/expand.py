"""The expand tool for LangChain agents."""

from __future__ import annotations

from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, ConfigDict, Field

from ctxshrink.expand import ARGUMENTS, DESCRIPTION, TOOL_NAME, Expander
from ctxshrink.types import OriginalStore


class ExpandArguments(BaseModel):
    """What a model may say to the tool."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    id: str = Field(description=ARGUMENTS["id"])
    lines: str | None = Field(default=None, description=ARGUMENTS["lines"])
    search: str | None = Field(default=None, description=ARGUMENTS["search"])


def expand_tool(store: OriginalStore | Expander) -> BaseTool:
    """A tool that returns the originals of shortened texts, sync and async.

    It is called `ctxshrink.expand.TOOL_NAME`, and so are its messages: whoever compresses tool results knows by that to
    leave them alone. It answers wrong calls with a sentence and never raises.

    Args:
        store: Where the originals are, or an expander with settings of its own.
    """
    expander = store if isinstance(store, Expander) else Expander(store)

    def expand(id: str, lines: str | None = None, search: str | None = None) -> str:
        return expander.expand(id, lines, search)

    async def aexpand(id: str, lines: str | None = None, search: str | None = None) -> str:
        return await expander.aexpand(id, lines, search)

    return StructuredTool.from_function(
        func=expand,
        coroutine=aexpand,
        name=TOOL_NAME,
        description=DESCRIPTION,
        args_schema=ExpandArguments,
        handle_validation_error=lambda _error: 'Call it like {"id": "abcdefghij", "lines": "10-40"}.',
    )
