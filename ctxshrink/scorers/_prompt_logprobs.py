"""Reading the answers of a vLLM server: nothing is taken on trust, as a wrong likelihood looks like any other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from ctxshrink.errors import ScorerError

_NONE = -9999.0
"""vLLM writes minus infinity, which JSON cannot hold, as this."""
_SLACK = 1e-3
"""Nats by which rounding may lift a log-probability above 0."""


def read_choices(answer: Any, prompts: Sequence[Sequence[int]], where: str) -> list[list[Any]]:
    """The ``prompt_logprobs`` of each prompt, in the order of the prompts and as long as they are.

    Args:
        answer: The JSON of ``POST /v1/completions``.
        prompts: The token ids that were sent.
        where: Names the server in errors.

    Raises:
        ScorerError: Something is missing, or there are not as many entries as tokens were sent.
    """
    choices = cast("dict[str, Any]", answer).get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list):
        raise ScorerError(f"{where}: the answer has no list of choices")
    listed = cast("list[Any]", choices)
    if len(listed) != len(prompts):
        raise ScorerError(f"{where}: {len(listed)} choices for {len(prompts)} prompts")
    found: dict[int, list[Any]] = {}
    for choice in listed:
        fields: dict[str, Any] = cast("dict[str, Any]", choice) if isinstance(choice, dict) else {}
        index, entries = fields.get("index"), fields.get("prompt_logprobs")
        if type(index) is not int or not 0 <= index < len(prompts) or index in found:
            raise ScorerError(f"{where}: the choices are not numbered from 0 to {len(prompts) - 1}")
        if not isinstance(entries, list):
            raise ScorerError(f"{where}: no prompt_logprobs in the answer; the server must be vLLM, 0.5.4 or later")
        sent, came = len(prompts[index]), len(cast("list[Any]", entries))
        if came != sent:
            raise ScorerError(f"{where}: {came} prompt_logprobs for {sent} tokens")
        found[index] = cast("list[Any]", entries)
    return [found[i] for i in range(len(prompts))]


def read_nats(entry: Any, token: int, where: str) -> float:
    """Nats of a token from the entry of its place: ``{"<token id>": {"logprob": …}, …}``.

    Raises:
        ScorerError: The token is not there, or its log-probability is no finite number up to 0.
    """
    fields: Any = cast("dict[str, Any]", entry).get(str(token)) if isinstance(entry, dict) else None
    if not isinstance(fields, dict):
        raise ScorerError(f"{where}: prompt_logprobs lack a token that was sent; does the server serve another model?")
    value = cast("dict[str, Any]", fields).get("logprob")
    if isinstance(value, bool) or not isinstance(value, int | float) or not _NONE < value < math.inf:
        raise ScorerError(f"{where}: the server gave a likelihood that is not finite")
    if value > _SLACK:
        raise ScorerError(f"{where}: the server gave a log-probability above 0")
    return max(0.0, -float(value))


def read_tokens(answer: Any, where: str) -> tuple[list[int], int | None]:
    """Token ids and the server's window (``max_model_len``, where it tells) of ``POST /tokenize``.

    Raises:
        ScorerError: The answer has no list of token ids, or not as many as it says.
    """
    fields: dict[str, Any] = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
    tokens, count, window = fields.get("tokens"), fields.get("count"), fields.get("max_model_len")
    if not isinstance(tokens, list) or any(type(t) is not int or t < 0 for t in cast("list[Any]", tokens)):
        raise ScorerError(f"{where}: the answer has no list of token ids")
    ids = cast("list[int]", tokens)
    if count is not None and count != len(ids):
        raise ScorerError(f"{where}: {len(ids)} token ids, and it says {count}")
    return ids, window if type(window) is int else None
