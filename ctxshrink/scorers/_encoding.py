"""Texts as token ids, by a tokenizer on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ctxshrink.errors import ConfigError, MissingExtraError, ModelError
from ctxshrink.scorers._offsets import tile
from ctxshrink.tokens import well_formed
from ctxshrink.types import Span


class Encoder(Protocol):
    """Gives token ids."""

    def start(self) -> int:
        """Id of the token that begins a text."""
        ...

    def encode(self, texts: Iterable[str], /) -> Mapping[str, list[int]]:
        """Ids of each text, without special tokens added; lone surrogates are read as U+FFFD."""
        ...


class LocalEncoder:
    """A Hugging Face tokenizer. Safe to use from several threads: some of them are not by themselves.

    Args:
        tokenizer: A name or folder for ``AutoTokenizer``, a loaded `transformers` tokenizer, or a
            `tokenizers.Tokenizer`.
        start: Id of the token that begins a text; None takes the tokenizer's start (bos) token, or else its end (eos)
            token, as models trained without a start token read texts one after the other.

    Raises:
        MissingExtraError: A name is given, and transformers is not installed.
        ConfigError: There is no such token, or it is no tokenizer.
        ModelError: It cannot be loaded.
    """

    def __init__(self, tokenizer: Any, start: int | None = None) -> None:
        self._tokenizer: Any = load_tokenizer(tokenizer) if isinstance(tokenizer, str) else tokenizer
        self._plain = hasattr(self._tokenizer, "encode_batch")  # a `tokenizers.Tokenizer`
        if not self._plain and not callable(self._tokenizer):
            raise ConfigError("tokenizer must be a name, a transformers tokenizer or a tokenizers.Tokenizer")
        if start is None:
            found: Any = (getattr(self._tokenizer, name, None) for name in ("bos_token_id", "eos_token_id"))
            start = next((int(i) for i in found if i is not None), None)
        if start is None:
            raise ConfigError("tokenizer has neither a start (bos) nor an end (eos) token to begin a text with")
        self._start = start
        self._lock = threading.Lock()

    def start(self) -> int:
        """Id of the token that begins a text."""
        return self._start

    def encode(self, texts: Iterable[str], /) -> Mapping[str, list[int]]:
        """Ids of each text, without special tokens added; lone surrogates are read as U+FFFD."""
        distinct = list(dict.fromkeys(texts))
        readable = [well_formed(t) for t in distinct]
        if not readable:
            return {}
        with self._lock:
            if self._plain:
                found = [e.ids for e in self._tokenizer.encode_batch(readable, add_special_tokens=False)]
            else:
                found = self._tokenizer(readable, add_special_tokens=False, verbose=False)["input_ids"]
        return {text: list(ids) for text, ids in zip(distinct, found, strict=True)}

    def spans(self, texts: Sequence[str], /) -> list[list[Span]]:
        """Where the tokens of each text stand, see `ctxshrink.scorers._offsets.TokenScorer`.

        Raises:
            ConfigError: The tokenizer is one of the slow ones, which do not say.
        """
        readable = [well_formed(t) for t in texts]  # as long as it was: a surrogate is one character, and so is U+FFFD
        if not readable:
            return []
        with self._lock:
            if self._plain:
                found = [e.offsets for e in self._tokenizer.encode_batch(readable, add_special_tokens=False)]
            elif not getattr(self._tokenizer, "is_fast", False):
                raise ConfigError(
                    f"{type(self._tokenizer).__name__} does not say where its tokens stand; give a fast tokenizer "
                    "(one that the tokenizers library runs)"
                )
            else:
                found = self._tokenizer(readable, add_special_tokens=False, return_offsets_mapping=True, verbose=False)[
                    "offset_mapping"
                ]
        return [tile(offsets, len(text)) for offsets, text in zip(found, texts, strict=True)]


def load_tokenizer(name: str) -> Any:
    """A tokenizer by name or folder.

    Raises:
        MissingExtraError: transformers is not installed.
        ModelError: It cannot be loaded.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("A tokenizer by name", "transformers") from error
    auto: Any = transformers
    try:
        return auto.AutoTokenizer.from_pretrained(name)
    except Exception as error:  # a damaged file fails in as many ways as there are formats
        raise ModelError(f"cannot load the tokenizer {name!r} with transformers: {error}") from error
