"""``ctxshrink demo``: a conversation and a set of chunks, written for it, and what happens to every piece of them."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.rule import Rule

from ctxshrink import AllOf, KeepFacts, PerplexityGuardrail, Shrinker
from ctxshrink._report import is_narrow, segments_table, shorten, summary_line
from ctxshrink.result import ShrinkResult
from ctxshrink.types import Decision

CHAT_KEEP: Final = 0.4
CHUNKS_KEEP: Final = 0.35
LINES: Final = 14
"""Most lines of a compressed text that are shown."""


def load(name: str) -> dict[str, Any]:
    """A bundled input: ``conversation`` (``messages``) or ``chunks`` (``query`` and ``documents``)."""
    return json.loads(resources.files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8"))


def shrink_conversation() -> ShrinkResult[list[Any]]:
    """The bundled conversation with 40 % of its unlocked tokens, checked by perplexity and by facts."""
    guardrail = AllOf(PerplexityGuardrail(), KeepFacts())
    return Shrinker(guardrail=guardrail).shrink_messages(load("conversation")["messages"], keep=CHAT_KEEP)


def shrink_chunks() -> ShrinkResult[list[Any]]:
    """The bundled chunks with 35 % of their tokens, for the bundled question."""
    chunks = load("chunks")
    return Shrinker().shrink_documents(chunks["documents"], chunks["query"], keep=CHUNKS_KEEP)


def show_demo(console: Console) -> None:
    """Run both and print tables, one compressed text, one fallback and an honest summary."""
    chat = shrink_conversation()
    _show(
        console,
        chat,
        f"1. A conversation: keep={CHAT_KEEP} of what is not locked",
        [d.segment.id for d in chat.decisions],
    )
    chunks, given = shrink_chunks(), load("chunks")
    console.print(Rule(style="dim"))
    console.print(f"[bold]question:[/bold] {escape(given['query'])}")
    _show(console, chunks, f"2. Retrieved chunks: keep={CHUNKS_KEEP}", [doc["title"] for doc in given["documents"]])


def _show(console: Console, result: ShrinkResult[list[Any]], title: str, names: list[str]) -> None:
    console.print(segments_table(result.decisions, title, names, is_narrow(console)))
    shown = max((d for d in result.decisions if d.action == "compressed"), key=_saved, default=None)
    if shown is not None:
        name = names[result.decisions.index(shown)]
        lines = shown.text.splitlines()
        text = "\n".join([*lines[:LINES], f"({len(lines) - LINES} more lines)"] if len(lines) > LINES else lines)
        console.print(Panel(escape(text), title=f"what came out of {escape(name)}", title_align="left"), width=120)
    for decision in result.fallbacks[:3]:
        name = names[result.decisions.index(decision)]
        console.print(
            f"[bold magenta]fallback:[/bold magenta] {escape(name)} came out whole: {escape(shorten(decision.reason))}"
        )
    console.print(summary_line(result), markup=False)


def _saved(decision: Decision) -> int:
    return decision.tokens_before - decision.tokens_after
