"""Benchmark records: JSON lines read into typed values, with errors that name the file, the line and the field.

Three schemas, one per task; further keys are ignored:

* rag: ``id, query, docs: [{text, title?}]`` and at least one of ``answers`` (any of), ``facts`` (all of),
  ``supporting_sentences``; ``multi_hop`` or a ``source`` in `MULTI_HOP` says that all supporting sentences are needed;
* chat: ``id, messages`` (OpenAI style), ``probes: [{answers, evidence_message_idx, extractive?, in_recent4?}]``, any
  answer will do;
* tools: ``id, query, content, needles: [{answers}]``.

``lang`` (default "en") decides which mean a record counts towards, ``group`` (default: the id) which side of the
dev/test split it is on.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, TypeVar

from ctxshrink.errors import ConfigError

from ._row import RecordError, Row

Split: TypeAlias = Literal["all", "dev", "test"]
R = TypeVar("R", bound="Record")
T = TypeVar("T")

EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "rag": '{"id": "1", "query": "When does it open?", "docs": [{"text": "It opens at nine. Tea is free."}], '
        '"answers": ["at nine"]}',
        "chat": '{"id": "1", "messages": [{"role": "user", "content": "My code is 4471."}, {"role": "assistant", '
        '"content": "Noted."}], "probes": [{"answers": ["4471"]}]}',
        "tools": '{"id": "1", "query": "Which job failed?", "content": "job 1 done\\njob 2 FAILED", '
        '"needles": [{"answers": ["job 2"]}]}',
    }
)
"""The smallest record of each schema, as a line of a file."""


MULTI_HOP = frozenset(("hotpotqa", "musique", "2wikimultihop"))
"""Sources whose questions need every supporting sentence: the answer alone may stand in a text that does not say why.

