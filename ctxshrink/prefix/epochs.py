"""When rewriting what a provider has cached pays."""

from __future__ import annotations

import math
from typing import Final

from ctxshrink.economics import break_even_turns
from ctxshrink.errors import ConfigError
from ctxshrink.providers import CacheRules

SLACK: Final = 0.01
"""Share of the bill without compression that rewriting may cost before it has saved anything."""


class Epochs:
    """Says when to rewrite old turns, from what leaving them alone has cost so far.

    Three conditions, all in units of the plain input price. Rewriting must be expected to pay
    (`ctxshrink.economics.break_even_turns` is below the turns that are still expected). What reading the uncompressed
    turns has cost since the last time must have come up to what rewriting costs now: the rent-or-buy rule (Karlin et
    al. 1988, "Competitive snoopy caching"), which spaces the steps out. And where nobody said how long the conversation
    will be, it must be paid for from what compression has saved so far and `SLACK` of what all would have cost
    without: then the bill is at no time much above that of doing nothing. With ``strict`` it waits until the provider
    has forgotten the prefix, unless somebody said how long the conversation will be: what providers count beside the
    texts (roles, ids, arguments) is not known here, and can make a step that seems paid for a loss.

    Args:
        rules: Prices of the provider's cache; None where nothing is cached and rewriting is free.
        expected_turns: Turns that the conversation is expected to have in all; None: as many again as it has had.
        strict: The bill must not rise above that of doing nothing, whenever the conversation ends.

    Raises:
        ConfigError: ``expected_turns`` is not positive.
    """

    def __init__(self, rules: CacheRules | None, expected_turns: int | None, *, strict: bool = False) -> None:
        if expected_turns is not None and not expected_turns > 0:
            raise ConfigError(f"expected_turns must be a positive number of turns or None; got {expected_turns!r}")
        self.rules = rules
        self._expected = expected_turns
        self._patient = strict and expected_turns is None
        self._rent = 0.0
        self._sizes = 0, 0  # of the last request: without compression, and as it was sent
        self._plain = self._spent = 0.0

    def request(self, before: int, after: int) -> None:
        """Notes one request in the account; to be called once for each, before `check`.

        Args:
            before: Its tokens without compression.
            after: Its tokens as they stand.
        """
        if self.rules is not None:
            read, write = self.rules.read, self.rules.write
            self._plain += read * self._sizes[0] + write * max(0, before - self._sizes[0])
            self._spent += read * min(self._sizes[1], after) + write * max(0, after - self._sizes[1])
            self._sizes = before, after

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
        if self._patient or total - saved < rules.min_prefix:
            return None
        left = turn if self._expected is None else self._expected - turn
        needed = break_even_turns(tokens, keep, after, rules)
        cost = (rules.write - rules.read) * (keep * tokens + after)
        paid = self._expected is not None or cost <= SLACK * self._plain + max(0.0, self._plain - self._spent)
        if left < needed or self._rent < cost or not paid:
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
        elif self.rules is not None and not cold:
            self._spent += (self.rules.write - self.rules.read) * (left * tokens + after)
        return pays

    def rewritten(self) -> None:
        """Begins to add up rent anew."""
        self._rent = 0.0
