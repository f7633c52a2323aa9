"""When rewriting a cached prompt pays."""

from __future__ import annotations

import math

from ctxshrink.policies import check_keep
from ctxshrink.providers import RULES, CacheRules


def break_even_turns(tokens: float, keep: float, after: float = 0.0, rules: CacheRules | None = None) -> float:
    """Turns after which rewriting cached text has paid.

    N > (w - c) / c * (keep * T + S) / ((1 - keep) * T). T tokens are rewritten to keep * T; these and the S tokens
    after them, which no longer follow a cached prefix, are written at w instead of read at c, once; from then on each
    turn reads (1 - keep) * T tokens fewer at c.

    Args:
        tokens: T, the cached tokens that would be rewritten.
        keep: Share of them that would be left, in (0, 1].
        after: S, the cached tokens that stand after the first rewritten one and stay as they are.
        rules: Prices of the provider's cache; None: Anthropic's.

    Returns:
        The number of turns, not rounded; 0 where writing costs no more than reading; infinity where nothing is saved.
    """
    check_keep(keep)
    rules = RULES["anthropic"] if rules is None else rules
    if not tokens > 0 or keep == 1:
        return math.inf
    extra = (rules.write - rules.read) * (keep * tokens + max(after, 0.0))
    saved = rules.read * (1 - keep) * tokens
    return max(0.0, extra / saved) if saved else (0.0 if extra <= 0 else math.inf)
