"""What distillation takes and gives, and how the store names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

from ctxshrink.types import ContentType, Span

Setting: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Source:
    """A text to distill.

    Attributes:
        text: The text.
        title: Its title or heading; read, never part of the output.
        uri: Where it comes from: a file's path, a URL, a document's id. "" where that is not known.
        content_type: None detects it.
    """

    text: str
    title: str = ""
    uri: str = ""
    content_type: ContentType | None = None


@dataclass(frozen=True, slots=True)
class Distillate:
    """What was made of a text.

    Attributes:
        text: The shorter text, or the original.
        method: What made the text that stands here: ``facts``, ``extractive``, ``original``, …
        reason: Why this text, in one sentence; what failed, where it is not the one that was asked for.
        tokens_before: Tokens of the source.
        tokens_after: Tokens of `text`; never more.
        scores: Numbers behind it by name: ``coverage`` of the source's facts, ``risk`` by the guardrail, …
        spans: Ranges of the source that stand here verbatim, in order; None where it is said in other words.
        final: False where a later try may do better: the language model could not be reached, or its budget was
            spent. The pipeline stores it and tries again next time.
    """

    text: str
    method: str
    reason: str
    tokens_before: int
    tokens_after: int
    scores: Mapping[str, float] = field(default_factory=dict[str, float])
    spans: tuple[Span, ...] | None = None
    final: bool = True


@runtime_checkable
class Distiller(Protocol):
    """Makes texts shorter once, offline, without knowing the question."""

    @property
    def name(self) -> str:
        """Shown in reports."""
        ...

    @property
    def recipe(self) -> Mapping[str, Setting]:
        """All that its output depends on: method, keep, model, version. Never a secret, an address or a path."""
        ...

    @property
    def counter_name(self) -> str:
        """The token counter's name."""
        ...

    def distill(self, sources: Sequence[Source], /) -> Sequence[Distillate]:
        """One distillate per source, in order; what cannot be distilled comes back as it is, with the reason."""
        ...


@dataclass(frozen=True, slots=True)
class Derived:
    """A distillate as the store keeps it, with its provenance.

    Attributes:
        source: `content_hash` of the original.
        recipe: `recipe_key` of the settings.
        distillate: What was made.
        settings: The distiller's recipe.
        counter: Name of the token counter.
        uri: Where the original came from.
        original: Id under which the store keeps the original; "" where it does not.
        created: When it was made, in seconds since 1970.
    """

    source: str
    recipe: str
    distillate: Distillate
    settings: Mapping[str, Setting]
    counter: str
    uri: str = ""
    original: str = ""
    created: float = 0.0


def content_hash(text: str) -> str:
    """BLAKE2b-256 of a text in UTF-8 (lone surrogates like other code points), 64 hexadecimal digits."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()


def recipe_key(recipe: Mapping[str, Setting]) -> str:
    """BLAKE2b-128 of the settings as JSON with sorted keys, 32 hexadecimal digits."""
    canonical = json.dumps(dict(recipe), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(canonical.encode("ascii"), digest_size=16).hexdigest()
