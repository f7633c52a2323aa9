"""The message formats, for tests of what each of them promises: a new format adds one line to CASES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st

from ctxshrink.messages import AnthropicFormat, MessageFormat, OpenAIFormat, OpenAIResponsesFormat
from tests.messages.strategies import responses_conversations
from tests.strategies import anthropic_conversations, openai_conversations


@dataclass(frozen=True)
class Case:
    format: MessageFormat
    conversations: Callable[[], st.SearchStrategy[list[dict[str, Any]]]]


CASES = {
    "openai": Case(OpenAIFormat(), openai_conversations),
    "anthropic": Case(AnthropicFormat(), anthropic_conversations),
    "openai_responses": Case(OpenAIResponsesFormat(), responses_conversations),
}
every_format = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
