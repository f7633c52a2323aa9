"""Why a text must come out byte for byte: the reasons that message formats give, as they stand on decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ctxshrink.types import Kind

INSTRUCTION: Final = "an instruction"
NEWEST_USER: Final = "the newest user turn"
TOOL_CALL: Final = "a tool call's name and arguments"
TOOLS: Final = "definitions of tools"
REASONING: Final = "reasoning"
REFUSAL: Final = "a refusal"
COMPACTION: Final = "a compaction by the provider"
CITED: Final = "carries citations"
FAILED: Final = "a failed tool result"
PROGRAM: Final = "a tool result that a program reads"
HEADING: Final = "names a document"
SERVER_RESULT: Final = "a result that the provider's own tool wrote"
CACHED: Final = "inside the provider cache prefix"
PINNED: Final = "pinned by the caller"
UNKNOWN_ROLE: Final = "unknown role"
UNKNOWN_BLOCK: Final = "unknown block type"


def of_role(role: str, kinds: Mapping[str, Kind]) -> tuple[Kind, str | None]:
    """What a message's texts are by its role, and why they must stay exact whatever they are; None where they need not.

    Args:
        role: The role.
        kinds: The roles that the format knows. Texts of any other role may be instructions, and are taken for such.
    """
    kind = kinds.get(role)
    if kind is None:
        return "instruction", UNKNOWN_ROLE
    return kind, INSTRUCTION if kind == "instruction" else None
