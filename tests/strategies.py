"""Hypothesis strategies for whole inputs: texts, documents, conversations of each message format.

All sentences here were written for these tests.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

PROPERTY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For properties of whole inputs: what a loaded machine takes to generate them says nothing about the code."""

ODD = ("", " ", "word", " \n\t ", "\x00", "a\x00b. C\x00d.", "\ud800", "\ud83d. \ude00 x.", "…")
"""Texts with nothing, or nothing usual, in them."""

SENTENCES = (
    "The invoice INV-2291 must be paid before 14 March 2026.",
    "Nobody touched the valve, although the gauge read 3.75 bar.",
    "See https://example.org/a/b?c=1 and /etc/hosts for the details.",
    "Our heron sleeps on one leg.",
    "Die Brücke wurde am 3. Mai gesperrt, z. B. für Lastwagen über 7,5 t.",
    "Der Zug nach Gera fährt nicht.",
    "Le boulanger a vendu 48 pains à Mme Petit hier.",
    "N'oubliez jamais la clé sous le pot bleu !",
    "El faro del puerto parpadea cada 12 segundos.",
    "¿Quién pagó los 310 euros de la avería?",
    "图书馆周三下午六点关门。",
    "他没有带钥匙，所以等了四十分钟。",
    "会議は第二木曜日の15時に始まります。",
    "猫は窓のそばで眠っていた。",
)
CODE = (
    "def area(r):\n    if r < 0:\n        raise ValueError(r)\n    return 3.14159 * r ** 2",
    "const total = items.reduce((a, x) => a + x.price, 0);\nexport default total;",
    "```python\nprint('kept')\n```",
    "SELECT id, city FROM depots WHERE open = TRUE;",
)
HEADINGS = ("# Delivery", "## 2.1 Prices", "- first point\n- second point", "| id | qty |\n| --- | --- |\n| a1 | 30 |")
ODD = ("", " ", "\n\n", "x", "\x00", "a\x00b", "\ud800", "tail \udfff", "﻿", "e\u0301", "👩‍👩‍👧", "…", "\r\n")


JSON_TEXTS = (
    "null",
    "-17",
    "0.25",
    '"Nobody touched the valve."',
    "[]",
    "{}",
    '{"id": 4021, "city": "Gera", "note": null, "items": [{"qty": 3}, {"qty": 12}]}',
    '[{"id": 1, "city": "Lyon"}, {"id": 2, "city": "Gera"}, {"id": 3, "city": "京都"}]',
    '{"error": {"code": 503, "message": "depot closed"}, "retry": false}',
)
LOG_LINES = tuple(
    f"2026-05-04T10:{minute:02d}:07Z {level} worker-{minute % 7} finished job {minute * 971}"
    for minute, level in enumerate(("INFO", "INFO", "WARN", "INFO", "ERROR", "DEBUG") * 4)
)


def _joined(pieces: tuple[str, ...], joints: tuple[str, ...], most: int) -> st.SearchStrategy[str]:
    parts = st.lists(st.sampled_from(pieces), min_size=1, max_size=most)
    return st.builds(lambda joint, parts: joint.join(parts), st.sampled_from(joints), parts)


@cache
def json_values() -> st.SearchStrategy[Any]:
    """JSON values of a few levels, new objects at each draw."""
    return st.sampled_from(JSON_TEXTS).map(json.loads)


@cache
def texts() -> st.SearchStrategy[str]:
    """Texts as they occur: sentences in six languages, numbers, code, JSON, logs, tables, and odd characters."""
    return st.one_of(
        _joined(SENTENCES, (" ", "\n", "\n\n"), 8),
        st.sampled_from(CODE + JSON_TEXTS),
        _joined(LOG_LINES, ("\n",), 12),
        _joined(SENTENCES + HEADINGS + CODE, ("\n\n",), 5),
        st.sampled_from(ODD),
        st.text(alphabet=st.characters(exclude_categories=()), max_size=20),
    )


@cache
def filled_texts() -> st.SearchStrategy[str]:
    """`texts` that hold something other than white space."""
    return texts().filter(lambda text: bool(text.strip()))


@cache
def documents(max_size: int = 6) -> st.SearchStrategy[list[Any]]:
    """Lists of documents: strings, and dicts with a text, sometimes a title, an id that may repeat, other keys."""
    extras = st.fixed_dictionaries(
        {},
        optional={
            "id": st.sampled_from(("d1", "d2")) | st.integers(0, 3),
            "title": st.sampled_from(("Prices", "Übersicht", "")),
            "score": st.floats(0, 1),
            "metadata": json_values(),
            "pin": st.booleans(),
        },
    )
    as_dict = st.builds(lambda text, extra: {**extra, "text": text}, texts(), extras)
    return st.lists(texts() | as_dict, max_size=max_size)


@cache
def _junk() -> st.SearchStrategy[dict[str, Any]]:
    """Keys that no format defines."""
    return st.dictionaries(st.sampled_from(("x_trace", "metadata", "index")), json_values(), max_size=2)


IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.org/i.png"}}


