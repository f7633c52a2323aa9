"""A provider's prompt cache, simulated: exact prefixes, smallest prefix, lifetime, marks or steps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from ctxshrink.economics import Usage
from ctxshrink.providers import CacheRules
from ctxshrink.types import TokenCounter

SECONDS: Final = 20.0
"""Time between two requests: well within every lifetime, as in an agent's loop."""


class SimulatedCache:
    """One provider's prompt cache, for requests made of messages.

    Where the provider wants marks, every request has one at the end of its leading instructions and one at its end, and
    a later request reads the longest prefix that ends at a mark of an earlier one. Without marks a prefix is read in
    steps, down to the first differing character. Entries live for `CacheRules.lifetime` after their last use.

    Args:
        rules: The provider's.
        counter: Counts tokens of rendered messages.
    """

    def __init__(self, rules: CacheRules, counter: TokenCounter) -> None:
        self._rules, self._counter = rules, counter
        self._sizes: dict[str, int] = {}
        self._entries: dict[bytes, float] = {}  # Prefix that ends at a mark -> time of its last use.
        self._earlier: list[tuple[list[str], float]] = []
        self._now = 0.0

    def request(self, messages: Sequence[dict[str, Any]], seconds: float = SECONDS) -> Usage:
        """Sends a request, ``seconds`` after the one before; returns its input tokens."""
        self._now += seconds
        rendered = [render(m) for m in messages]
        sizes = self._count(rendered)
        total = sum(sizes)
        if total < self._rules.min_prefix:
            return Usage(uncached=total)
        if self._rules.step is None:
            return self._marked(messages, rendered, sizes)
        read = min(max((self._common(rendered, r) for r in self._live()), default=0), total)
        read = read // self._rules.step * self._rules.step
        read = read if read >= self._rules.min_prefix else 0
        self._earlier.append((rendered, self._now))
        stored = total // self._rules.step * self._rules.step
        return Usage(uncached=total - max(read, stored), written=max(0, stored - read), read=read)

    def _marked(self, messages: Sequence[dict[str, Any]], rendered: list[str], sizes: list[int]) -> Usage:
        leading = next((i for i, m in enumerate(messages) if m["role"] not in ("system", "developer")), len(messages))
        state, read, size = blake2b(digest_size=16), 0, 0
        for i, (text, tokens) in enumerate(zip(rendered, sizes, strict=True), 1):
            data = text.encode("utf-8", "surrogatepass")
            state.update(len(data).to_bytes(8, "little") + data)
            key, size = state.digest(), size + tokens
            used = self._entries.get(key)
            if used is not None and self._now - used <= self._rules.lifetime:
                read, self._entries[key] = size, self._now
            elif i in (leading, len(rendered)) and size >= self._rules.min_prefix:
                self._entries[key] = self._now
        return Usage(written=size - read, read=read)

    def _live(self) -> Iterator[list[str]]:
        for i, (rendered, used) in enumerate(self._earlier):
            if self._now - used <= self._rules.lifetime:
                self._earlier[i] = rendered, self._now
                yield rendered

    def _common(self, here: list[str], there: list[str]) -> int:
        """Tokens of the common prefix of two requests."""
        same = next((i for i, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), None)
        if same is None:
            return sum(self._count(here[: min(len(here), len(there))]))
        a, b = here[same], there[same]
        end = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        return sum(self._count(here[:same])) + self._counter.count([a[:end]])[0]

    def _count(self, rendered: Sequence[str]) -> list[int]:
        new = [r for r in dict.fromkeys(rendered) if r not in self._sizes]
        self._sizes.update(zip(new, self._counter.count(new), strict=True))
        return [self._sizes[r] for r in rendered]


def render(message: Mapping[str, Any]) -> str:
    """A message as the provider's tokenizer may see it: canonical JSON, keys in their own order."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
