"""Questions about passages for training the pruner: rows read, windows cut, hard negatives found."""

from __future__ import annotations

import json
import lzma
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from ctxshrink.compressors._reader import QUERY, TITLE
from ctxshrink.compressors._terms import word_terms, words
from ctxshrink.errors import ConfigError

_MINED = 8
_COMMON = 0.1


@dataclass(slots=True)
class Window:
    """A run of a passage's units that the encoder reads at once.

    Attributes:
        title: Token ids of the title.
        units: Token ids of each unit.
        texts: The units, in lower case.
        asked: Whether some question is answered by the unit; shape (units,).
        answer: Per unit which of its tokens are part of an answer.
    """

    title: list[int]
    units: list[list[int]]
    texts: list[str]
    asked: list[bool]
    answer: list[list[bool]]


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the units that answer it: ``gold`` maps a window's number to unit numbers in it."""

    text: str
    ids: list[int]
    gold: Mapping[int, frozenset[int]]
    answers: tuple[str, ...]


@dataclass(slots=True)
class PrunerData:
    """Everything that is trained on.

    Attributes:
        windows: All windows.
        questions: All questions.
        of_window: Questions that a window answers.
        hard: For each question windows that look like its answer and are not.
        special: Ids of the tokenizer's ``cls``, ``sep`` and ``unk``.
    """

    windows: list[Window] = field(default_factory=list[Window])
    questions: list[Question] = field(default_factory=list[Question])
    of_window: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    hard: list[list[int]] = field(default_factory=list[list[int]])
    special: Mapping[str, int] = field(default_factory=dict[str, int])


