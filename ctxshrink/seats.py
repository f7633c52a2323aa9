"""What every seat needs beside the `Shrinker`: inputs by shape, early checks, figures for metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from .documents import parse_documents
from .errors import ConfigError, FormatError
from .messages import OpenAIResponsesFormat, Parsed, Place, detect
from .policies import check_keep, check_max_tokens
from .text import content_type
from .types import Decision, Segment

METADATA_KEY: Final = "ctxshrink"
"""The one key that seats add to a document's or node's metadata."""

ACCEPTED: Final = (
    'a str, a list of str, of dicts with "text", of LangChain documents or LlamaIndex nodes, '
    "or a list of messages (dicts of OpenAI Chat Completions, OpenAI Responses or Anthropic; LangChain messages once "
    "langchain_ctxshrink is imported)"
)
"""What `parse_any` accepts, for error messages."""

_RESPONSES: Final = OpenAIResponsesFormat()
"""The one format whose items may have no role."""

_TEXT_FIELDS: Final = (
    ("page_content",),  # LangChain Document
    ("text",),  # LlamaIndex TextNode
    ("text_resource", "text"),  # LlamaIndex Document
    ("node", "text"),  # LlamaIndex NodeWithScore
    ("node", "text_resource", "text"),
)


def check_goal(keep: float | None, max_tokens: int | None) -> None:
    """Check the goal of a seat when it is set up, not at its first call.

    Raises:
        ConfigError: Both are given, or one is out of range.
    """
    if keep is not None and max_tokens is not None:
        raise ConfigError("give keep or max_tokens, not both; for both bounds give the shrinker a policy")
    if keep is not None:
        check_keep(keep)
    if max_tokens is not None:
        check_max_tokens(max_tokens)


def emptied(decision: Decision) -> bool:
    """True when a text went in and none came out; ``drop_empty=True`` leaves such a piece out."""
    return bool(decision.segment.text) and not decision.text


def figures(decision: Decision) -> dict[str, Any]:
    """The JSON-ready value of `METADATA_KEY`: what happened to one piece, without its text.

    Keys: ``action``, ``reason``, ``tokens_before``, ``tokens_after``, and ``score``, the guardrail's estimated
    probability that needed text was lost (None where nothing was judged).
    """
    verdict = decision.verdict
    return {
        "action": decision.action,
        "reason": decision.reason,
        "tokens_before": decision.tokens_before,
        "tokens_after": decision.tokens_after,
        "score": None if verdict is None else round(verdict.score, 4),
    }


def parse_any(value: Any) -> Parsed:
    """Text, documents or messages as segments, recognised by shape; None gives no segments.

    Raises:
        FormatError: None of the `ACCEPTED` shapes.
    """
    if value is None:
        return Parsed(())
    if isinstance(value, str):
        return parse_documents([value])
    if not isinstance(value, list | tuple):
        raise FormatError(f"it is of type {type(value).__name__}")
    items = cast("Sequence[Any]", value)
    if all(isinstance(item, str) or _is_document(item) for item in items):
        return parse_documents(items)
    paths = [_text_field(item) for item in items]
    if None in paths:
        return detect(items).parse(items)
    segments: list[Segment] = []
    places: dict[str, Place] = {}
    for index, (item, path) in enumerate(zip(items, paths, strict=True)):
        text = cast("str", _walk(item, path or ()))
        segments.append(Segment(str(index), text, content_type=content_type(text)))
        places[str(index)] = Place(index, path)
    return Parsed(tuple(segments), tuple(items), places)


def _text_field(item: object) -> tuple[str, ...] | None:
    """The way to the text of a framework's document, recognised by its pydantic fields; None for anything else."""
    return next((path for path in _TEXT_FIELDS if isinstance(_walk(item, path), str)), None)


def _walk(item: object, path: Sequence[str]) -> object:
    for name in path:
        if name not in getattr(type(item), "model_fields", ()):
            return None
        item = getattr(item, name)
    return item


def _is_document(item: object) -> bool:
    """True for every mapping that is no message: a message may lack content, and a document may have a role."""
    if not isinstance(item, Mapping):
        return False
    return "text" in item or ("role" not in item and not _RESPONSES.matches([item]))
