"""Where the tokens of a text stand in it, for what selects text by its tokens' likelihoods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from ctxshrink.types import Scorer, Span


@runtime_checkable
class TokenScorer(Scorer, Protocol):
    """A scorer that also says where the tokens of a target stand.

    `Scorer.nll` and `token_spans` belong together: the nats of a target are those of its spans, one for one. A scorer
    that also has ``session()`` gives with it a scorer of the same numbers that may keep what it read from one call to
    the next; what asks with growing contexts, as `surprisal` does, opens one.
    """

    def token_spans(self, targets: Sequence[str], /) -> list[list[Span]]:
        """Characters of every token that `nll` scores in each target.

        The spans of a target tile it: they begin at 0, each begins where the one before ends, and the last ends at its
        length. White space that a tokenizer passes over belongs to the token behind it, or to the last one. Of several
        tokens within one character the first has the character and the others are empty. A text of which a tokenizer
        makes no token (white space, for some) has no spans.

        Returns:
            For each target as many spans as `nll` gives nats, in order.
        """
        ...


def tile(offsets: Iterable[Span], size: int) -> list[Span]:
    """Offsets as a tokenizer gives them, made to tile a text.

    Args:
        offsets: Start and end of each token, in the order of the tokens; with gaps, overlaps and repeats.
        size: Characters of the text.
    """
    ends: list[int] = []
    last = 0
    for _, end in offsets:
        last = min(size, max(last, end))
        ends.append(last)
    if ends:
        ends[-1] = size
    return list(zip([0, *ends], ends, strict=False))


__all__ = ["TokenScorer", "tile"]
