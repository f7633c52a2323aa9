"""What a scorer read in one call of `nll`, kept for the next: prefixes in blocks of tokens.

A block is found by all tokens from the start of the text to its end, so its keys and values are those that the model
would compute again: reuse is exact, and only what was cut or changed before a block is read anew. This is the
prefix cache of a server (Kwon et al. 2023, arXiv 2309.06180, section 4.4), for the time of one job.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ctxshrink._lru import LruCache
from ctxshrink.scorers._offsets import TokenScorer
from ctxshrink.types import Span

_Pair = tuple[str, str]
_Nats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Block:
    """What was computed for a block of tokens after a prefix.

    Attributes:
        cache: Keys and values, in a form that is the model's affair.
        nbytes: Their size.
    """

    cache: Any
    nbytes: int


class Blocks:
    """Blocks by their prefix, those that were used last.

    Args:
        size: Tokens of a block.
        most: Bytes of keys and values that are held at most.
    """

    def __init__(self, size: int, most: int) -> None:
        self.size = size
        self._held: LruCache[Block] = LruCache(most)

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return self._held.nbytes

    @staticmethod
    def key(before: bytes, ids: Sequence[int]) -> bytes:
        """The key of a block.

        Args:
            before: The key of the block before it; empty at the start of a text.
            ids: Its tokens.
        """
        return hashlib.blake2b(before + np.asarray(ids, dtype=np.int64).tobytes(), digest_size=16).digest()

    def get(self, key: bytes) -> Block | None:
        """The block of a key, if it is held."""
        return self._held.get(key)

    def put(self, key: bytes, block: Block) -> None:
        """Holds a block, and lets go of others that were not used for the longest time."""
        self._held.put(key, block)


@runtime_checkable
class SessionScorer(TokenScorer, Protocol):
    """A scorer that can keep what it read from one call to the next."""

    def session(self) -> TokenScorer:
        """The same scorer with a memory of its own, which ends with it; for one thread."""
        ...


def open_session(scorer: TokenScorer) -> TokenScorer:
    """A scorer's session, where it has them; else the scorer."""
    return scorer.session() if isinstance(scorer, SessionScorer) else scorer


class Session:
    """A scorer over blocks that are kept; implements `TokenScorer`.

    Args:
        scorer: The scorer; its numbers are given.
        nll: Its `nll`, over the blocks.
    """

    def __init__(self, scorer: TokenScorer, nll: Callable[[Sequence[_Pair]], list[_Nats]]) -> None:
        self.name, self.max_context = scorer.name, scorer.max_context
        self._scorer, self._nll = scorer, nll

    def __repr__(self) -> str:
        return f"{self._scorer!r}.session()"

    def nll(self, pairs: Sequence[_Pair], /) -> list[_Nats]:
        """Nats of every token of each target after its context; see `ctxshrink.types.Scorer.nll`."""
        return self._nll(pairs)

    def token_spans(self, targets: Sequence[str], /) -> list[list[Span]]:
        """Where the tokens of each target stand; see `ctxshrink.scorers.TokenScorer.token_spans`."""
        return self._scorer.token_spans(targets)
