"""Facts out of a language model's answer: JSON as asked for, fenced, wrapped in words, or cut off."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, cast

_MARK = re.compile(r"^(?:[-*+•‣◦▪●–][ \t]++|\(?\d{1,3}[.)][ \t]++)++")
_FORM = re.compile(r"[^\W_]+|[^\s\w.,;!\"'’“”«»()]")
_ARTICLES = frozenset(re.findall(r"\w+", "a an the der die das ein eine le la les l un une el los las una"))
_INVISIBLE = re.compile("[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u00ad\u200b-\u200f\u2060\ufeff]")
_STARTS = 8
"""Places where a list may begin that are tried."""
_KEYS = ("fact", "text", "statement")
_DECODER = json.JSONDecoder(strict=False)
_SPACE = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found in an answer.

    Attributes:
        facts: The items, each on one line, without list marks; empty ones left out.
        whole: False where the list does not come to its end, or an item is no fact.
    """

    facts: tuple[str, ...]
    whole: bool


def read_answer(text: str) -> Answer:
    """The facts of an answer; none where it holds no list. Takes about linear time whatever it holds."""
    text = text.strip()
    listed = _load(text)
    if listed is not None:
        return _answer(listed, whole=True)
    best = Answer((), whole=False)
    for start in _list_starts(text):
        items, ended = _items(text, start)
        found = _answer(items, whole=ended)
        if found.facts and (found.whole, len(found.facts)) > (best.whole and bool(best.facts), len(best.facts)):
            best = found
    return best


def one_line(fact: str) -> str:
    """A fact on one line, without list marks and invisible characters."""
    return _MARK.sub("", " ".join(_INVISIBLE.sub("", fact).split()))


def normal_form(fact: str) -> tuple[str, ...]:
    """What two facts share that say the same in the same words: words, numbers and signs, in order, no articles."""
    words = (m.group() for m in _FORM.finditer(unicodedata.normalize("NFKC", fact).casefold()))
    return tuple(w for w in words if w not in _ARTICLES)


def _load(text: str) -> list[Any] | None:
    """The list of an answer that is nothing but JSON."""
    try:
        found: object = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict):
        fields = cast("dict[str, Any]", found)
        lists: list[Any] = [fields["facts"]] if "facts" in fields else list(fields.values())
        found = next((cast("object", v) for v in lists if isinstance(v, list)), None)
    return cast("list[Any]", found) if isinstance(found, list) else None


def _list_starts(text: str) -> list[int]:
    """Where a list may begin: behind the key that was asked for, else at the first brackets."""
    named = [text.find("[", m.end()) for m in re.finditer(r'"facts"\s*:', text)]
    starts = [at for at in named[-2:] if at >= 0]
    at = -1
    while len(starts) < _STARTS and (at := text.find("[", at + 1)) >= 0:
        starts.append(at)
    return list(dict.fromkeys(starts))


def _items(text: str, start: int) -> tuple[list[Any], bool]:
    """The items of a list up to its end, or up to the first that is no JSON."""
    items: list[Any] = []
    pos = start + 1
    while True:
        pos = _end(text, pos)
        if pos >= len(text):
            return items, False
        if text[pos] == "]":
            return items, True
        try:
            item, pos = _DECODER.raw_decode(text, pos)
        except (ValueError, RecursionError):
            return items, False
        items.append(item)


def _end(text: str, pos: int) -> int:
    m = _SPACE.match(text, pos)
    return pos if m is None else m.end()


def _answer(items: list[Any], *, whole: bool) -> Answer:
    facts: list[str] = []
    for item in items:
        fact = item
        if isinstance(fact, dict):
            fields = cast("dict[str, Any]", fact)
            fact = next((fields[k] for k in _KEYS if isinstance(fields.get(k), str)), None)
        if not isinstance(fact, str):
            whole = False
            continue
        if line := one_line(fact):
            facts.append(line)
    return Answer(tuple(facts), whole)
