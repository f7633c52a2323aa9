"""Would a provider take these messages? Its published rules, checked offline.

Meant for tests and for debugging an agent: compare `problems` before and after a change of the history. A list without
problems can still be refused (models differ, and system prompt, tools and settings are not seen here).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from ctxshrink.errors import FormatError
from ctxshrink.messages import _rules_anthropic, _rules_openai, _rules_responses, detect
from ctxshrink.messages.checks import check_messages

Provider: TypeAlias = Literal["openai", "openai_responses", "anthropic"]
"""Whose rules: OpenAI Chat Completions, OpenAI Responses, or Anthropic Messages."""

_RULES = {
    "openai": _rules_openai.problems,
    "openai_responses": _rules_responses.problems,
    "anthropic": _rules_anthropic.problems,
}


def problems(messages: Sequence[Any], provider: Provider | None = None) -> list[str]:
    """What a provider would refuse, a sentence each, in the order of the messages; [] when nothing is wrong.

    Pure: reads dicts or the SDKs' own objects and changes nothing. Which rules are checked, and where they are
    published, stands in the modules ``_rules_openai``, ``_rules_responses`` and ``_rules_anthropic``.

    Args:
        messages: The messages of one request.
        provider: Whose rules; by default those of the format that the messages are recognised as. Messages of plain
            text look the same everywhere and are checked as OpenAI Chat Completions.

    Raises:
        FormatError: These are no messages, or of a format that no provider takes (convert them first).
    """
    name = provider or detect(messages).name
    rules = _RULES.get(name)
    if rules is None:
        known = ", ".join(_RULES)
        raise FormatError(f"no provider publishes rules for {name!r} messages; convert them to one of: {known}")
    if not isinstance(messages, list | tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
        check_messages(messages)
    return rules(messages)
