"""Reasons without what they quote, for accounts that travel further than prompts should."""

from __future__ import annotations

import re
from typing import Final

_QUOTED: Final = re.compile(r"""['"‘’“”«»].*['"‘’“”«»]""", re.S)
_FAILED: Final = re.compile(r"(.*? failed: [A-Za-z_.]{1,80})\b.*", re.S)
MARK: Final = "'…'"


def redacted(reason: str) -> str:
    """A reason, warning or error with `MARK` for everything from its first to its last quotation mark.

    Quotations may hold quotation marks of their own: what stands between two of them goes as well. Of an exception
    its class is left.
    """
    failed = _FAILED.fullmatch(reason)
    return _QUOTED.sub(MARK, failed[1] if failed else reason)
