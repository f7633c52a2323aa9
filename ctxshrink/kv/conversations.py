"""Conversations in front of a model: what is old is read once and compressed, the newest turn is asked behind it."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ctxshrink.errors import ConfigError
from ctxshrink.kv.compressor import KVCompressor
from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.fingerprint import fingerprint
from ctxshrink.kv.pool import ContextPool
from ctxshrink.kv.prompts import Message, context_ids, prompt_ids, template_hash
from ctxshrink.kv.types import Selector

__all__ = ["Asked", "KVConversations", "tokens_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What the model is to read for an answer.

    Attributes:
        context: What was read before; None where the ids are everything.
        ids: The new tokens, int64, shape (1, q).
        created: Tokens of the context that had to be read now.
        reason: Why there is no context; "" where there is one.
    """

    context: CompressedContext | None
    ids: Tensor
    created: int = 0
    reason: str = ""

    @property
    def reused(self) -> int:
        """Tokens of the context that had been read before."""
        return 0 if self.context is None else tokens_of(self.context) - self.created

    @property
    def tokens(self) -> int:
        """All tokens of the prompt, whether they are still stored or not."""
        return self.created + self.reused + int(self.ids.shape[1])

    def figures(self) -> dict[str, Any]:
        """What a seat says about it, JSON-ready; no text."""
        told: dict[str, Any] = {"read": self.created + int(self.ids.shape[1]), "reused": self.reused}
        if self.context is None:
            return {**told, "reason": self.reason}
        report = self.context.report
        names = ("tokens", "kept", "keep", "nbytes", "nbytes_full", "bytes_ratio", "fallback", "reason")
        return {**told, **{name: getattr(report, name) for name in names}}


class KVConversations:
    """Finds, makes and extends the contexts of conversations.

    The newest turn is what begins with the last message of a user; everything before it is compressed. A conversation
    that goes on from one that is in the pool extends it: what was read stays, new turns enter exact and grow old.
    Selectors that rank a whole context at once (KVzip) read all of it again. Safe between threads; two that bring the
    same new conversation at once read it once.

    Args:
        kv: The compressor, with a tokenizer.
        context: One context that all questions are about; nothing else is then compressed.
        pool: Where contexts are kept.
    """

    def __init__(self, kv: KVCompressor, *, context: CompressedContext | None = None, pool: ContextPool) -> None:
        self._kv, self._context, self._pool = kv, context, pool
        # Our own selectors say all that they are; two trained ones of the same shape would look alike.
        own = type(kv.selector).__module__.startswith("ctxshrink.kv.selectors.")
        self._ranking = repr(kv.selector) if own else f"{kv.selector.name} {secrets.token_hex(16)}"

    def asked(self, messages: Sequence[Message]) -> Asked:
        """What to read for an answer to some messages.

        Args:
            messages: The conversation so far; behind a context of `context`, what was said about it.

        Raises:
            ConfigError: There are no messages, one holds more than text, or there is no chat template.
        """
        if self._context is not None:
            return Asked(self._context, self._kv.question(self._context, messages))
        split = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=len(messages) - 1)
        reason = "there is nothing before the newest turn"
        if split > 0:
            try:
                # Where the template puts no turn behind them, the conversation is read as it is.
                context_ids(self._kv.tokenizer, messages[:split])
            except ConfigError as error:
                reason = str(error)
            else:
                context, created = self._read(messages[:split])
                try:
                    return Asked(context, self._kv.question(context, messages[split:]), created)
                except ConfigError as error:
                    reason = str(error)
        return Asked(None, prompt_ids(self._kv.tokenizer, messages), reason=reason)

    def _read(self, messages: Sequence[Message]) -> tuple[CompressedContext, int]:
        """The context of some messages, and how many tokens were read for it."""
        keys = self._keys(messages)
        created = 0

        def make() -> CompressedContext:
            nonlocal created
            for count in range(len(keys) - 1, 0, -1):
                known = self._pool.get(keys[count - 1])
                longer = None if known is None else self._extended(known, messages[count:])
                if known is not None and longer is not None:
                    created = tokens_of(longer) - tokens_of(known)
                    return longer
            made = self._kv.compress(messages)
            created = tokens_of(made)
            return made

        return self._pool.get_or_make(keys[-1], make), created

    def _extended(self, known: CompressedContext, new: Sequence[Message]) -> CompressedContext | None:
        if not isinstance(self._kv.selector, Selector):
            return None
        try:
            return self._kv.extend(known, new)
        except ConfigError:  # the template cannot put these turns behind others: read all of it
            return None

    def _keys(self, messages: Sequence[Message]) -> list[str]:
        """A key for each beginning of the conversation, that no other compressor's contexts have."""
        kv = self._kv
        settings = fingerprint(kv.model), template_hash(kv.tokenizer), self._ranking, kv.once, kv.policy, kv.guardrail
        state = hashlib.sha256(repr(settings).encode("utf-8", "surrogatepass"))
        keys: list[str] = []
        for message in messages:
            data = json.dumps(_plain(message), sort_keys=True, default=str).encode("utf-8")
            state.update(len(data).to_bytes(8, "little") + data)
            keys.append(state.hexdigest())
        return keys


def tokens_of(context: CompressedContext) -> int:
    """Tokens of a context, kept or not, rows together, without padding."""
    return context.length * context.batch - int(context.padding.sum())


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in message.items() if v is not None}
