"""What a report shows, as one JSON object: made here, rendered by `ctxshrink.report.page`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any, Final

from ctxshrink.economics import Economics, net
from ctxshrink.report._reader import RecordedCall, Recording, recorded
from ctxshrink.report._records import Record
from ctxshrink.report._savings import changed_from, savings
from ctxshrink.result import ShrinkResult

VERSION: Final = 1
_ATTENTION: Final = {"forced": 0, "fallback": 1}


def report_data(
    source: ShrinkResult[Any] | Sequence[ShrinkResult[Any]] | Recording,
    *,
    title: str = "ctxshrink report",
    heat: bool = False,
    heat_tokens: int | None = None,
    economics: Economics | None = None,
    progress: Callable[[float], None] = lambda done: None,
) -> dict[str, Any]:
    """The data of a report: each distinct text and segment once, and the calls that name them.

    The same source gives the same data, save that heat depends on the last bits of the model's arithmetic.

    Args:
        source: A result, results in the order of their calls, or a trace that was read.
        title: Of the page.
        heat: Read the originals with the embedded language model, see `ctxshrink.report.heat`: changed texts of the
            newest calls first, up to a bound.
        heat_tokens: That bound; None for `ctxshrink.report.heat.MOST`.
        economics: Prices; None for those that a trace holds.
        progress: Told the share of the reading that is done, in [0, 1].

    Returns:
        JSON-ready: ``texts``, ``heats``, ``segments``, ``calls``, ``savings``, ``heat_by``, ``title``, ``version`` and
        ``bench`` (None). ``in``, ``out``, ``source`` and ``query`` are places in ``texts``, the first number of each
        pair of a call's ``segments`` is one in ``segments``, the second is the age there. ``spans`` and heat are
        ranges of characters of ``source``, or of ``in`` where that is None. ``cost`` of a call is what its input would
        have cost and what it cost; ``conversation`` tells calls apart, None for documents.
    """
    if isinstance(source, ShrinkResult):
        source = [source]
    recording = source if isinstance(source, Recording) else recorded(source, economics)
    return _Data(recording, title).made(heat, heat_tokens, economics, progress)


class _Data:
    def __init__(self, recording: Recording, title: str) -> None:
        self._recording, self._title = recording, title
        self._texts: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self._segments: list[Record] = []
        self._evidence: dict[tuple[str, str], Record] = {}

    def made(
        self, heat: bool, most: int | None, economics: Economics | None, progress: Callable[[float], None]
    ) -> dict[str, Any]:
        parts = self._parts()
        calls = self._recording.calls
        conversations, alone = grouped(calls, self._recording)
        found = savings(self._recording, conversations, alone, economics, parts)
        turns = {i: (name, n) for name, members in conversations.items() for n, i in enumerate(members, 1)}
        previous = {b: a for members in conversations.values() for a, b in pairwise(members)}
        shown = [self._call(i, turns.get(i, (None, i + 1)), previous.get(i), economics) for i in range(len(calls))]
        heats, by = self._heated(shown, most, found["notes"], progress) if heat else ([], None)
        return {
            "version": VERSION,
            "title": self._title,
            "texts": [self._recording.texts[key] for key in self._texts],
            "heats": heats,
            "segments": self._segments,
            "calls": shown,
            "savings": found,
            "heat_by": by,
            "bench": None,
        }

    def _parts(self) -> list[RecordedCall]:
        """Takes out the calls on tool results that the requests of the trace hold as they came out of these calls.

        Middleware shrinks a tool result when the tool returns and hands it to a conversation, which says no more than
        that it was decided elsewhere: how is the evidence of these calls. Counted as calls they would count twice.
        """
        recording = self._recording
        decisions = recording.decisions
        alike = [all(decisions[k]["kind"] == "tool_result" for k, _ in c.entries) for c in recording.calls]
        requests = [c for c, only in zip(recording.calls, alike, strict=True) if not only]
        sent = {(decisions[k]["in"], decisions[k]["out"]) for c in requests for k, _ in c.entries}
        parts: list[RecordedCall] = []
        kept: list[RecordedCall] = []
        for call, only in zip(recording.calls, alike, strict=True):
            made = [decisions[key] for key, _ in call.entries]
            if only and made and all((r["in"], r["out"]) in sent for r in made):
                parts.append(call)
                self._evidence.update(((r["in"], r["out"]), r) for r in made)
            else:
                kept.append(call)
        self._recording = replace(recording, calls=kept)
        return parts

    def _call(
        self, index: int, turn: tuple[int | None, int], before: int | None, economics: Economics | None
    ) -> Record:
        call = self._recording.calls[index]
        f = call.fields
        earlier = None if before is None else self._recording.calls[before]
        return {
            "conversation": turn[0],
            "turn": turn[1],
            "query": None if f["query"] is None else self._text(f["query"]),
            "goal": f["goal"],
            "counter": f["counter"],
            "exact": f["exact"],
            "mode": f["mode"],
            "seconds": f["seconds"],
            "before": f["before"],
            "after": f["after"],
            "risk": f["risk"],
            "warnings": f["warnings"],
            "segments": [[self._segment(key), age] for key, age in call.entries],
            "rewrote": 0 if earlier is None else len(changed_from(earlier, call, self._recording)),
            "cost": self._cost(call, earlier, economics),
        }

    def _cost(
        self, call: RecordedCall, earlier: RecordedCall | None, economics: Economics | None
    ) -> list[float] | None:
        """What a call's input would have cost, and what it cost, the call before it in the provider's cache."""
        economics = economics or call.economics
        if economics is None:
            return None
        if earlier is not None and earlier.fields["counter"] != call.fields["counter"]:
            return None
        results = [self._recording.result(c, ()) for c in (earlier, call) if c is not None]
        both = net(results, economics, conversation=call.conversation is not None)
        first = net(results[:1], economics, conversation=True) if earlier is not None else None
        if both.plain_cost is None or both.saved_cost is None:
            return None
        plain, saved = both.plain_cost, both.saved_cost
        if first is not None:
            plain, saved = plain - (first.plain_cost or 0.0), saved - (first.saved_cost or 0.0)
        return [plain, plain - saved]

    def _text(self, key: str) -> int:
        return self._texts.setdefault(key, len(self._texts))

    def _segment(self, key: str) -> int:
        if key in self._places:
            return self._places[key]
        r = self._recording.decisions[key]
        # A text that is sent again does not say how it was made: the call that made it did.
        made = self._evidence.get((r["in"], r["out"]), r) if r["spans"] is None else r
        if r["spans"] is not None:
            self._evidence[r["in"], r["out"]] = r
        verdict = r["verdict"] or made["verdict"]
        self._places[key] = len(self._segments)
        self._segments.append(
            {
                **{name: r[name] for name in ("id", "kind", "type", "action", "reason", "before", "after", "keep")},
                "lock": r["lock"] if r["lock"] is not None else (r["reason"] if r["action"] == "locked" else None),
                "title": r["title"],
                "in": self._text(r["in"]),
                "out": self._text(r["out"]),
                "source": None if made["source"] is None else self._text(made["source"]),
                "spans": made["spans"],
                "heat": None,
                "score": None if verdict is None else verdict["score"],
                "attempts": [_attempt(a) for a in r["attempts"] or made["attempts"]],
            }
        )
        return self._places[key]

    def _heated(
        self, calls: Sequence[Record], most: int | None, notes: list[str], progress: Callable[[float], None]
    ) -> tuple[list[Any], str | None]:
        from ctxshrink.report import heat  # needs the model

        last = {place for place, _ in calls[-1]["segments"]} if calls else set[int]()
        order = list(dict.fromkeys(_shown(s) for s in self._in_order(last)))
        keys = list(self._texts)
        texts = [self._recording.texts[keys[i]] for i in order]
        found = heat.heats(texts, most=heat.MOST if most is None else most, progress=progress)
        kept = [(place, tokens) for place, tokens in zip(order, found.found, strict=True) if tokens is not None]
        index = {place: i for i, (place, _) in enumerate(kept)}
        for segment in self._segments:
            segment["heat"] = index.get(_shown(segment))
        if found.cut:
            notes.append(
                f"Heat is shown for {found.read:,} tokens, those of the last call and of changed texts first: "
                f"{found.cut} of {len(texts)} texts are without it, or in part (--heat-tokens)."
            )
        return [tokens for _, tokens in kept], found.by

    def _in_order(self, last: Container[int]) -> list[Record]:
        """Segments by what their heat is worth: those of the last call first, and of them what needs attention."""

        def worth(place: int) -> tuple[bool, int, int]:
            segment = self._segments[place]
            changed = 2 if segment["in"] != segment["out"] else 3
            return place not in last, _ATTENTION.get(segment["action"], changed), -place

        return [self._segments[place] for place in sorted(range(len(self._segments)), key=worth)]


def grouped(calls: Sequence[RecordedCall], recording: Recording) -> tuple[dict[int, list[int]], list[int]]:
    """Which calls go on with which: positions by conversation, numbered from 1, and those that stand alone.

    A call goes on with the newest one whose originals its own begin with, or with that of the same `Conversation`.
    """
    known: dict[object, int] = {}
    members: dict[int, list[int]] = {}
    alone: list[int] = []
    for i, call in enumerate(calls):
        originals = [recording.decisions[key]["in"] for key, _ in call.entries]
        if all(recording.decisions[key]["kind"] == "document" for key, _ in call.entries):
            alone.append(i)
            continue
        chain = list(accumulate(originals, _link, initial=""))[1:]
        by_text = next((known[c] for c in reversed(chain) if c in known), None)
        name = known.get(call.conversation) if call.conversation in known else by_text
        if name is None:
            name = len(members) + 1
        members.setdefault(name, []).append(i)
        if call.whole:
            known[chain[-1]] = name
        if call.conversation is not None:
            known[call.conversation] = name
    return members, alone


def _shown(segment: Record) -> int:
    """The text that spans and heat are ranges of."""
    return segment["in"] if segment["source"] is None else segment["source"]


def _link(before: str, original: str) -> str:
    return hashlib.blake2b((before + original).encode(), digest_size=16).hexdigest()


def _attempt(record: Mapping[str, Any]) -> Record:
    verdict: Mapping[str, Any] = record["verdict"] or {}
    ok = record["error"] is None and (record["verdict"] is None or bool(verdict["ok"]))
    return {
        "compressor": record["compressor"],
        "keep": record["keep"],
        "tokens": record["tokens"],
        "ok": ok,
        "error": record["error"],
        "score": verdict.get("score"),
        "reason": verdict.get("reason"),
        "features": verdict.get("features", {}),
    }
