"""What later turns of a conversation took from earlier ones: which text turned out to be needed, without any label.

A string is *reused* at a cut when a user, a tool or a document showed it before the cut, the model used it after the
cut (in the arguments of a tool call, or in what it said), and no user, tool or document showed it again between the cut
and that use. Text that was shortened at the cut must still hold such a string, or the model could not have used it.

Only strings that are hard to come by otherwise count: whole arguments of tool calls, and the dates, ids, numbers and
names (`ctxshrink.facts`) of everything else. What was needed for its meaning alone is not seen: a lower bound.
"""

from __future__ import annotations

import bisect
import json
import re
import unicodedata
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, cast

from .errors import ConfigError
from .facts import FactKind, facts
from .messages import detect
from .types import Kind, Segment

User: TypeAlias = Literal["tool_call", "assistant"]
"""Who may use a string: the arguments of a tool call, or what the model says."""

SHOWING: Final = frozenset[Kind](("user", "tool_result", "document"))
"""Kinds of segments that show the model something it did not say itself."""
LEAST: Final = 3
"""Characters of the shortest string that counts: "7" or "ok" stands in too many places to tell anything."""
WORDS: Final = 8
"""Most words of an argument that is looked for as a whole; longer ones are looked for fact by fact."""
_KINDS: Final = frozenset[FactKind](("date", "id", "number", "name"))
_CJK: Final = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN: Final = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")
_OWN: Final = re.compile(r"^(?:self|this|cls)\.")
_LITERALS: Final = frozenset(("none", "null", "true", "false"))
_INNER_CAPITAL: Final = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]")

