"""Pieces of streams in the place of messages: refused, with what to do."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from ctxshrink import Shrinker
from ctxshrink.errors import FormatError
from ctxshrink.messages import AnthropicFormat, OpenAIFormat, OpenAIResponsesFormat, detect


class ChatCompletionChunk(BaseModel):
    """The shape of the SDK's own chunks."""

    object: str = "chat.completion.chunk"
    choices: list[Any] = []


CHAT = r"a chunk of a Chat Completions stream: accumulate .*get_final_completion\(\)"
RESPONSES = r"an event of a Responses stream: accumulate .*get_final_response\(\)"
ANTHROPIC = r"an event of an Anthropic stream: accumulate .*get_final_message\(\)"
ASKED = {"role": "user", "content": "Hi"}
PIECES = [
    (ChatCompletionChunk(), CHAT),
    ({"object": "chat.completion.chunk", "choices": [{"delta": {"content": "He"}}]}, CHAT),
    ({"type": "content.delta", "delta": "He"}, CHAT),
    ({"type": "response.output_text.delta", "delta": "He", "sequence_number": 4}, RESPONSES),
    ({"type": "response.function_call_arguments.done", "arguments": "{}"}, RESPONSES),
    ({"type": "response.completed", "response": {"output": []}}, RESPONSES),
    ({"type": "message_start", "message": {"role": "assistant", "content": []}}, ANTHROPIC),
    ({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "He"}}, ANTHROPIC),
    ({"type": "ping"}, ANTHROPIC),
    ({"object": "chat.completion", "choices": [{"message": ASKED}]}, "a whole .* append its choices"),
    ({"object": "response", "output": []}, "a whole Responses response: extend the list with its output"),
]


@pytest.mark.parametrize(("piece", "match"), PIECES)
def test_pieces_of_streams_and_whole_responses(piece: Any, match: str) -> None:
    with pytest.raises(FormatError, match="message 0 is " + match):
        detect([piece])
    for message_format in (OpenAIFormat(), OpenAIResponsesFormat(), AnthropicFormat()):
        with pytest.raises(FormatError, match="message 1 is " + match):
            message_format.parse([ASKED, piece])
    with pytest.raises(FormatError, match="message 1 is " + match):
        Shrinker().shrink_messages([ASKED, piece])


def test_a_stream_itself() -> None:
    with pytest.raises(FormatError, match="a stream goes to its reader as it is"):
        detect(chunk for chunk in [ChatCompletionChunk()])  # type: ignore[arg-type]
