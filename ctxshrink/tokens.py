"""Token counters: the embedded tokenizer, tiktoken, Hugging Face tokenizers, any callable.

Lone surrogates (halves of a UTF-16 pair, which JSON input can hold) have no UTF-8 form; every counter here counts them
as U+FFFD, the replacement character.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias, cast

from .errors import ConfigError, MissingExtraError
from .types import TokenCounter

__all__ = [
    "CallableCounter",
    "CounterSpec",
    "EmbeddedCounter",
    "HuggingFaceCounter",
    "TiktokenCounter",
    "resolve_counter",
    "well_formed",
]

CounterSpec: TypeAlias = "str | Callable[[str], int] | TokenCounter"

_SURROGATES = re.compile("[\ud800-\udfff]")
_CACHED_CHARS = 512
_CACHE_SIZE = 16384
_PIECE = 131072
_SPACE = re.compile(r" (?<=\S )")
_WORDS, _WORD_CHARS = 100_000, 32
"""Words whose counts are kept, about 10 MB, and the most characters of one."""


def well_formed(text: str) -> str:
    """The text with every lone surrogate replaced by U+FFFD; other texts come back as they are."""
    if text.isascii() or _SURROGATES.search(text) is None:
        return text
    return _SURROGATES.sub("\ufffd", text)


class _Counter:
    """A counter over ``_count``, with the counts of short texts kept: sentences are counted again and again."""

    name: str
    exact: bool

    def __init__(self, name: str, exact: bool) -> None:
        self.name, self.exact = name, exact
        self._known: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def __getstate__(self) -> dict[str, Any]:
        # A copy in another process starts with no counts of its own, and a lock cannot travel.
        return {k: v for k, v in vars(self).items() if k not in ("_known", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _known=OrderedDict(), _lock=Lock())

    def count(self, texts: Sequence[str], /) -> list[int]:
        """Tokens of each text, without special tokens."""
        out = [0 if not text else -1 for text in texts]
        with self._lock:
            for i, text in enumerate(texts):
                if text and (known := self._known.get(text)) is not None:
                    self._known.move_to_end(text)
                    out[i] = known
        new = list(dict.fromkeys(text for text, n in zip(texts, out, strict=True) if n < 0))
        if not new:
            return out
        counts = dict(zip(new, self._count([well_formed(t) for t in new]), strict=True))
        with self._lock:
            for text, n in counts.items():
                if len(text) <= _CACHED_CHARS:
                    self._known[text] = n
            while len(self._known) > _CACHE_SIZE:
                self._known.popitem(last=False)
        return [counts[text] if n < 0 else n for text, n in zip(texts, out, strict=True)]

    def _count(self, texts: list[str]) -> list[int]:
        raise NotImplementedError


class EmbeddedCounter(_Counter):
    """Counts by the tokenizer of the embedded models: offline, six languages, not exact for any hosted model.

    No token of it holds a space after another character than white space. So a text's count is the sum of those of its
    parts between such spaces, and the counts of short parts are kept: words come back more often than texts do.
    """

    def __init__(self) -> None:
        super().__init__("embedded", exact=False)
        self._first: dict[str, int] = {}
        self._spaced: dict[str, int] = {}

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_first": {}, "_spaced": {}}

    def _count(self, texts: list[str]) -> list[int]:
        if len(self._first) + len(self._spaced) > _WORDS:  # replaced, not cleared: another thread may be reading
            self._first, self._spaced = {}, {}
        first, spaced = self._first, self._spaced
        rows = [_SPACE.split(text) for text in texts]
        new = {row[0] for row in rows if row[0] not in first}
        new_spaced = {part for row in rows for part in row[1:] if part not in spaced}
        found, found_spaced = _counted(new, "", first), _counted(new_spaced, " ", spaced)
        return [
            (first[row[0]] if row[0] in first else found[row[0]])
            + sum([spaced[part] if part in spaced else found_spaced[part] for part in row[1:]])
            for row in rows
        ]


def _counted(parts: set[str], before: str, known: dict[str, int]) -> dict[str, int]:
    """The counts of parts with what stands before them; those of short ones become known."""
    if not parts:
        return {}
    from .models import load_tokenizer

    tokenizer = load_tokenizer()
    short = [part for part in parts if len(part) < _PIECE]
    out = dict(zip(short, _lengths(tokenizer, [before + part for part in short]), strict=True))
    for part in parts:
        if part not in out:
            out[part] = sum(_lengths(tokenizer, [piece])[0] for piece in _pieces(before + part))
    known.update((part, n) for part, n in out.items() if len(part) <= _WORD_CHARS)
    return out


class HuggingFaceCounter(_Counter):
    """Counts by a Hugging Face tokenizer, exact for the models that use it.

    Args:
        name: A folder with a ``tokenizer.json``, such a file, or a repository name on the Hugging Face Hub.

    Raises:
        ConfigError: Nothing of this name can be loaded.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, exact=True)
        from tokenizers import Tokenizer

        path = Path(name)
        if path.is_dir():
            path /= "tokenizer.json"
            if not path.is_file():
                raise ConfigError(f"counter: the folder {name!r} holds no tokenizer.json")
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(path)) if path.is_file() else Tokenizer.from_pretrained(name)
        except Exception as error:  # tokenizers raises bare exceptions
            raise ConfigError(f"counter: cannot load a Hugging Face tokenizer from {name!r}: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def _count(self, texts: list[str]) -> list[int]:
        return _lengths(self._tokenizer, texts)


class TiktokenCounter(_Counter):
    """Counts by a tiktoken encoding, exact for the OpenAI models that use it.

    Args:
        name: An encoding (``o200k_base``) or a model name that tiktoken knows.

    Raises:
        MissingExtraError: tiktoken is not installed.
        ConfigError: The name is unknown, or its vocabulary is neither cached nor reachable.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, exact=True)
        try:
            import tiktoken
        except ImportError as error:
            raise MissingExtraError(f"counter={name!r}", "tiktoken") from error
        try:
            encoding = name if name in tiktoken.list_encoding_names() else tiktoken.encoding_name_for_model(name)
        except KeyError as error:
            raise ConfigError(
                f'counter: {name!r} is neither "embedded", a tiktoken encoding, an OpenAI model, nor a Hugging Face '
                "tokenizer (a folder, a tokenizer.json or owner/name)"
            ) from error
        try:
            self._encoding = tiktoken.get_encoding(encoding)
        except Exception as error:  # whatever its download raises: requests' errors, the system's, its own
            raise ConfigError(
                f"counter: the vocabulary of {encoding!r} is not cached and cannot be downloaded ({error}); fetch it "
                'once online or set TIKTOKEN_CACHE_DIR to a folder that holds it, or use counter="embedded", '
                "a Hugging Face tokenizer or a callable"
            ) from error

    def _count(self, texts: list[str]) -> list[int]:
        # tiktoken's regular expressions overflow their stack on huge runs; a long text is counted in pieces, and a cut
        # inside a word adds a token or two per piece.
        return [
            sum(len(self._encoding.encode_ordinary(text[i : i + _PIECE])) for i in range(0, len(text), _PIECE))
            for text in texts
        ]


class CallableCounter(_Counter):
    """Counts by a function of one text. Not taken for exact: nothing says which model it counts for.

    Args:
        function: Returns the tokens of a text, an int >= 0; anything else is a `ConfigError`.
    """

    def __init__(self, function: Callable[[str], int]) -> None:
        super().__init__(str(getattr(function, "__name__", type(function).__name__)), exact=False)
        self._function = function

    def _count(self, texts: list[str]) -> list[int]:
        counts: list[int] = []
        for text in texts:
            n = cast(object, self._function(text))
            if isinstance(n, bool) or not isinstance(n, int) or n < 0:
                raise ConfigError(f"counter: {self.name} must return an int >= 0 for a text, not {n!r}")
            counts.append(n)
        return counts


_embedded = EmbeddedCounter()


def resolve_counter(spec: CounterSpec) -> TokenCounter:
    """The counter that a setting names.

    Args:
        spec: ``"embedded"``; a tiktoken encoding or an OpenAI model; a Hugging Face tokenizer (a folder, a
            ``tokenizer.json`` or ``owner/name``); a function from a text to its tokens; or a counter, returned as is.

    Raises:
        ConfigError: It names nothing that can be loaded; the message says what can.
        MissingExtraError: The package that it needs is not installed.
    """
    if isinstance(spec, str):
        return _by_name(spec)
    if callable(getattr(spec, "count", None)) and hasattr(spec, "name") and hasattr(spec, "exact"):
        return cast(TokenCounter, spec)
    if callable(spec):
        return CallableCounter(spec)
    raise ConfigError(f"counter must be a name, a callable or a TokenCounter, not {type(cast(object, spec)).__name__}")


def _by_name(name: str) -> TokenCounter:
    if name == "embedded":
        return _embedded
    if name and (Path(name).exists() or "/" in name):
        return HuggingFaceCounter(name)
    return TiktokenCounter(name)


def _pieces(text: str) -> Iterator[str]:
    """A long text without spaces in pieces, because an encoding takes a hundred bytes a character while it exists."""
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]


def _lengths(tokenizer: Any, texts: list[str]) -> list[int]:
    return [len(e) for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
