"""Conversations that are shrunk turn by turn: decided at birth, frozen, rewritten rarely.

`Shrinker.shrink_messages` has no memory: the same messages give the same bytes, but one more message changes every age
and with it what older turns come out as. A `Conversation` remembers, and what it sends in one turn starts with what it
sent in the turn before, which is what providers' prompt caches need.
"""

from __future__ import annotations

from ctxshrink.prefix.birth import Birth
from ctxshrink.prefix.breakpoints import place_breakpoints
from ctxshrink.prefix.conversation import Conversation
from ctxshrink.prefix.memo import Memo, Memory

__all__ = ["Birth", "Conversation", "Memo", "Memory", "place_breakpoints"]
