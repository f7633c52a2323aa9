"""Marks that tell a provider how much of a request to cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from ctxshrink.errors import ConfigError
from ctxshrink.messages import detect
from ctxshrink.messages.marks import count_marks
from ctxshrink.messages.parsed import as_parts, read, read_text, with_texts
from ctxshrink.providers import CacheRules, cache_rules
from ctxshrink.tokens import resolve_counter
from ctxshrink.types import TokenCounter

_KEY: Final = "cache_control"
_MARK: Final = {"type": "ephemeral"}
_UNMARKED: Final = frozenset({"thinking", "redacted_thinking"})
"""Blocks that Anthropic refuses a mark on."""


def place_breakpoints(
    messages: Sequence[Any],
    provider: str | CacheRules = "anthropic",
    *,
    frozen: int | None = None,
    used: int = 0,
    prefix_tokens: int = 0,
    counter: TokenCounter | None = None,
) -> list[Any]:
    """The messages with ``cache_control`` marks where a conversation that grows at its end needs them.

    In order of what they are worth: on the newest message, so that the next request reads all of this one; at the end
    of what will not change, so that a later rewriting step still finds a cached prefix; at the end of the leading
    instructions. The caller's own marks stay, and count.

    Args:
        messages: Messages of dicts, such as a conversation's output; never mutated.
        provider: Its rules say how many marks a request may have and which prefix is too short for one. Where the
            provider takes none, the messages come back without new ones.
        frozen: Number of messages from the start that later requests will have unchanged; None: all up to the newest
            answer of the model, which is what the last request ended with.
        used: Marks that the request has outside these messages, on tools or a system prompt.
        prefix_tokens: Tokens of the request before these messages.
        counter: Counts tokens; None: the embedded counter.

    Returns:
        A new list of the same messages; where a mark was put on plain text, it became a text block.

    Raises:
        FormatError: The messages have no known shape.
        ConfigError: An argument is out of range.
    """
    rules = cache_rules(provider)
    if frozen is not None and not 0 <= frozen <= len(messages):
        raise ConfigError(f"frozen must be a number of messages from 0 to {len(messages)}; got {frozen!r}")
    if used < 0 or prefix_tokens < 0:
        raise ConfigError("used and prefix_tokens must be 0 or more")
    out = [with_texts(m, {}) for m in messages]
    room = (rules.max_breakpoints if rules else 0) - used - sum(count_marks(m) for m in messages)
    if rules is None or room <= 0 or not messages:
        return out
    sizes = _sizes(messages, resolve_counter("embedded") if counter is None else counter)
    ends = [prefix_tokens]
    for size in sizes:
        ends.append(ends[-1] + size)
    for wanted in _wanted(messages, frozen):
        at = next((i for i in range(wanted, -1, -1) if _takes_mark(out[i])), -1)
        if room and at >= 0 and ends[at + 1] >= rules.min_prefix and not count_marks(out[at]):
            out[at] = _marked(out[at])
            room -= 1
    return out


def _wanted(messages: Sequence[Any], frozen: int | None) -> Iterator[int]:
    """Indices of the messages after which a mark is worth most, best first."""
    yield len(messages) - 1
    roles = [read_text(m, "role") for m in messages]
    if frozen is None:
        frozen = max((i for i, role in enumerate(roles) if role == "assistant"), default=0)
    if frozen:
        yield frozen - 1
    leading = next((i for i, role in enumerate(roles) if role not in ("system", "developer")), len(roles))
    if leading:
        yield leading - 1


def _sizes(messages: Sequence[Any], counter: TokenCounter) -> list[int]:
    """Tokens of each message's text."""
    parsed = detect(messages).parse(messages)
    sizes = [0] * len(messages)
    for segment, size in zip(parsed.segments, counter.count([s.text for s in parsed.segments]), strict=True):
        sizes[parsed.index_of(segment.id)] += size
    return sizes


def _takes_mark(message: object) -> bool:
    content = read(message, "content") if _is_dict(message) else None
    return bool(content) if isinstance(content, str) else _place(as_parts(content)) is not None


def _is_dict(value: object) -> bool:
    """Marks are only put into plain dicts, which can be copied with one key more."""
    return type(value) is dict


def _place(parts: Sequence[object]) -> int | None:
    """Index of the last block that a mark may stand on."""
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        kind = read_text(part, "type")
        if _is_dict(part) and kind not in _UNMARKED and (kind != "text" or read_text(part, "text")):
            return index
    return None


def _marked(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if isinstance(content, str):
        return {**message, "content": [{"type": "text", "text": content, _KEY: dict(_MARK)}]}
    parts = list(cast("Sequence[Any]", content))
    at = _place(parts)
    if at is not None:
        parts[at] = {**cast("Mapping[str, Any]", parts[at]), _KEY: dict(_MARK)}
    return {**message, "content": parts}
