"""A provider's prompt cache, simulated: exact prefixes, smallest prefix, lifetime, marks or steps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from ctxshrink.economics.prices import Usage
from ctxshrink.providers import CacheRules
from ctxshrink.types import TokenCounter

SECONDS: Final = 20.0
"""Time between two requests: well within every lifetime, as in an agent's loop."""

_PREFIX: Final = "\0"
"""Stands for what comes before the messages; no message is rendered like it."""


class SimulatedCache:
    """One provider's prompt cache, for requests made of messages.

    Where the provider wants marks, every request has one at the end of its leading instructions and one at its end, and
    a later request reads the longest prefix that ends at a mark of an earlier one. Without marks a prefix is read in
    steps, down to the first differing character. Entries live for `CacheRules.lifetime` after their last use.

    Args:
        rules: The provider's.
        counter: Counts tokens of rendered messages.
        prefix_tokens: Tokens that each request has before its messages: tool definitions, a system prompt.
    """

    def __init__(self, rules: CacheRules, counter: TokenCounter, *, prefix_tokens: int = 0) -> None:
        self._rules, self._counter, self._prefix = rules, counter, prefix_tokens
        self._sizes: dict[str, int] = {_PREFIX: prefix_tokens}
        self._entries: dict[bytes, float] = {}  # Prefix that ends at a mark -> time of its last use.
        self._chain: list[tuple[str, bytes]] = []  # The last request's messages, each with the key of what ends at it.
        self._earlier: list[tuple[list[str], float]] = []
        self._now = 0.0

    def request(self, messages: Sequence[Mapping[str, Any]], seconds: float = SECONDS) -> Usage:
        """Sends a request, ``seconds`` after the one before; returns its input tokens."""
        return self.send([render(m) for m in messages], leading(messages), seconds)

    def send(self, rendered: Sequence[str], leading: int, seconds: float = SECONDS) -> Usage:
        """`request`, of messages that were rendered before.

        Args:
            rendered: The messages, see `render`.
            leading: How many of the first ones are instructions.
            seconds: Since the request before.
        """
        self._now += seconds
        here, leading = ([_PREFIX, *rendered], leading + 1) if self._prefix else (list(rendered), leading)
        sizes = self._count(here)
        total = sum(sizes)
        if total < self._rules.min_prefix:
            return Usage(uncached=total)
        if self._rules.step is None:
            return self._marked(here, sizes, leading)
        read = min(max((self._common(here, r) for r in self._live()), default=0), total)
        read = read // self._rules.step * self._rules.step
        read = read if read >= self._rules.min_prefix else 0
        # What this request begins with can give later ones no more than it does.
        self._earlier = [(r, used) for r, used in self._earlier if r != here[: len(r)]]
        self._earlier.append((here, self._now))
        stored = total // self._rules.step * self._rules.step
        return Usage(uncached=total - max(read, stored), written=max(0, stored - read), read=read)

    def _marked(self, rendered: list[str], sizes: list[int], leading: int) -> Usage:
        read = size = 0
        for i, (key, tokens) in enumerate(zip(self._keys(rendered), sizes, strict=True), 1):
            size += tokens
            used = self._entries.get(key)
            if used is not None and self._now - used <= self._rules.lifetime:
                read, self._entries[key] = size, self._now
            elif i in (leading, len(rendered)) and size >= self._rules.min_prefix:
                self._entries[key] = self._now
        return Usage(written=size - read, read=read)

    def _keys(self, rendered: list[str]) -> list[bytes]:
        """A hash of each prefix; those of the last request's are not reckoned again, as conversations grow by a few."""
        chain = self._chain
        same = next((i for i, (a, (b, _)) in enumerate(zip(rendered, chain, strict=False)) if a != b), None)
        del chain[min(len(rendered), len(chain)) if same is None else same :]
        key = chain[-1][1] if chain else bytes(16)
        for text in rendered[len(chain) :]:
            key = blake2b(key + text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            chain.append((text, key))
        return [k for _, k in chain]

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


def leading(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many of the first messages are instructions."""
    return next((i for i, m in enumerate(messages) if m.get("role") not in ("system", "developer")), len(messages))


def render(message: Mapping[str, Any]) -> str:
    """A message as the provider's tokenizer may see it: canonical JSON, keys in their own order."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
