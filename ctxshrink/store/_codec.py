"""Texts as bytes, and what they are called."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from ctxshrink.errors import ConfigError

ID_LENGTH: Final = 10
"""Characters of an id: 50 bits. Among a million texts the chance of any collision is 1 in 2,000."""


def encode(text: str) -> bytes:
    """UTF-8; lone surrogates, which it has no place for, come out like other code points."""
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  callers without a type checker
        raise ConfigError(f"the store keeps texts; got {type(text).__name__}")
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes) -> str:
    """The inverse of `encode`."""
    return data.decode("utf-8", "surrogatepass")


def digest(data: bytes) -> bytes:
    """BLAKE2b-256."""
    return hashlib.blake2b(data, digest_size=32).digest()


def short_id(content: bytes) -> str:
    """The id of a text with this digest."""
    return base64.b32encode(content).decode()[:ID_LENGTH].lower()
