"""What providers charge for cached prompts, as a dated table.

A provider keeps the start of a request; a later request that starts with the same bytes reads it back at a discount.
The rules differ and change, so that none of them stands in the code: `RULES` is a table with the day each row was read
and where, and every function that needs a rule takes a `CacheRules`, which a caller can make or change with
``dataclasses.replace``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from .errors import ConfigError


@dataclass(frozen=True, slots=True)
class CacheRules:
    """How one family of models caches prompts.

    Attributes:
        provider: Who.
        models: Which of its models, in words.
        min_prefix: Tokens of the shortest prefix that is cached; below it a request is billed as plain input.
        write: Price of a token written to the cache, as a factor of the plain input price.
        read: Price of a token read from it, as a factor of the plain input price.
        lifetime: Seconds that an entry lives after it was last used.
        max_breakpoints: Most ``cache_control`` marks of a request; 0 where there are none.
        automatic: True where prefixes are cached without marks.
        step: Tokens by which a cached prefix grows; None where it ends at a mark.
        as_of: Day the row was read, ISO 8601; "" for rules of the caller's own.
        source: Where it was read.
    """

    provider: str
    models: str
    min_prefix: int
    write: float
    read: float
    lifetime: float
    max_breakpoints: int = 0
    automatic: bool = True
    step: int | None = None
    as_of: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if not (self.write >= 0 and self.read >= 0):
            raise ConfigError(f"write and read must be factors of the input price, 0 or more; got {self!r}")
        if self.min_prefix < 0 or self.max_breakpoints < 0 or not self.lifetime > 0:
            raise ConfigError(f"min_prefix and max_breakpoints must be 0 or more, lifetime positive; got {self!r}")
        if self.step is not None and self.step < 1:
            raise ConfigError(f"step must be 1 or more tokens, or None; got {self.step!r}")


_ANTHROPIC: Final = CacheRules(
    provider="anthropic",
    models="Sonnet 4, 4.5, 4.6 and 5, Opus 4, 4.1 and 4.8",
    min_prefix=1024,
    write=1.25,
    read=0.1,
    lifetime=300,
    max_breakpoints=4,
    automatic=False,
    as_of="2026-11-22",
    source="Anthropic's prompt caching guide (prices, marks, lifetime); its smallest prefixes as reported by others",
)
_OPENAI: Final = CacheRules(
    provider="openai",
    models="the GPT-5.6 family and later",
    min_prefix=1024,
    write=1.25,
    read=0.1,
    lifetime=300,
    step=128,
    as_of="2026-11-22",
    source="OpenAI's prompt caching guide; lifetime and step as published for the models before",
)

RULES: Final[dict[str, CacheRules]] = {
    "anthropic": _ANTHROPIC,
    "anthropic-1h": replace(_ANTHROPIC, write=2.0, lifetime=3600),
    "anthropic-512": replace(_ANTHROPIC, models="Opus 5", min_prefix=512),
    "anthropic-2048": replace(_ANTHROPIC, models="Opus 4.7, Haiku 3 and 3.5", min_prefix=2048),
    "anthropic-4096": replace(_ANTHROPIC, models="Opus 4.5 and 4.6, Haiku 4.5", min_prefix=4096),
    "openai": _OPENAI,
    "openai-gpt-5": replace(_OPENAI, models="GPT-5 to GPT-5.5", write=1.0),
    "openai-gpt-4.1": replace(_OPENAI, models="GPT-4.1", write=1.0, read=0.25),
    "openai-gpt-4o": replace(_OPENAI, models="GPT-4o and the o series", write=1.0, read=0.5),
}
"""Rules by name. A plain provider's name is its newest models' row."""


def cache_rules(provider: str | CacheRules | None) -> CacheRules | None:
    """The rules that a caller named.

    Args:
        provider: A key of `RULES`, rules of the caller's own, or None for a model that caches nothing.

    Raises:
        ConfigError: No row has that name.
    """
    if provider is None or isinstance(provider, CacheRules):
        return provider
    found = RULES.get(provider) if isinstance(provider, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
    if found is None:
        known = ", ".join(RULES)
        raise ConfigError(f"provider must be one of {known}, a CacheRules, or None; got {provider!r}")
    return found
