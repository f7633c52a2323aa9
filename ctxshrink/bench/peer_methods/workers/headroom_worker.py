# pyright: standard, reportMissingImports=false, reportAttributeAccessIssue=false
# The packages are those of another environment.
"""headroom-ai: ``compress`` with its offline paths (JSON, logs, search results, diffs, code)."""

from __future__ import annotations

from typing import Any

MODEL = "claude-sonnet-4-5-20250929"
"""Its default. The model decides how it counts, which it does by an estimate here: no table is fetched."""


def load(method: str, options: dict[str, Any], host: Any) -> Any:
    """See ``host.py``."""
    from headroom import compress

    def run(messages: list[dict[str, Any]], **settings: Any) -> list[dict[str, Any]]:
        with host.clock:
            made = compress(messages, model=MODEL, **settings)
        if made.tokens_before == 0 and any(m.get("content") for m in messages):
            raise RuntimeError("compress() gave up and returned its input; it logs the reason")
        return list(made.messages)

    def texts_of(messages: list[dict[str, Any]], count: int) -> list[str]:
        if len(messages) != count:
            raise RuntimeError(f"{count} messages went in, {len(messages)} came out")
        return [m["content"] for m in messages]

    def work(request: dict[str, Any]) -> dict[str, Any]:
        if request["task"] == "chat":
            return {"messages": run(request["messages"], compress_system_messages=False)}
        query = {"role": "user", "content": request["query"]}
        if request["task"] == "rag":
            asked = [*({"role": "user", "content": text} for text in request["texts"]), query]
            # What its documentation names for documents; the question comes last and is what it ranks by.
            made = run(asked, compress_user_messages=True, protect_recent=0, target_ratio=request["level"])
            return {"texts": texts_of(made, len(asked))[:-1]}
        call = {"id": "call_1", "type": "function", "function": {"name": "fetch_data", "arguments": "{}"}}
        asked = [query, {"role": "assistant", "content": None, "tool_calls": [call]}]
        asked += [{"role": "tool", "tool_call_id": "call_1", "content": text} for text in request["texts"]]
        return {"texts": texts_of(run(asked, protect_recent=0), len(asked))[2:]}

    return work