def _with(base: dict[str, Any], **strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Records with the constant keys of ``base``, drawn ones, and sometimes junk."""
    return st.builds(lambda drawn, junk: {**base, **drawn, **junk}, st.fixed_dictionaries(strategies), _junk())


def _ids(draw: st.DrawFn, used: list[int]) -> list[str]:
    """Ids of one to three parallel tool calls, never used before in the conversation."""
    count = draw(st.integers(1, 3))
    used[0] += count
    return [f"call_{used[0] - count + i}" for i in range(count)]


@cache
def _openai_content() -> st.SearchStrategy[Any]:
    part = st.one_of(
        _with({"type": "text"}, text=filled_texts()),
        _with({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
        _with({"type": "x_widget"}, payload=json_values()),
    )
    return filled_texts() | st.lists(part, max_size=3)


@cache
def _openai_message(**base: str) -> st.SearchStrategy[dict[str, Any]]:
    return _with(dict(base), content=_openai_content())


@st.composite
def openai_conversations(draw: st.DrawFn, max_turns: int = 3) -> list[dict[str, Any]]:
    """OpenAI Chat Completions histories: system, turns with parallel tool calls, images, refusals, junk keys."""
    messages: list[dict[str, Any]] = []
    if draw(st.booleans()):
        messages.append(draw(_openai_message(role=draw(st.sampled_from(("system", "developer"))))))
    used = [0]
    for _ in range(draw(st.integers(0, max_turns))):
        messages.append(draw(_openai_message(role="user")))
        if draw(st.booleans()):
            ids = _ids(draw, used)
            given = json.dumps(draw(json_values()))
            calls = [{"id": i, "type": "function", "function": {"name": "look_up", "arguments": given}} for i in ids]
            said = draw(st.none() | filled_texts())
            messages.append({"role": "assistant", "content": said, "tool_calls": calls})
            messages.extend(draw(_openai_message(role="tool", tool_call_id=i)) for i in ids)
        if draw(st.booleans()):
            extras = ({}, {"refusal": None}, {"refusal": "I can't."}, {"reasoning_content": "Hm."})
            messages.append({**draw(_openai_message(role="assistant")), **draw(st.sampled_from(extras))})
    return messages


@cache
def _anthropic_text() -> st.SearchStrategy[dict[str, Any]]:
    return _with({"type": "text"}, text=filled_texts())


@cache
def _search_result() -> st.SearchStrategy[dict[str, Any]]:
    return _with(
        {"type": "search_result", "source": "https://example.org/s", "title": "Found"},
        content=st.lists(_anthropic_text(), min_size=1, max_size=2),
        citations=st.fixed_dictionaries({"enabled": st.booleans()}),
    )


@cache
def _anthropic_asked() -> st.SearchStrategy[list[Any]]:
    document = _with(
        {"type": "document", "title": "Report"},
        citations=st.fixed_dictionaries({"enabled": st.booleans()}),
        source=st.one_of(
            _with({"type": "text", "media_type": "text/plain"}, data=filled_texts()),
            _with({"type": "content"}, content=filled_texts() | st.lists(_anthropic_text(), max_size=2)),
        ),
    )
    return st.lists(_anthropic_text() | st.just(IMAGE) | _search_result() | document, min_size=1, max_size=2)


@cache
def _anthropic_answer() -> st.SearchStrategy[dict[str, Any]]:
    blocks = st.lists(_anthropic_text() | st.just(IMAGE) | _search_result(), max_size=2)
    answer = _with({"type": "tool_result"}, content=filled_texts() | blocks)
    return st.builds(lambda base, more: {**base, **more}, answer, st.sampled_from(({}, {}, {"is_error": True})))


@st.composite
def anthropic_conversations(draw: st.DrawFn, max_turns: int = 3) -> list[dict[str, Any]]:
    """Anthropic Messages histories: blocks of every kind, parallel tool calls, failed results, junk keys.

    The first message holds an image, so that the history is recognised as Anthropic's.
    """
    messages: list[dict[str, Any]] = [{"role": "user", "content": [IMAGE, {"type": "text", "text": "What is this?"}]}]
    used = [0]
    for _ in range(draw(st.integers(0, max_turns))):
        said = draw(st.lists(_anthropic_text(), max_size=2))
        if draw(st.booleans()):
            said.insert(0, {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"})
            said.append({"type": "redacted_thinking", "data": "ZW5j"})
        ids = _ids(draw, used) if draw(st.booleans()) else []
        given = draw(json_values())
        said += [{"type": "tool_use", "id": i, "name": "look_up", "input": {"q": given}} for i in ids]
        messages.append({"role": "assistant", "content": said or draw(filled_texts()), **draw(_junk())})
        answers = [{**draw(_anthropic_answer()), "tool_use_id": i} for i in ids]
        asked: Any = [] if answers and draw(st.booleans()) else draw(_anthropic_asked())
        if not answers and draw(st.booleans()):
            asked = draw(filled_texts())
        messages.append({"role": "user", "content": [*answers, *asked] if answers else asked, **draw(_junk())})
    return messages
