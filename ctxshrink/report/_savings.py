"""What the calls of a report saved, gross and net, with the denominators, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, Final

from ctxshrink.economics import Economics, NetReport, net
from ctxshrink.economics.decision import amount
from ctxshrink.errors import ConfigError
from ctxshrink.report._reader import RecordedCall, Recording

ASKED: Final = "an original that the model asked for"
"""The reason of a `Conversation` for leaving a result of the expand tool as it is."""


def savings(
    recording: Recording,
    conversations: Mapping[int, Sequence[int]],
    alone: Sequence[int],
    economics: Economics | None,
    parts: Sequence[RecordedCall] = (),
) -> dict[str, Any]:
    """The account of all calls.

    Args:
        recording: The calls.
        conversations: Their positions, by conversation, in order.
        alone: Positions of the calls that belong to none.
        economics: Prices; None for those that were recorded.
        parts: Calls whose work the other calls show: what it took is added, what it saved is there.
    """
    calls = recording.calls
    notes: list[str] = []
    known = economics or next((c.economics for c in reversed(calls) if c.economics), None)
    if economics is None and len({str(c.fields["economics"]) for c in calls if c.economics}) > 1:
        notes.append("The calls were recorded with different prices: money is reckoned with the newest ones.")
    if known is None:
        notes.append("No prices are known, so money is not reckoned: name the model that reads the prompts (--model).")
    reports: list[NetReport] = []
    try:
        for members in conversations.values():
            results = [_active(recording, calls[i]) for i in members]
            rewritten = sum(_rewritten(recording, calls[a], calls[b]) for a, b in pairwise(members))
            expanded = _expanded(recording, calls[members[-1]])
            reports.append(net(results, known, conversation=True, rewritten=rewritten, expanded=expanded))
        if alone:
            reports.append(net([_active(recording, calls[i]) for i in alone], known))
    except ConfigError as error:
        notes.append(f"No net savings: {error}.")
        reports = []
    if any(not c.fields["exact"] for c in calls):
        names = ", ".join(sorted({str(c.fields["counter"]) for c in calls if not c.fields["exact"]}))
        notes.append(
            f"Tokens are estimates, counted by {names}: the model's own tokenizer counts somewhat differently."
        )
    observed = sum(c.fields["mode"] == "observe" for c in calls)
    if observed:
        notes.append(f"{_calls(observed, len(calls))} only observed: nothing was left out, the savings are projected.")
    part = sum(not c.whole for c in calls)
    if part:
        notes.append(f"{_calls(part, len(calls))} recorded in part: only their new segments are shown.")
    if recording.unread:
        notes.append(f"{recording.unread} lines of the trace could not be read and are not counted.")
    total = _added(reports) if reports else None
    if parts:
        notes.append(
            f"Calls on single tool results ({len(parts)}) are shown in the requests that hold these results, and not "
            "counted beside them."
        )
    if total is not None:
        for part in parts:
            work = net(_active(recording, part), known)
            total = replace(
                total,
                tried=total.tried + work.tried,
                fallback=total.fallback + work.fallback,
                seconds=total.seconds + work.seconds,
                compress_cost=None
                if total.compress_cost is None
                else total.compress_cost + (work.compress_cost or 0.0),
            )
        notes.insert(0, str(total))
    return {
        "gross_tokens": sum(c.fields["before"] - c.fields["after"] for c in calls),
        "of_tokens": sum(c.fields["before"] for c in calls),
        "net": None if total is None else _labelled(total),
        "notes": notes,
    }


def changed_from(before: RecordedCall, after: RecordedCall, recording: Recording) -> list[int]:
    """Places of the segments whose bytes are others than in the call before; new ones are not among them."""
    outs = [[recording.decisions[key]["out"] for key, _ in call.entries] for call in (before, after)]
    return [i for i, (old, new) in enumerate(zip(*outs, strict=False)) if old != new]


def _rewritten(recording: Recording, before: RecordedCall, after: RecordedCall) -> int:
    """Tokens that stood in the call before from the first place on that changed: they are sent anew."""
    places = changed_from(before, after, recording)
    start = places[0] if places else min(len(before.entries), len(after.entries))
    kept = after.entries[start : len(before.entries)]
    return sum(recording.decisions[key]["after"] for key, _ in kept)


def _expanded(recording: Recording, last: RecordedCall) -> int:
    """Tokens of the originals in a conversation's last call that the model had asked for again."""
    asked = {(r["id"], r["in"]) for r in recording.decisions.values() if r["reason"] == ASKED}
    sent = (recording.decisions[key] for key, _ in last.entries)
    return sum(r["before"] for r in sent if (r["id"], r["in"]) in asked)


def _active(recording: Recording, call: RecordedCall) -> Any:
    """The result with the decisions that the account looks at."""
    tried = [(k, a) for k, a in call.entries if (r := recording.decisions[k])["attempts"] and r["action"] != "frozen"]
    return recording.result(call, tried)


def _added(reports: Sequence[NetReport]) -> NetReport:
    """Reports of one counter and one currency as one: what is not known of one is not known of all."""
    if len(reports) == 1:
        return reports[0]
    if len({(r.counter, r.currency) for r in reports}) > 1:
        raise ConfigError("results of different counters cannot be added up")
    sums: dict[str, Any] = {}
    for field in fields(NetReport):
        values = [getattr(r, field.name) for r in reports]
        if field.name in ("counter", "currency"):
            sums[field.name] = values[0]
        elif field.name == "observed":
            sums[field.name] = any(values)
        else:
            sums[field.name] = None if None in values else sum(values)
    return NetReport(**sums)


def _labelled(total: NetReport) -> dict[str, int | float | str]:
    """The account in words, in the order in which it is read; what is not known is left out."""
    found: dict[str, int | float | str | None] = {
        "calls": total.calls,
        "input tokens without compression": total.tokens,
        "tokens saved, gross": f"{total.saved:,} of {total.tokens:,} ({_percent(total.saved, total.tokens)})",
        "tokens that compressors tried": total.tried,
        "of these, fallen back to the original": total.fallback,
        "cached tokens written anew": total.rewritten,
        "tokens of originals asked for again": total.expanded,
        "seconds of compressing": round(total.seconds, 2),
        "seconds of prefill saved": None if total.prefill_seconds is None else round(total.prefill_seconds, 2),
    }
    if total.plain_cost is not None and total.net_cost is not None:
        money = total.currency
        found |= {
            f"input without compression, {money}": amount(total.plain_cost),
            f"saved, gross, {money}": amount(total.saved_cost or 0.0),
            f"compressing, {money}": amount(total.compress_cost or 0.0),
            f"writing anew, {money}": amount(total.rewrite_cost or 0.0),
            f"originals asked for again, {money}": amount(total.expand_cost or 0.0),
            f"saved, net, {money}": f"{amount(total.net_cost)} ({_percent(total.net_cost, total.plain_cost)})",
        }
    return {name: value for name, value in found.items() if value is not None}


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"


def _calls(some: int, of: int) -> str:
    return f"{some} of {of} calls were" if some != 1 else f"1 of {of} calls was"
