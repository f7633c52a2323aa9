"""What a calibration learns from: records, and which strings of each are needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from ctxshrink.bench.data import (
    ChatRecord,
    RagRecord,
    Record,
    Row,
    Split,
    ToolRecord,
    chat_record,
    load_sets,
    rag_record,
    tool_record,
)
from ctxshrink.bench.scoring import SURVIVES, Haystack
from ctxshrink.errors import ConfigError
from ctxshrink.result import ShrinkResult
from ctxshrink.shrinker import Shrinker

Mode: TypeAlias = Literal["query", "blind"]
MODES: Final[tuple[Mode, ...]] = ("query", "blind")


@dataclass(frozen=True, slots=True)
class Example:
    """A record of one of the three schemas.

    Attributes:
        source: Name of the file that it is from.
        record: What is shrunk, and what of it is needed.
    """

    source: str
    record: RagRecord | ChatRecord | ToolRecord

    @property
    def query(self) -> str | None:
        """The question, where one is known when the text is shrunk."""
        return None if isinstance(self.record, ChatRecord) else self.record.query.strip() or None

    @property
    def mode(self) -> Mode:
        """``query`` or ``blind``."""
        return "query" if self.query else "blind"

    def shrink(self, shrinker: Shrinker, keep: float) -> ShrinkResult[Any]:
        """Shrink it as its seat would; a rejected compression may exceed the goal.

        Raises:
            ConfigError: A conversation has no known shape.
        """
        record = self.record
        if isinstance(record, RagRecord):
            return shrinker.shrink_documents(record.docs, self.query, keep=keep)
        if isinstance(record, ToolRecord):
            return shrinker.shrink_text(record.content, self.query, keep=keep)
        try:
            return shrinker.shrink_messages(record.messages, keep=keep)
        except ConfigError as error:
            raise ConfigError(f"{self.source}: record {record.id}: {error}") from error

    def needed(self, text: Haystack) -> list[bool]:
        """Which of the strings that are needed stand in a text.

        Of chunks these are the answer (any of its spellings), or all facts, or all supporting sentences, whichever is
        there first; a sentence stands there while `SURVIVES` of its n-grams do.
        """
        record = self.record
        if isinstance(record, ChatRecord):
            return [text.contains_any(p.answers) for p in record.probes if p.answers]
        if isinstance(record, ToolRecord):
            return [text.contains_any(n) for n in record.needles]
        if record.answers:
            return [text.contains_any(record.answers)]
        if record.facts:
            return [text.contains(f) for f in record.facts]
        return [text.ngram_recall(s) >= SURVIVES for s in record.support]


@dataclass(frozen=True, slots=True)
class Data:
    """What was read.

    Attributes:
        name: Of the file or folder.
        labels: ``answers`` where the data names what is needed, ``reuse`` where later turns do.
        examples: Records that name something.
        unlabelled: Records that do not.
    """

    name: str
    labels: Literal["answers", "reuse"]
    examples: tuple[Example, ...]
    unlabelled: int = 0


def read_labelled(path: Path, *, split: Split = "all", limit: int | None = None, seed: int = 0) -> Data:
    """Records of the schemas of `ctxshrink.bench.data`; lines of one file may differ in kind.

    Args:
        path: A JSON-lines file or a folder of them.
        split: Half of the records to take.
        limit: Most records per file, drawn at random.
        seed: For that draw.

    Raises:
        ConfigError: There is no such file, it is empty, or a line is no record.
    """
    files: Mapping[str, Sequence[Record]] = load_sets(path, _parse, split=split, limit=limit, seed=seed)
    examples = [
        Example(name, r)
        for name, records in files.items()
        for r in records
        if isinstance(r, RagRecord | ChatRecord | ToolRecord)
    ]
    return Data(path.name, "answers", tuple(examples), sum(map(len, files.values())) - len(examples))


def _parse(row: Row) -> Record:
    """A record; one that names nothing needed is no more than a `Record`."""
    fields = row.fields
    if "docs" in fields:
        named = any(fields.get(k) for k in ("answers", "facts", "supporting_sentences"))
        return rag_record(row) if named else _plain(row)
    if "messages" in fields:
        record = chat_record(row) if fields.get("probes") else None
        return record if record is not None and any(p.answers for p in record.probes) else _plain(row)
    if "content" in fields:
        return tool_record(row) if fields.get("needles") else _plain(row)
    raise ConfigError(
        f'{row.where}: a record has "docs" (chunks), "messages" (a conversation) or "content" (a tool\'s output); '
        f"this one has {', '.join(fields) or 'nothing'}. For logs of conversations without labels use --traces"
    )


def _plain(row: Row) -> Record:
    key = row.text("id")
    return Record(key, row.text("group", key), row.text("lang", "en"))


def modes_of(examples: Sequence[Example]) -> Mapping[Mode, int]:
    """Examples by mode."""
    counts = Counter(e.mode for e in examples)
    return {mode: counts[mode] for mode in MODES if counts[mode]}
