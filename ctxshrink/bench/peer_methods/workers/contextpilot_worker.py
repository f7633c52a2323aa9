# pyright: standard, reportMissingImports=false, reportAttributeAccessIssue=false
# The packages are those of another environment.
"""contextpilot-ai: ``compress`` of one conversation, or of a question with its chunks in one message."""

from __future__ import annotations

from typing import Any

RUNGS: tuple[dict[str, Any], ...] = (
    {"level": "conservative"},
    {"level": "balanced"},
    {"level": "aggressive"},
    {"level": "aggressive", "quality_threshold": 0.0},
    {"level": "aggressive", "quality_threshold": 0.0, "history_window": 1, "history_epoch": 1},
)
"""For conversations, from the gentlest to the hardest: its three levels, then without the gate that takes them back."""


def load(method: str, options: dict[str, Any], host: Any) -> Any:
    """See ``host.py``."""
    import contextpilot

    def run(messages: list[dict[str, Any]], system: Any, settings: dict[str, Any]) -> Any:
        config = {"compression": settings, "telemetry": {"enabled": False}}
        with host.clock:
            made = contextpilot.compress(messages, system=system, config=config)
        return made.payload

    def chat(request: dict[str, Any]) -> dict[str, Any]:
        messages = list(request["messages"])
        system = None
        # The system prompt is a parameter of its own; one among the messages would be summarised with them.
        if messages and messages[0].get("role") == "system" and isinstance(messages[0].get("content"), str):
            system = messages.pop(0)
        rung = RUNGS[min(len(RUNGS) - 1, int((1 - request["level"]) * len(RUNGS)))]
        made = run(messages, system and system["content"], rung)
        kept = [dict(system, content=made["system"])] if system else []
        return {"messages": [*kept, *made["messages"]], "setting": str(rung)}

    def chunks(request: dict[str, Any]) -> dict[str, Any]:
        # One of the marks that it knows chunks by; without one it would take paragraphs for chunks.
        body = "".join(f"\n--- DOCUMENT {i} ---\n{t}" for i, t in enumerate(request["texts"], 1))
        # Its similarities are near 0: most of the range is above all of them.
        relevance = (1 - request["level"]) ** 3
        settings = {"rag_relevance_min": relevance, "quality_threshold": 0.0, "intent_override": "unknown"}
        made = run([{"role": "user", "content": request["query"] + body}], None, settings)
        text = made["messages"][-1]["content"]
        if text.startswith(request["query"]):
            text = text[len(request["query"]) :]
        return {"texts": [text], "setting": f"rag_relevance_min={relevance:.4g}"}

    return lambda request: chat(request) if request["task"] == "chat" else chunks(request)
