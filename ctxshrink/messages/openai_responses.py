"""OpenAI Responses items, as ``input`` takes and ``output`` returns them: dicts, or the SDK's own objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ctxshrink.messages import locks
from ctxshrink.messages.builder import Builder
from ctxshrink.messages.checks import check_messages, misplaced, to_json
from ctxshrink.messages.drafts import Caller
from ctxshrink.messages.parsed import Parsed, Path, Pin, as_parts, is_record, read, read_parts, read_text
from ctxshrink.types import Kind

_KINDS: Final[dict[str, Kind]] = {
    "system": "instruction",
    "developer": "instruction",
    "user": "user",
    "assistant": "assistant",
}
_CALLS: Final[dict[str, tuple[str, ...]]] = {
    # Where the name and the arguments of a call are.
    "function_call": ("name", "arguments"),
    "custom_tool_call": ("name", "input"),
    "mcp_call": ("name", "arguments"),
    "mcp_approval_request": ("name", "arguments"),
    "tool_search_call": ("type", "arguments"),
    "local_shell_call": ("type", "action"),
    "shell_call": ("type", "action"),
    "computer_call": ("type", "action"),
    "web_search_call": ("type", "action"),
    "apply_patch_call": ("type", "operation"),
    "file_search_call": ("type", "queries"),
    "code_interpreter_call": ("type", "code"),
    "image_generation_call": ("type", "revised_prompt"),
    "program": ("type", "code"),
}
_RESULTS: Final = frozenset(
    {"function_call_output", "custom_tool_call_output", "shell_call_output", "apply_patch_call_output"}
)
"""Results that the caller's own tools wrote, as text."""
_CALLERS: Final = frozenset({"mcp_approval_response", "configuration_update", "compaction_trigger"})
"""What the caller adds beside messages and results."""
_OWN: Final = (
    _CALLERS
    | frozenset({*_CALLS, *_RESULTS, "reasoning", "compaction", "item_reference"})
    | {
        "computer_call_output",
        "local_shell_call_output",
        "tool_search_output",
        "program_output",
        "mcp_list_tools",
        "additional_tools",
    }
)
_OWN_PARTS: Final = frozenset({"input_text", "output_text", "input_image", "input_file"})
_TEXTS: Final = frozenset({"input_text", "output_text", "text"})
_FAILED: Final = frozenset({"failed", "incomplete"})


class OpenAIResponsesFormat:
    """OpenAI Responses: a flat list of messages, calls, results and reasoning; messages may be ``{role, content}``.

    Items of one answer of the model (reasoning, message, calls) are one turn. Results of hosted tools stay exact, and
    so do results whose shape the API defines (screenshots, ``local_shell_call_output``, which is JSON).
    """

    name = "openai_responses"

    def matches(self, messages: Sequence[Any], /) -> bool:
        """True when an item or a part of a message is one that only this API has."""
        return any(_own(item) for item in messages)

    def parse(self, messages: Sequence[Any], /, pin: Pin = None) -> Parsed:
        """The conversation as segments; see `MessageFormat.parse`."""
        builder = self.grow(pin)
        builder.feed(messages)
        return builder.build()

    def grow(self, pin: Pin = None) -> Builder:
        """An empty conversation; see `GrowingFormat.grow`."""
        return Builder(_walk, pin, check=lambda messages, first: check_messages(messages, first, _typed))


def _own(item: object) -> bool:
    kind = read_text(item, "type")
    if kind in _OWN or kind.endswith(("_call", "_call_output")):
        return misplaced(item) is None
    if kind == "message" and isinstance(read(item, "content"), str):
        return True
    return any(read_text(part, "type") in _OWN_PARTS for part in read_parts(item, "content"))


def _typed(item: object) -> bool:
    """True for an item that needs no role; a reference may consist of an id alone."""
    kind = read(item, "type")
    return isinstance(kind, str) and kind != "message" if kind is not None else isinstance(read(item, "id"), str)


def _role(item: object) -> str:
    """A message's role; for other items "assistant" when they are part of the model's answer, else ""."""
    kind = read_text(item, "type")
    if isinstance(read(item, "role"), str):
        return read_text(item, "role")
    return "" if kind in _CALLERS or (kind.endswith("_output") and kind != "program_output") else "assistant"


