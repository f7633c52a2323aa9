"""Why a text must come out byte for byte: the reasons that message formats give, as they stand on decisions."""

from __future__ import annotations

from typing import Final

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
