"""The expand tool for LlamaIndex agents."""

from __future__ import annotations

from llama_index.core.bridge.pydantic import BaseModel, ConfigDict, Field
from llama_index.core.tools import FunctionTool

from ctxshrink.expand import ARGUMENTS, DESCRIPTION, TOOL_NAME, Expander
from ctxshrink.types import OriginalStore


class ExpandArguments(BaseModel):
    """What a model may say to the tool."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    id: str = Field(description=ARGUMENTS["id"])
    lines: str | None = Field(default=None, description=ARGUMENTS["lines"])
    search: str | None = Field(default=None, description=ARGUMENTS["search"])


def expand_tool(store: OriginalStore | Expander) -> FunctionTool:
    """A tool that returns the originals of shortened texts, sync and async.

    It is called `ctxshrink.expand.TOOL_NAME`, and so are its outputs, by which whoever compresses tool results knows to
    leave them alone. It answers wrong calls with a sentence.

    Args:
        store: Where the originals are, or an expander with settings of its own.
    """
    expander = store if isinstance(store, Expander) else Expander(store)

    def expand(id: str, lines: str | None = None, search: str | None = None) -> str:
        return expander.expand(id, lines, search)

    async def aexpand(id: str, lines: str | None = None, search: str | None = None) -> str:
        return await expander.aexpand(id, lines, search)

    return FunctionTool.from_defaults(
        fn=expand, async_fn=aexpand, name=TOOL_NAME, description=DESCRIPTION, fn_schema=ExpandArguments
    )