def _walk(builder: Builder) -> None:
    for item, role in builder.messages(_role, runs=True):
        kind = read_text(item, "type")
        if kind in ("", "message") and role:
            _message(builder, item, role)
        elif kind in _CALLS or kind.endswith("_call"):
            _call(builder, item, kind)
        elif kind in _RESULTS:
            _result(builder, item)
        else:
            _other(builder, item, kind)
        builder.breakpoint(item)


def _message(builder: Builder, item: object, role: str) -> None:
    kind, lock = locks.of_role(role, _KINDS)
    _content(builder, item, "content", (), kind, lock)


def _content(
    builder: Builder, item: object, key: str, where: Path, kind: Kind, lock: str | None, owner: Caller | None = None
) -> None:
    """A text or a list of parts under a key of an item."""
    builder.text(where, read(item, key), kind, path=(key,), lock=lock, owner=owner)
    for index, part in enumerate(read_parts(item, key)):
        inner: Path = (*where, index)
        if isinstance(part, str):  # Not in the specification, but common in hand-written histories.
            builder.text(inner, part, kind, path=(key, index), lock=lock, owner=owner)
        elif read_text(part, "type") in _TEXTS:
            cited = locks.CITED if as_parts(read(part, "annotations")) else None
            path: Path = (key, index, "text")
            builder.text(inner, read(part, "text"), kind, path=path, lock=lock or cited, owner=owner)
        elif read_text(part, "type") == "refusal":
            builder.text(inner, read(part, "refusal"), kind, lock=lock or locks.REFUSAL, owner=owner)
        else:
            builder.opaque(inner, part, kind, lock or locks.UNKNOWN_BLOCK, owner)
        builder.breakpoint(part)


def _call(builder: Builder, item: object, kind: str) -> None:
    """A call, and for hosted tools the result that came with it."""
    name, arguments = _CALLS.get(kind, ("type", "arguments"))
    call_id = read(item, "call_id") or read(item, "id")
    builder.call((), read(item, name), read(item, arguments), call_id, read(item, "caller"))
    for key in ("output", "outputs", "results", "error"):
        value = read(item, key)
        if isinstance(value, str):
            builder.text((key,), value, "tool_result", lock=locks.SERVER_RESULT)
        elif value is not None:
            builder.opaque((key,), {"content": value}, "tool_result", locks.SERVER_RESULT)


def _result(builder: Builder, item: object) -> None:
    call_id = read(item, "call_id") or read(item, "id")
    lock = locks.FAILED if read_text(item, "status") in _FAILED or read(item, "error") else None
    if builder.programmatic(call_id) or read_text(read(item, "caller"), "type") not in ("", "direct"):
        lock = lock or locks.PROGRAM
    owner = builder.caller(call_id)
    if read(item, "type") != "shell_call_output":
        _content(builder, item, "output", (), "tool_result", lock, owner)
        return
    for index, chunk in enumerate(read_parts(item, "output")):
        outcome = read(chunk, "outcome")
        failed = is_record(outcome) and read(outcome, "exit_code") != 0  # A timeout has no exit code.
        for key in ("stdout", "stderr"):
            why = lock or (locks.FAILED if failed else None)
            path: Path = ("output", index, key)
            builder.text((index, key), read(chunk, key), "tool_result", path=path, lock=why, owner=owner)


def _other(builder: Builder, item: object, kind: str) -> None:
    """Items that are never changed; what they say is counted where it is not encrypted."""
    if kind == "reasoning":
        for key in ("summary", "content"):
            for index, part in enumerate(read_parts(item, key)):
                builder.text((key, index), read(part, "text"), "assistant", lock=locks.REASONING)
    elif kind in ("mcp_list_tools", "tool_search_output", "additional_tools"):
        builder.text((), to_json(read(item, "tools")), "instruction", lock=locks.TOOLS)
    elif kind in ("computer_call_output", "local_shell_call_output"):
        lock = locks.FAILED if read_text(item, "status") in _FAILED else locks.UNKNOWN_BLOCK
        builder.opaque((), item, "tool_result", lock, builder.caller(read(item, "call_id") or read(item, "id")))
    elif kind == "program_output":
        builder.text((), read(item, "result"), "tool_result", lock=locks.SERVER_RESULT)
    elif kind == "mcp_approval_response":
        builder.text((), read(item, "reason"), "user", lock=locks.UNKNOWN_BLOCK)
    elif kind not in ("compaction", "item_reference"):
        builder.opaque((), item, "tool_result", locks.UNKNOWN_BLOCK)