Key: TypeAlias = tuple[str, ...]
"""Words in normal form: what two spellings of a string share."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """A string that was needed after a cut.

    Attributes:
        text: The string as it was shown last before the cut; every earlier showing equals it up to case, Unicode
            compatibility forms and punctuation between its words.
        shown: Positions of the segments before the cut that show it, in order.
        used: Position of the segment that uses it first.
        by: Whether that is a tool call or something the model said.
    """

    text: str
    shown: tuple[int, ...]
    used: int
    by: User


@dataclass(frozen=True, slots=True)
class Used:
    """A string that a segment uses.

    Attributes:
        value: The string, as it is used or in the normal form of `ctxshrink.facts`.
        number: It is a number.
        name: Nothing but capitals tells it from the words of a language.
        parts: What to look for where the whole was never shown.
    """

    value: str
    number: bool = False
    name: bool = False
    parts: tuple[Used, ...] = ()

    @property
    def spellings(self) -> tuple[Key, ...]:
        """Its words, in each way that it may be written; () for what is too short or too long to be looked for."""
        key = tuple(_normal(w) for w in _TOKEN.findall(self.value))
        if not 0 < len(key) <= 2 * WORDS or sum(map(len, key)) < LEAST or self.value in _LITERALS:
            return ()
        if not self.number or len(key[0]) <= 3:
            return (key,)
        first = len(key[0]) % 3 or 3  # 1234567 as it is read in 1,234,567
        return key, (key[0][:first], *(key[0][i : i + 3] for i in range(first, len(key[0]), 3)), *key[1:])


@dataclass(slots=True)
class _Use:
    """A string that is used after the cut, and where it was seen."""

    number: bool
    name: bool
    used: int
    by: User
    shown: list[int] = field(default_factory=list[int])
    text: str = ""
    again: bool = False
    common: bool = False

    @property
    def needed(self) -> bool:
        return bool(self.shown) and not self.again and not (self.name and self.common)


def reused(
    segments: Sequence[Segment], at: int, *, by: Collection[User] = ("tool_call", "assistant")
) -> tuple[Reuse, ...]:
    """Strings that segments after a cut took from segments before it.

    Args:
        segments: A conversation in order, as `ctxshrink.messages` parses it, original texts.
        at: The cut: ``segments[:at]`` are before it, ``segments[at:]`` after it.
        by: Whose uses count. Arguments of tool calls are the stronger sign; what the model says may repeat what nobody
            needs.

    Returns:
        One entry per string, in the order of their first uses; none where nothing stands after the cut. Time is linear
        in the text.

    Raises:
        ConfigError: ``at`` is not a position.
    """
    if not 0 <= at <= len(segments):
        raise ConfigError(f"at must be in 0 to {len(segments)}, the number of segments; got {at}")
    wholes, uses = _uses(segments, at, by)
    if not uses:
        return ()
    lengths = sorted({len(key) for key in uses})
    for position, segment in enumerate(segments):
        if segment.kind in SHOWING:
            _look(segment.text, position, at, uses, lengths)
    every = [used for whole in wholes for used in with_parts(whole)]
    plain = plain_words((s.text for s in segments), (u for u in every if u.name))
    for key, use in uses.items():
        use.common = use.name and plain.issuperset(key)
    found: dict[Key, _Use] = {}
    for whole in wholes:
        for key, use in _resolve(whole, uses):
            found.setdefault(key, use)
    return tuple(Reuse(u.text, tuple(u.shown), u.used, u.by) for u in found.values())


def reused_in_messages(
    messages: Sequence[Any], at: int, *, by: Collection[User] = ("tool_call", "assistant")
) -> tuple[Reuse, ...]:
    """`reused` for messages of a known shape: ``messages[:at]`` are before the cut; positions are those of messages.

    Raises:
        FormatError: The messages have no known shape.
        ConfigError: ``at`` is not a position.
    """
    if not 0 <= at <= len(messages):
        raise ConfigError(f"at must be in 0 to {len(messages)}, the number of messages; got {at}")
    parsed = detect(messages).parse(messages)
    places = [parsed.index_of(s.id) for s in parsed.segments]
    found = reused(parsed.segments, bisect.bisect_left(places, at), by=by)
    return tuple(Reuse(r.text, tuple(dict.fromkeys(places[p] for p in r.shown)), places[r.used], r.by) for r in found)


def strings_used(segment: Segment) -> Iterator[Used]:
    """What a tool call or an answer uses, in order; where a whole is found, its parts need no looking for."""
    arguments = _arguments(segment.text) if segment.kind == "tool_call" else None
    if arguments is None:
        yield from strings_in(segment.text)
        return
    for value in _leaves(arguments):
        words = _TOKEN.findall(value)
        if 1 < len(words) <= WORDS or (len(words) == 1 and _distinctive(value)):
            yield Used(value, _is_number(value), parts=tuple(strings_in(value)) if len(words) > 1 else ())
        else:
            yield from strings_in(value)


def _uses(segments: Sequence[Segment], at: int, by: Collection[User]) -> tuple[list[Used], dict[Key, _Use]]:
    """What is used after the cut, and the first use of each string by its words."""
    wholes: dict[Used, None] = {}
    uses: dict[Key, _Use] = {}
    for position in range(at, len(segments)):
        kind = segments[position].kind
        if (kind != "tool_call" and kind != "assistant") or kind not in by:
            continue
        for whole in strings_used(segments[position]):
            for used in with_parts(whole):
                for key in used.spellings:
                    uses.setdefault(key, _Use(used.number, used.name, position, kind))
            wholes.setdefault(whole)
    return list(wholes), uses


def _resolve(used: Used, uses: dict[Key, _Use]) -> Iterator[tuple[Key, _Use]]:
    """The needed strings of what was used: the whole where it was shown, needed or not; its parts otherwise."""
    shown = [(key, uses[key]) for key in used.spellings if uses[key].shown]
    if shown and all(use.needed for _, use in shown):
        yield shown[0]
    if not shown:
        for part in used.parts:
            yield from _resolve(part, uses)


def _look(text: str, position: int, at: int, uses: dict[Key, _Use], lengths: list[int]) -> None:
    """Mark which of the strings a text shows."""
    for key, begin, end in occurrences(text, uses, lengths):
        use = uses[key]
        if use.number and _inside_number(text, begin, end):
            continue
        if position < at:
            use.text = text[begin:end]
            if not use.shown or use.shown[-1] != position:
                use.shown.append(position)
        elif position < use.used:
            use.again = True


def occurrences(text: str, keys: Container[Key], lengths: Sequence[int]) -> Iterator[tuple[Key, int, int]]:
    """Where a text holds one of some strings, as (key, begin, end); ``lengths`` are those of the keys, in words."""
    matches = list(_TOKEN.finditer(text))
    words = [_normal(m.group()) for m in matches]
    for start in range(len(words)):
        for length in lengths:
            if start + length <= len(words) and (key := tuple(words[start : start + length])) in keys:
                yield key, matches[start].start(), matches[start + length - 1].end()


def with_parts(used: Used) -> Iterator[Used]:
    """A string and its parts."""
    yield used
    for part in used.parts:
        yield from with_parts(part)


def plain_words(texts: Iterable[str], names: Iterable[Used]) -> set[str]:
    """Those words of some names that also stand in the texts without a capital: words of the language."""
    wanted = {word for name in names for key in name.spellings for word in key}
    return {word for text in texts for word in _TOKEN.findall(text) if word in wanted} if wanted else set()


def _normal(word: str) -> str:
    return word.casefold() if word.isascii() else unicodedata.normalize("NFKC", word).casefold()


def _inside_number(text: str, begin: int, end: int) -> bool:
    before = begin > 1 and text[begin - 1] == "." and text[begin - 2].isdigit()
    after = end + 1 < len(text) and text[end] == "." and text[end + 1].isdigit()
    return before or after


def strings_in(text: str) -> Iterator[Used]:
    """The dates, ids, numbers and names of any text, and its words that look like identifiers."""
    for kind, value in sorted(facts(text, _KINDS)):
        value = _OWN.sub("", value)
        parts = tuple(Used(w) for w in _TOKEN.findall(value) if w != value and _distinctive(w)) if kind == "id" else ()
        yield Used(value, kind == "number", kind == "name", parts)
    for word in dict.fromkeys(_TOKEN.findall(text)):
        if _INNER_CAPITAL.search(word):
            yield Used(word)


def _distinctive(word: str) -> bool:
    """True for what looks like an identifier or a value rather than a word of a language."""
    if len(word) < LEAST:
        return False
    return any(c.isdigit() or c in "_/@#" for c in word) or bool(_INNER_CAPITAL.search(word))


def _is_number(value: str) -> bool:
    return value.replace(".", "", 1).replace(",", "").lstrip("-+").isdecimal()


def _arguments(text: str) -> object | None:
    """The arguments of a tool call as `ctxshrink.messages` renders it: a name, a blank, JSON; None for other text."""
    _, _, rest = text.partition(" ")
    try:
        return cast("object", json.loads(rest))
    except (ValueError, RecursionError):
        return None


def _leaves(value: object) -> Iterable[str]:
    pending: list[object] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(reversed(list(cast("dict[str, object]", item).values())))
        elif isinstance(item, list):
            pending.extend(reversed(cast("list[object]", item)))
        elif isinstance(item, str):
            yield item
        elif isinstance(item, int | float) and not isinstance(item, bool):
            yield str(item)