def read_rows(files: Sequence[str], shares: Mapping[str, float], languages: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of ``{"query", "sentences", "labels"}`` and optional ``title``, ``answers``, ``lang``, ``split``.

    A chat (``{"messages", "probes"}``) gives a row a probe: its messages are the sentences, the evidence the labels.
    Rows with ``split: "dev"`` and other languages are left out.

    Raises:
        ConfigError: A file cannot be read, or a row lacks a field.
    """
    for file in map(Path, files):
        share = shares.get(file.name, 1.0)
        try:
            with _open(file) as lines:
                for number, line in enumerate(lines, 1):
                    if int(number * share) == int((number - 1) * share):
                        continue
                    row = json.loads(line)
                    if row.get("split") == "dev" or row.get("lang", "en") not in languages:
                        continue
                    try:
                        yield from _chat_rows(row) if "messages" in row else [_checked(row)]
                    except (KeyError, TypeError) as error:
                        raise ConfigError(f"{file}:{number}: needs query, sentences and labels; {error}") from error
        except (OSError, ValueError, lzma.LZMAError) as error:
            raise ConfigError(f"{file}: cannot be read as JSON lines: {error}") from error


def _open(file: Path) -> IO[str]:
    return lzma.open(file, "rt", encoding="utf-8") if file.suffix == ".xz" else file.open(encoding="utf-8")


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    if len(row["sentences"]) != len(row["labels"]) or not isinstance(row["query"], str):
        raise TypeError("labels must have an entry for each sentence")
    return row


def _chat_rows(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    said = [(i, m["role"], m["content"]) for i, m in enumerate(row["messages"]) if m.get("content")]
    said = [(i, text) for i, role, text in said if role in ("user", "assistant")]
    for probe in row["probes"]:
        evidence = set(probe["evidence_message_idx"])
        yield {
            "query": probe["question"].partition(": ")[2] or probe["question"],
            "title": "",
            "sentences": [text for _, text in said],
            "labels": [int(i in evidence) for i, _ in said],
            "answers": probe.get("answers") or [],
        }


def build(
    rows: Iterator[dict[str, Any]],
    encode: Callable[[Sequence[str]], list[Any]],
    window: int,
    special: Mapping[str, int],
) -> PrunerData:
    """Windows, questions and hard negatives.

    Args:
        rows: As `read_rows` gives them.
        encode: Tokenizes texts without special tokens; each result has ``ids`` and ``offsets``.
        window: Most tokens of a window with [CLS], title and [SEP].
        special: Ids of ``cls``, ``sep`` and ``unk``.

    Raises:
        ConfigError: No row has an answering sentence.
    """
    passages: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if any(row["labels"]):
            title = str(row.get("title") or "").replace("_", " ")
            passages[(title if "/" not in title else "", *row["sentences"])].append(row)
    data = PrunerData(special=special)
    for key, asked in passages.items():
        _add_passage(data, key[0], list(key[1:]), asked, encode, window)
    if not data.questions:
        raise ConfigError("data: no question with an answering sentence was found")
    data.hard = _mine(data)
    return data


def _add_passage(
    data: PrunerData,
    title: str,
    sentences: list[str],
    rows: list[dict[str, Any]],
    encode: Callable[[Sequence[str]], list[Any]],
    window: int,
) -> None:
    encoded = encode([title, *sentences, *(str(r["query"]) for r in rows)])
    head = encoded[0].ids[:TITLE]
    room = window - 3 - len(head)
    place: list[tuple[int, int]] = []
    for i, text in enumerate(sentences):
        ids, offsets = encoded[1 + i].ids[:room] or [data.special["unk"]], encoded[1 + i].offsets[:room]
        current = data.windows[-1] if place else None
        if current is None or sum(map(len, current.units)) + len(ids) > room:
            current = Window(head, [], [], [], [])
            data.windows.append(current)
        place.append((len(data.windows) - 1, len(current.units)))
        current.units.append(ids)
        current.texts.append(text.lower())
        current.asked.append(any(r["labels"][i] for r in rows))
        current.answer.append(
            _answer_mask(text, offsets, [a for r in rows if r["labels"][i] for a in r.get("answers") or ()])
        )
    for row, query in zip(rows, encoded[1 + len(sentences) :], strict=True):
        gold: dict[int, set[int]] = defaultdict(set)
        for i, label in enumerate(row["labels"]):
            if label:
                gold[place[i][0]].add(place[i][1])
        question = len(data.questions)
        answers = tuple(str(a).lower() for a in row.get("answers") or () if len(str(a)) > 2)
        data.questions.append(
            Question(str(row["query"]), query.ids[:QUERY], {w: frozenset(u) for w, u in gold.items()}, answers)
        )
        for w in gold:
            data.of_window.setdefault(w, []).append(question)


def _answer_mask(text: str, offsets: Sequence[tuple[int, int]], answers: Sequence[str]) -> list[bool]:
    lower = text.lower()
    found: list[tuple[int, int]] = []
    for answer in {a.lower() for a in answers if a}:
        at = lower.find(answer)
        if at >= 0:
            found.append((at, at + len(answer)))
    return [any(s < b and e > a for a, b in found) for s, e in offsets]


def _mine(data: PrunerData) -> list[list[int]]:
    """For each question the windows that share most with it, weighted by rarity, its own left out."""
    n = len(data.windows)
    postings: dict[str, list[int]] = defaultdict(list)
    for i, window in enumerate(data.windows):
        for term in _terms(" ".join(window.texts)):
            postings[term].append(i)
    held = {t: np.array(p) for t, p in postings.items() if len(p) <= max(50, _COMMON * n)}
    out: list[list[int]] = []
    for question in data.questions:
        score = np.zeros(n, dtype=np.float32)
        for term in _terms(question.text):
            if term in held:
                score[held[term]] += np.log(n / len(held[term]))
        score[list(question.gold)] = 0
        best = np.argpartition(-score, min(_MINED, n - 1))[:_MINED]
        out.append([int(b) for b in best if score[b] > 0])
    return out


def _terms(text: str) -> set[str]:
    return {t for word in words(text) for t in word_terms(word)}