All their records count, also those of which only the sentence with the answer is known."""


@dataclass(frozen=True, slots=True)
class Record:
    """What every record has."""

    id: str
    group: str
    lang: str


@dataclass(frozen=True, slots=True)
class RagRecord(Record):
    """A question, the chunks that were retrieved for it, and what of them is needed.

    Attributes:
        answers: Any of these will do.
        facts: All of these are needed.
        support: The sentences of the chunks that hold the answer or lead to it.
        multi_hop: Every sentence of ``support`` is needed, not just one.
    """

    query: str
    docs: tuple[dict[str, str], ...]
    answers: tuple[str, ...]
    facts: tuple[str, ...]
    support: tuple[str, ...]
    multi_hop: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """Something that was said and may be asked for later.

    Attributes:
        answers: Any of these will do; empty when the answer is not a piece of the text.
        evidence: Positions of the messages that hold it.
        in_recent4: It also stands in the last four messages, which stay exact anyway; None where that is unknown.
    """

    answers: tuple[str, ...]
    evidence: tuple[int, ...]
    in_recent4: bool | None


@dataclass(frozen=True, slots=True)
class ChatRecord(Record):
    """A conversation and probes into its past."""

    messages: tuple[dict[str, Any], ...]
    probes: tuple[Probe, ...]


@dataclass(frozen=True, slots=True)
class ToolRecord(Record):
    """One tool output, a question about it, and what must survive: for each needle any of its spellings."""

    query: str
    content: str
    needles: tuple[tuple[str, ...], ...]


def rag_record(row: Row) -> RagRecord:
    """A record of the rag schema."""
    docs = tuple({"text": doc.text("text"), "title": doc.text("title", "")} for doc in row.rows("docs"))
    answers, facts, support = row.texts("answers"), row.texts("facts"), row.texts("supporting_sentences")
    if not (answers or facts or support):
        raise RecordError(f'{row.where}: one of "answers", "facts" and "supporting_sentences" is needed to score it')
    multi_hop = row.flag("multi_hop")
    if multi_hop is None:
        multi_hop = row.text("source", "") in MULTI_HOP
    return RagRecord(*_common(row), row.text("query"), docs, answers, facts, support, multi_hop)


def chat_record(row: Row) -> ChatRecord:
    """A record of the chat schema."""
    messages = tuple(message.fields for message in row.rows("messages"))
    probes = tuple(
        Probe(
            probe.texts("answers") if probe.flag("extractive") is not False else (),
            probe.positions("evidence_message_idx", len(messages)),
            probe.flag("in_recent4"),
        )
        for probe in row.rows("probes")
    )
    return ChatRecord(*_common(row), messages, probes)


def tool_record(row: Row) -> ToolRecord:
    """A record of the tools schema."""
    needles = tuple(needle.texts("answers") for needle in row.rows("needles"))
    if not needles or not all(needles):
        raise RecordError(f'{row.where}: "needles" must hold at least one needle, each with "answers"')
    return ToolRecord(*_common(row), row.text("query"), row.text("content"), needles)


def _common(row: Row) -> tuple[str, str, str]:
    key = row.text("id")
    return key, row.text("group", key), row.text("lang", "en")


def files_of(path: Path | Sequence[Path]) -> list[Path]:
    """The JSON-lines files of a benchmark.

    Args:
        path: A file, a folder of them, or several of these.

    Raises:
        ConfigError: There is none.
    """
    files = list[Path]()
    for one in [path] if isinstance(path, Path) else path:
        found = sorted(one.glob("*.jsonl")) if one.is_dir() else [one]
        if not found or not found[0].is_file():
            what = "the folder holds no .jsonl file" if one.is_dir() else "no such file"
            raise ConfigError(f"--data {one}: {what}")
        files += found
    return files


def load_sets(
    path: Path | Sequence[Path],
    parse: Callable[[Row], R],
    *,
    split: Split = "all",
    limit: int | None = None,
    seed: int = 0,
) -> dict[str, list[R]]:
    """The sets of a benchmark.

    Args:
        path: A JSON-lines file (one set, named after the file), a folder of them, or several of these.
        parse: The schema: `rag_record`, `chat_record` or `tool_record`.
        split: Which side of the dev/test split to take, see `on_dev_side`.
        limit: Most records per set, drawn at random after the split.
        seed: For that draw.

    Returns:
        Records by set name, in file order; sets that have no record on that side are left out.

    Raises:
        ConfigError: There is no such file, or a line is not a record of the schema.
    """
    sets: dict[str, list[R]] = {}
    for file in files_of(path):
        records = [r for r in _read(file, parse) if split == "all" or on_dev_side(r.group) == (split == "dev")]
        if limit is not None and len(records) > limit:
            picks = sorted(random.Random(f"{seed}:{file.stem}").sample(range(len(records)), limit))
            records = [records[i] for i in picks]
        if records:
            sets[file.stem] = records
    if not sets:
        where = path if isinstance(path, Path) else ", ".join(map(str, path))
        raise ConfigError(f"--data {where}: no records" + ("" if split == "all" else f" on the {split} side"))
    return sets


def on_dev_side(group: str) -> bool:
    """True for the development half: settings are chosen there, results are reported on the rest.

    The first byte of the group's SHA-256 decides, so that records of one source document stay on one side.
    """
    return hashlib.sha256(group.encode("utf-8", "surrogatepass")).digest()[0] < 128


def task_of(file: Path) -> str:
    """What the records of a file are for, by the keys of its first line: ``rag``, ``chat`` or ``tools``.

    Raises:
        ConfigError: It cannot be read, is empty, or its first line is no record of any schema.
    """
    rows = _read(file, lambda row: row, most=1)
    if not rows:
        raise ConfigError(f"{file}: the file is empty")
    [row] = rows
    for key, task in (("docs", "rag"), ("messages", "chat"), ("content", "tools")):
        if key in row.fields:
            return task
    raise RecordError(
        f'{row.where}: a record has "docs" (chunks, for rag), "messages" (a conversation, for chat) or "content" (a '
        f"tool's output, for tools); this one has {', '.join(row.fields) or 'nothing'}. The smallest records: "
        + "; ".join(EXAMPLES.values())
    )


def _read(file: Path, parse: Callable[[Row], T], most: int | None = None) -> Sequence[T]:
    records: list[T] = []
    try:
        with file.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    where = f"{file}:{number}"
                    records.append(parse(Row(_decode(line, where), where)))
                    if len(records) == most:
                        break
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    return records


def _decode(line: str, where: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where}: not a line of JSON: {error}") from error
