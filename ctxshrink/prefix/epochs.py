"""When rewriting what a provider has cached pays."""

from __future__ import annotations

import math

from ctxshrink.economics import break_even_turns
from ctxshrink.errors import ConfigError
from ctxshrink.providers import CacheRules


class Epochs:
    """Says when to rewrite old turns, from what leaving them alone has cost so far.

    Two conditions, both in units of the plain input price. Rewriting must be expected to pay
    (`ctxshrink.economics.break_even_turns` is below the turns that are still expected), and what reading the
    uncompressed turns has cost since the last time must have come up to what rewriting costs now. The second is the
    rent-or-buy rule (Karlin et al. 1988, "Competitive snoopy caching"): it spaces the steps out, and whenever the
    conversation ends, its share of the bill is at most twice that of the best steps in hindsight.

    Args:
        rules: Prices of the provider's cache; None where nothing is cached and rewriting is free.
        expected_turns: Turns that the conversation is expected to have in all; None: as many again as it has had.

    Raises:
        ConfigError: ``expected_turns`` is not positive.
    """

    def __init__(self, rules: CacheRules | None, expected_turns: int | None) -> None:
        if expected_turns is not None and not expected_turns > 0:
            raise ConfigError(f"expected_turns must be a positive number of turns or None; got {expected_turns!r}")
        self.rules = rules
        self._expected = expected_turns
        self._rent = 0.0

    def check(self, tokens: int, after: int, keep: float, turn: int, *, total: int, cold: bool) -> str | None:
        """Why to rewrite now, or None. To be asked once a turn: it keeps the account.

        Args:
            tokens: Tokens that would be rewritten.
            after: Tokens after the first of them that would stay as they are.
            keep: Share of ``tokens`` that would be left.
            turn: Turns so far.
            total: Tokens of the whole request as it stands.
            cold: The provider has forgotten the prefix.
        """
        rules, saved = self.rules, round((1 - keep) * tokens)
        if saved < 1:
            return None
        if rules is None:
            return ""
        if cold:
            return "the provider's cache had expired"
        self._rent += rules.read * saved
        if total - saved < rules.min_prefix:
            return None
        left = turn if self._expected is None else self._expected - turn
        needed = break_even_turns(tokens, keep, after, rules)
        if left < needed or self._rent < (rules.write - rules.read) * (keep * tokens + after):
            return None
        return f"it pays after {math.ceil(needed)} turns, {left} more are expected"

    def confirm(self, tokens: int, after: int, left: float, turn: int, *, cold: bool) -> bool:
        """True when rewriting still pays with the share of ``tokens`` that was really left.

        Where it does not, a new account starts: it is not tried again every turn.
        """
        expected = turn if self._expected is None else self._expected - turn
        pays = left < 1 and (cold or break_even_turns(tokens, max(left, 1e-9), after, self.rules) <= expected)
        if not pays:
            self.rewritten()
        return pays

    def rewritten(self) -> None:
        """Starts a new account."""
        self._rent = 0.0
