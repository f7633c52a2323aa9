"""The tool's arguments for frameworks that take a pydantic model and functions; pydantic comes with the framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic import BaseModel, ConfigDict, Field

from ctxshrink.expand import ARGUMENTS, Expander
from ctxshrink.types import OriginalStore


class ExpandArguments(BaseModel):
    """What a model may say to the tool."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    id: str = Field(description=ARGUMENTS["id"])
    lines: str | None = Field(default=None, description=ARGUMENTS["lines"])
    search: str | None = Field(default=None, description=ARGUMENTS["search"])


def tool_functions(store: OriginalStore | Expander) -> tuple[Callable[..., str], Callable[..., Awaitable[str]]]:
    """The tool as a function and as a coroutine function; both take what `ExpandArguments` names, and no bound.

    Args:
        store: Where the originals are, or an expander with settings of its own.
    """
    expander = store if isinstance(store, Expander) else Expander(store)

    def expand(id: str, lines: str | None = None, search: str | None = None) -> str:
        return expander.expand(id, lines, search)

    async def aexpand(id: str, lines: str | None = None, search: str | None = None) -> str:
        return await expander.aexpand(id, lines, search)

    return expand, aexpand
