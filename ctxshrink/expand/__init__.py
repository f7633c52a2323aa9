"""The expand tool: a model gets back what was left out of a text that it was shown.

A text whose original is stored ends with ``[original: expand("…")]``. An agent offers the tool and hands the calls on:

    expander = Expander(Store())
    tools = [expander.openai_tool(), …]
    answer = expander.handle(call.function.name, call.function.arguments)
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from ctxshrink.errors import ConfigError
from ctxshrink.expand._ranges import Lines, RangeError, parse
from ctxshrink.expand._view import part, search
from ctxshrink.types import OriginalStore

__all__ = ["ARGUMENTS", "DESCRIPTION", "TOOL_NAME", "Expander", "find_references", "reference_line"]

_log = logging.getLogger("ctxshrink")

TOOL_NAME: Final = "expand"
"""What the tool is called. Its results are originals: whoever compresses tool results leaves them alone."""

DESCRIPTION: Final = (
    "Returns the original of a shortened text. A shortened text ends with a line like "
    '[original: expand("abcdefghij")], which holds the id. Use it when you need what was left out: '
    "give lines or search rather than fetching a long original whole."
)
"""What a model is told about the tool."""

ARGUMENTS: Final = {
    "id": "The 10 characters in the expand(...) line.",
    "lines": 'Lines of the original to return: "10-40", "10-", "-40" or "7". '
    'Characters with a c: "c100-900". null: all.',
    "search": "Return only the lines that contain this text, in upper or lower case, with their numbers and two lines "
    "around. null: no search.",
}
"""What a model is told about each argument."""

_ID: Final = "[a-z2-7]{10}"
_CALL: Final = re.compile(rf"""expand\(\\{{0,8}}["']({_ID})\\{{0,8}}["']\)""")  # Escaped inside JSON strings.


def reference_line(id: str, size: int | None = None, unit: str = "line") -> str:
    """The line that a shortened text ends with: ``[original: expand("…")]``, about 16 tokens.

    Args:
        id: Of the original, as `ctxshrink.store.Store.save` gave it.
        size: How many units the original has: ``[original, 60 lines: expand("…")]``. None leaves it out.
        unit: What they are called, singular.
    """
    extent = "" if size is None else f", {size} {unit}{'' if size == 1 else 's'}"
    return f'[original{extent}: expand("{id}")]'


def find_references(text: str) -> list[str]:
    """The ids that a text refers to, each once, in order; also where the text was put into JSON strings."""
    return list(dict.fromkeys(match[1] for match in _CALL.finditer(text)))


class Expander:
    """Answers calls of the tool from a store.

    Every answer is a text for the model and nothing raises into an agent's loop: where something is wrong, the text
    says what, and what to do.

    Args:
        store: Where the originals are.
        max_chars: Most characters of an answer, a closing line of up to 200 not counted.

    Raises:
        ConfigError: ``max_chars`` is not positive.
    """

    def __init__(self, store: OriginalStore, *, max_chars: int = 20_000) -> None:
        if max_chars < 1:
            raise ConfigError(f"max_chars must be at least 1; got {max_chars!r}")
        self.store = store
        self.max_chars = max_chars

    def expand(self, id: str, lines: str | None = None, search: str | None = None, max_chars: int | None = None) -> str:
        """An original, or a part of it, verbatim.

        Args:
            id: From the text's last line.
            lines: Lines ("10-40", "10-", "-40", "7"; the first is 1, both ends are included) or characters
                ("c100-900"). None or "": all of it.
            search: Only the lines that hold this, in any case, numbered and with two lines around them. With ``lines``
                it searches there. None or "": no search.
            max_chars: Most characters of this answer; None: as set.

        Returns:
            The text. Where it was cut, one more line says what is shown and how to ask for the rest. Where nothing can
            be shown, a sentence that says why.
        """
        limit = self.max_chars if max_chars is None else max(1, max_chars)
        name = _name(id)
        if name is None:
            return (
                f"{id[:40]!r} is not the id of an original. An id has 10 characters, a-z and 2-7; copy it from the "
                "line [original: expand(...)] at the end of a shortened text."
            )
        try:
            text = self.store.load(name)
        except Exception as error:  # noqa: BLE001  a plug-in; whatever it does, the agent's loop goes on
            _log.warning("the original %s could not be read: %s", name, error)
            return (
                "The originals cannot be read at the moment. Try once more; if that fails, go on without, and say so."
            )
        if text is None:
            return (
                f'There is no original "{name}": its time has run out, or the id was copied wrongly. Compare it with '
                "the [original: ...] line; if it is right, get the text again from where it came from."
            )
        numbered = Lines(text)
        try:
            wanted = parse(lines, numbered)
        except RangeError as error:
            return str(error)
        return part(numbered, wanted, limit) if not search else _search(numbered, wanted, search, limit)

    async def aexpand(
        self, id: str, lines: str | None = None, search: str | None = None, max_chars: int | None = None
    ) -> str:
        """The async twin of `expand`; works in a thread."""
        return await asyncio.to_thread(self.expand, id, lines, search, max_chars)

    def handle(self, name: str, arguments: str | Mapping[str, Any]) -> str:
        """Answer a tool call.

        Args:
            name: The tool that the model called.
            arguments: As the provider gives them: OpenAI a JSON text, Anthropic an object.
        """
        if name != TOOL_NAME:
            return f"There is no tool {name[:40]!r} here; this one is called {TOOL_NAME!r}."
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except (ValueError, RecursionError):
                return "The arguments are not valid JSON. " + _USAGE
        if not isinstance(arguments, Mapping):
            return "The arguments are not an object. " + _USAGE
        unknown = [key for key in arguments if key not in ARGUMENTS]
        if unknown:
            return f"There is no argument {str(unknown[0])[:40]!r}. {_USAGE}"
        id, lines, search = (arguments.get(key) for key in ("id", "lines", "search"))
        if isinstance(lines, int) and not isinstance(lines, bool):
            lines = str(lines) if abs(lines) < 10**12 else "0"
        if not isinstance(id, str) or not isinstance(lines, str | None) or not isinstance(search, str | None):
            return "An argument is missing or is not a text. " + _USAGE
        return self.expand(id, lines, search)

    async def ahandle(self, name: str, arguments: str | Mapping[str, Any]) -> str:
        """The async twin of `handle`; works in a thread."""
        return await asyncio.to_thread(self.handle, name, arguments)

    def openai_tool(self) -> dict[str, Any]:
        """The tool for OpenAI's chat completions, in strict mode."""
        return {"type": "function", "function": _function()}

    def openai_responses_tool(self) -> dict[str, Any]:
        """The tool for OpenAI's responses, in strict mode."""
        return {"type": "function", **_function()}

    def anthropic_tool(self) -> dict[str, Any]:
        """The tool for Anthropic's messages."""
        return {"name": TOOL_NAME, "description": DESCRIPTION, "input_schema": _parameters(["id"])}


_USAGE: Final = 'Call it like {"id": "abcdefghij", "lines": "10-40", "search": null}.'

_search = search  # The method's argument of that name hides it.


def _function() -> dict[str, Any]:
    # OpenAI's strict mode wants every property required; what may be left out is null instead.
    return {
        "name": TOOL_NAME,
        "description": DESCRIPTION,
        "strict": True,
        "parameters": _parameters(list(ARGUMENTS)),
    }


def _parameters(required: list[str]) -> dict[str, Any]:
    types = {key: "string" if key == "id" else ["string", "null"] for key in ARGUMENTS}
    return {
        "type": "object",
        "properties": {key: {"type": types[key], "description": text} for key, text in ARGUMENTS.items()},
        "required": required,
        "additionalProperties": False,
    }


def _name(given: str) -> str | None:
    """The id in what a model gave as one: itself, or the line around it, in any case."""
    found = re.findall(rf"(?<![a-z0-9]){_ID}(?![a-z0-9])", given[:200].lower())
    return cast(str, found[0]) if len(set(found)) == 1 else None
