"""Traces read back: every call with all of its segments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from ctxshrink.economics import Economics
from ctxshrink.errors import ConfigError
from ctxshrink.report import _records as records
from ctxshrink.report._encoder import Encoder
from ctxshrink.report._records import Record
from ctxshrink.result import ShrinkResult
from ctxshrink.types import Goal

_BROKEN: Final = (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError, OverflowError)
"""What a line raises that is none of a trace's: torn, cut off by a crash, or written by something else."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call of a trace.

    Attributes:
        fields: What its line says, see `ctxshrink.report._encoder`.
        entries: Its segments in order: the key of what happened to each, and its age.
        whole: These are all segments of the call.
        query: The question that it was for, if one was given.
        economics: What tokens cost in it, if known.
    """

    fields: Mapping[str, Any]
    entries: tuple[tuple[str, int], ...]
    whole: bool
    query: str | None
    economics: Economics | None

    @property
    def conversation(self) -> tuple[str, int] | None:
        """The recorder's name of its conversation; None for documents, and where it is not known."""
        return None if self.fields["thread"] is None else (self.fields["run"], self.fields["thread"])


@dataclass(slots=True)
class Recording:
    """What a trace holds.

    Attributes:
        texts: By key.
        decisions: What happened to a segment, by key; see `ctxshrink.report._records.decision_record`.
        calls: In the order of the file.
        unread: Lines that could not be read, and calls that name something that is not there.
    """

    texts: dict[str, str] = field(default_factory=dict[str, str])
    decisions: dict[str, Record] = field(default_factory=dict[str, Record])
    calls: list[RecordedCall] = field(default_factory=list[RecordedCall])
    unread: int = 0

    def results(self) -> list[ShrinkResult[dict[str, str]]]:
        """The results as they were, each with all of its segments; their outputs are texts by segment id."""
        return [self.result(call, call.entries) for call in self.calls]

    def result(self, call: RecordedCall, entries: Iterable[tuple[str, int]]) -> ShrinkResult[dict[str, str]]:
        """The result of a call with decisions on some of its segments."""
        f, observed = call.fields, call.fields["mode"] == "observe"
        decisions = tuple(records.decision_of(self.decisions[key], self.texts, age) for key, age in entries)
        return ShrinkResult(
            {d.segment.id: d.segment.text if observed else d.text for d in decisions},
            decisions,
            f["before"],
            f["after"],
            f["counter"],
            f["exact"],
            Goal(**f["goal"]),
            tuple(f["warnings"]),
            f["mode"],
            f["seconds"],
            call.query,
        )


def read_trace(path: Path) -> Recording:
    """Reads what `ctxshrink.report.Trace` wrote. A line that was torn off is passed over, and counted.

    Raises:
        ConfigError: The file cannot be read, is no trace, or is one of a newer version.
    """
    try:
        with path.open("rb") as file:
            return recording(file, str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error


def recording(lines: Iterable[bytes], where: str) -> Recording:
    """The trace that some lines hold; ``where`` names it in errors."""
    reader = _Reader()
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            value: Any = json.loads(line)
        except _BROKEN:
            value = None
        if number == 0:
            _check_header(value, where)
        reader.take(value)
    return reader.found


def recorded(results: Sequence[ShrinkResult[Any]], economics: Economics | None = None) -> Recording:
    """Results as if they had been recorded and read."""
    encoder, reader = Encoder("results"), _Reader()
    for result in results:
        for line in encoder.encode(result, economics):
            reader.take(json.loads(line.text))
    return reader.found


def is_trace(value: object) -> bool:
    """True for the first line of a trace, of whatever version."""
    return isinstance(value, dict) and cast("dict[str, Any]", value).get("trace") == records.NAME


def _check_header(value: object, where: str) -> None:
    if not is_trace(value):
        raise ConfigError(f'{where}: not a trace; Shrinker(telemetry=Trace("trace.jsonl")) writes one')
    version = cast("dict[str, Any]", value).get("version")
    if version != records.VERSION:
        raise ConfigError(
            f"{where}: a trace of version {version!r}; this ctxshrink reads version {records.VERSION}: update it"
        )


class _Reader:
    def __init__(self) -> None:
        self.found = Recording()
        self._entries: dict[tuple[str, int], list[tuple[str, int]]] = {}

    def take(self, value: Any) -> None:
        """Takes up the value of a line."""
        try:
            if "call" in value:
                self._call(value["call"])
            elif "text" in value:
                self.found.texts[str(value["text"])] = records.checked_text(value["value"])
            elif "decision" in value:
                self._decision(value)
            elif not is_trace(value):
                self.found.unread += 1
        except _BROKEN:
            self.found.unread += 1

    def _decision(self, value: Record) -> None:
        records.check_decision(value)
        records.decision_of(value, self.found.texts, 0)  # Raises where a text is missing.
        self.found.decisions[value["decision"]] = value

    def _call(self, value: Record) -> None:
        records.check_call(value)
        run, number, base = value["run"], value["number"], value["after_call"]
        entries = [] if base is None else list(self._entries[run, base])
        for place, key, turn in value["set"]:
            if place == len(entries):
                entries.append((key, turn))
            else:
                entries[place] = (key, turn)
        del entries[value["length"] :]
        missing = [key for key, _ in entries if key not in self.found.decisions]
        self._entries[run, number] = entries
        query = None if value["query"] is None else self.found.texts[value["query"]]
        turns = value["turns"]
        call = RecordedCall(
            value,
            tuple((key, turns - turn) for key, turn in entries if key in self.found.decisions),
            value["whole"] and not missing,
            query,
            records.economics_of(value["economics"]),
        )
        self.found.calls.append(call)
