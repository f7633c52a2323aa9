"""OpenAI Responses inputs; the other formats' conversations are in `tests.strategies`."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.strategies import filled_texts, json_values

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}
CITED = {"type": "url_citation", "start_index": 0, "end_index": 1, "url": "https://example.org", "title": "Found"}


@cache
def _junk() -> st.SearchStrategy[dict[str, Any]]:
    """Keys that no format defines."""
    return st.dictionaries(st.sampled_from(("x_trace", "metadata", "index")), json_values(), max_size=2)


def _with(base: dict[str, Any], **strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda drawn, junk: {**base, **drawn, **junk}, st.fixed_dictionaries(strategies), _junk())


@cache
def _given() -> st.SearchStrategy[Any]:
    """What goes in: a text, or parts of every kind."""
    text = _with({"type": "input_text"}, text=filled_texts())
    file = st.just({"type": "input_file", "filename": "a.pdf", "file_data": "JVBE"})
    return filled_texts() | st.lists(text | st.just(IMAGE) | file, min_size=1, max_size=3)


@cache
def _said() -> st.SearchStrategy[dict[str, Any]]:
    text = _with({"type": "output_text"}, text=filled_texts(), annotations=st.sampled_from(([], [], [CITED])))
    refusal = st.just({"type": "refusal", "refusal": "I can't."})
    base = {"type": "message", "role": "assistant", "status": "completed"}
    whole = _with(base, content=st.lists(text | refusal, min_size=1, max_size=2))
    return whole | _with({"role": "assistant"}, content=filled_texts())


@cache
def _hosted() -> st.SearchStrategy[dict[str, Any]]:
    """Items of hosted tools, and one that is not known yet."""
    return st.sampled_from(
        (
            {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "herons"}},
            {"type": "mcp_call", "server_label": "m", "name": "f", "arguments": "{}", "output": "done", "error": None},
            {"type": "file_search_call", "queries": ["rent"], "results": [{"text": "The rent is 940.", "score": 0.5}]},
            {"type": "code_interpreter_call", "code": "print(4)", "outputs": [{"type": "logs", "logs": "4\n"}]},
            {"type": "compaction", "encrypted_content": "ZW5j"},
            {"type": "hologram_call", "text": "shiny"},
        )
    )


def _pair(draw: st.DrawFn, call_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A call and its result, of one of the kinds that the caller's own tools answer."""
    kind = draw(st.sampled_from(("function", "custom", "shell")))
    status = draw(st.sampled_from(({}, {"status": "completed"}, {"status": "incomplete"})))
    if kind == "shell":
        call = {"type": "shell_call", "call_id": call_id, "action": {"commands": ["ls"]}}
        chunk = _with({"stderr": "", "outcome": {"type": "exit", "exit_code": 0}}, stdout=filled_texts())
        chunks = draw(st.lists(chunk, min_size=1, max_size=2))
        return call, {"type": "shell_call_output", "call_id": call_id, "output": chunks}
    output = {"call_id": call_id, "output": draw(_given()), **status, **draw(_junk())}
    if kind == "custom":
        call = {"type": "custom_tool_call", "call_id": call_id, "name": "look_up", "input": draw(filled_texts())}
        return call, {"type": "custom_tool_call_output", **output}
    given = json.dumps(draw(json_values()))
    call = {"type": "function_call", "call_id": call_id, "name": "look_up", "arguments": given, **draw(_junk())}
    return call, {"type": "function_call_output", **output}


@st.composite
def responses_conversations(draw: st.DrawFn, max_turns: int = 3) -> list[dict[str, Any]]:
    """OpenAI Responses inputs: easy and full messages, reasoning, parallel calls answered in any order, hosted tools.

    The first message has a part of this API's own, so that the input is recognised.
    """
    first = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is this?"}, IMAGE]}
    items: list[dict[str, Any]] = [first]
    if draw(st.booleans()):
        items.insert(0, draw(_with({"role": draw(st.sampled_from(("system", "developer")))}, content=_given())))
    for turn in range(draw(st.integers(0, max_turns))):
        if draw(st.booleans()):
            summary = [{"type": "summary_text", "text": "Two calls."}]
            items.append({"type": "reasoning", "id": f"rs_{turn}", "summary": summary, "encrypted_content": "ZW5j"})
            items.append(draw(_said() | _hosted()))
        pairs = [_pair(draw, f"call_{turn}_{i}") for i in range(draw(st.integers(0, 3)))]
        items += [call for call, _ in pairs]
        items += draw(st.permutations([output for _, output in pairs]))
        items.append(draw(_said()))
        items.append(draw(_with({"role": "user"}, content=_given())))
    return items
