"""Examples from logged conversations, without labels: what later turns took from earlier ones was needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from ctxshrink.bench.data import ChatRecord, Probe
from ctxshrink.errors import ConfigError, FormatError
from ctxshrink.messages import detect
from ctxshrink.policies import RECENT_TURNS
from ctxshrink.reuse import reused_in_messages

from .examples import Data, Example

CUTS: Final = (0.25, 0.5, 0.75)
"""Where a conversation is cut, as shares of its messages: what comes after each says what of the rest was needed."""

_HOLDERS: Final = ("messages", "input", "items", "conversation")
_NAMES: Final = ("group", "conversation_id", "session_id", "thread_id", "id")


@dataclass(frozen=True, slots=True)
class _Trace:
    messages: tuple[Any, ...]
    group: str
    where: str


def read_traces(path: Path, *, limit: int | None = None) -> Data:
    """Conversations of any known message format, cut where the model was about to act.

    A conversation that another one goes on from, as in a log of requests, counts once.

    Args:
        path: A file or a folder of ``.json`` and ``.jsonl`` files: each document or line is a list of messages, an
            object that holds one (``messages``, ``input``), or a list of such.
        limit: Most conversations, the first ones.

    Raises:
        ConfigError: There is no such file, it holds no conversation, or it is not JSON.
    """
    files = sorted(f for f in path.iterdir() if f.suffix in (".json", ".jsonl")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        what = "the folder holds no .json or .jsonl file" if path.is_dir() else "no such file"
        raise ConfigError(f"--traces {path}: {what}")
    try:
        traces = _longest([t for file in files for t in _traces(file)])[:limit]
    except RecursionError as error:
        raise ConfigError(f"--traces {path}: holds a message that is nested too deeply") from error
    if not traces:
        raise ConfigError(f"--traces {path}: holds no conversation; expected lists of messages, or objects with one")
    labelled: list[Example] = []
    unlabelled = 0
    for trace in traces:
        cuts = list(_examples(trace))
        used = [e for e in cuts if cast(ChatRecord, e.record).probes]
        labelled += used
        # A conversation that is too short to be cut counts as one that tells nothing.
        unlabelled += max(1, len(cuts)) - len(used)
    return Data(path.name, "reuse", tuple(labelled), unlabelled)


def _traces(file: Path) -> Iterator[_Trace]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    if file.suffix == ".json":
        yield from _conversations(_json(text, str(file)), str(file), str(file))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{file}:{number}"
            yield from _conversations(_json(line, where), where, where)


def _json(text: str, where: str) -> object:
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not JSON: {error}") from error


def _conversations(value: object, group: str, where: str) -> Iterator[_Trace]:
    if isinstance(value, dict):
        holder = cast("Mapping[str, Any]", value)
        found = next((holder[k] for k in _HOLDERS if isinstance(holder.get(k), list)), None)
        if found is None:
            keys = ", ".join(list(holder)[:8]) or "none"
            raise ConfigError(f'{where}: an object without a list of "messages" (or "input"); its keys: {keys}')
        name = next((holder[k] for k in _NAMES if isinstance(holder.get(k), str | int)), group)
        yield _Trace(tuple(found), str(name), where)
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        if any(isinstance(i, list) or (isinstance(i, dict) and any(h in i for h in _HOLDERS)) for i in items):
            for index, item in enumerate(items):
                yield from _conversations(item, f"{group}[{index}]", f"{where}[{index}]")
        elif items:
            yield _Trace(tuple(items), group, where)
    else:
        raise ConfigError(f"{where}: expected a list of messages; got {type(value).__name__}")


def _longest(traces: Sequence[_Trace]) -> list[_Trace]:
    """Those that are no beginning of another one, in order; equal ones once."""
    inner: set[bytes] = set()
    whole: dict[bytes, _Trace] = {}
    for trace in traces:
        state = hashlib.sha256()
        for message in trace.messages:
            inner.add(state.digest())
            state.update(json.dumps(message, sort_keys=True).encode("utf-8", "surrogatepass") + b"\n")
        whole.setdefault(state.digest(), trace)
    return [trace for end, trace in whole.items() if end not in inner]


def _examples(trace: _Trace) -> Iterator[Example]:
    """One for each cut; those without probes are of no use and are counted by the caller."""
    messages = trace.messages
    try:
        detect(messages)
        starts = [i for i in range(RECENT_TURNS + 1, len(messages)) if _acts(messages[i]) > _acts(messages[i - 1])]
        for cut in sorted(
            {min(starts, key=lambda i: abs(i - share * len(messages))) for share in CUTS} if starts else ()
        ):
            probes = [Probe((r.text,), r.shown, None) for r in reused_in_messages(messages, cut, by=("tool_call",))]
            record = ChatRecord(f"{trace.where}@{cut}", trace.group, "", messages[:cut], tuple(probes))
            yield Example("traces", record)
    except FormatError as error:
        raise ConfigError(f"{trace.where}: {error}") from error


def _acts(message: Any) -> bool:
    """Whether the model made a message."""
    if not isinstance(message, Mapping):
        return False
    fields = cast("Mapping[str, Any]", message)
    role, kind = fields.get("role"), str(fields.get("type", ""))
    return role == "assistant" or (role is None and bool(kind) and not kind.endswith("_output"))
