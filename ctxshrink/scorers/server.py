"""A language model behind a vLLM server as a scorer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ctxshrink._http import JsonClient
from ctxshrink._lru import LruCache, digest
from ctxshrink.errors import ConfigError, EndpointError, ScorerError
from ctxshrink.scorers._encoding import Encoder, LocalEncoder
from ctxshrink.scorers._pairs import score_distinct
from ctxshrink.scorers._prompt_logprobs import read_choices, read_nats, read_tokens
from ctxshrink.scorers._windows import Window, group_windows, split_windows
from ctxshrink.tokens import well_formed
from ctxshrink.types import Span

__all__ = ["ServerScorer"]

_T = TypeVar("_T")
_R = TypeVar("_R")

_REQUEST_TOKENS = 16_384
_REQUEST_PROMPTS = 256
"""Of one request; vLLM takes 1,024 prompts by default (``VLLM_MAX_COMPLETION_PROMPTS``)."""
_AT_ONCE = 4
_TOKEN_BYTES = 1024
"""Most bytes of an answer per token: two entries of about a hundred, of which a decoded token may be longer."""
_OVERHEAD = 1 << 20
_KEPT = 4_000_000
_NEUTRAL: Mapping[str, Any] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""Sampling that leaves the distribution as it is: early versions apply it to the prompt too, and the defaults are those
of the model's generation_config.json."""


class ServerScorer:
    """Negative log-likelihoods from a vLLM server's ``prompt_logprobs``; implements `ctxshrink.types.Scorer`.

    Contexts are cut and long targets are scored as in `EmbeddedScorer`, so that the numbers are those of
    `TransformersScorer` with the same model, tokenizer and window. Token ids are sent as prompts, so the boundary
    between context and target is exact. A pair that is given twice is sent once. Nothing is sent before the first
    call; ``scorer.nll([("", "test")])`` tells at once whether the configuration is right. Texts leave this machine:
    they go to ``url``, and nowhere else (redirects are not followed, proxies of the environment are not used). Safe to
    use from several threads.

    Fields that are used, of vLLM 0.5.4 and later: ``POST /v1/completions`` with ``model, prompt`` (a list of lists of
    token ids), ``max_tokens`` (1, as none is allowed with ``echo`` only) and ``prompt_logprobs`` (1); of each of its
    ``choices`` ``index`` and ``prompt_logprobs``, which has an entry per token of the prompt: null for the first one,
    then an object from token id to ``logprob`` (with ``rank`` and ``decoded_token``, which are not used) that holds
    the prompt's token and the likeliest one (vllm/entrypoints/openai/completion/protocol.py and vllm/logprobs.py).
    Without ``tokenizer`` also ``POST /tokenize`` with ``model, prompt, add_special_tokens``, a request for each text
    that is new, and of its answer ``tokens, count, max_model_len``.

    Args:
        url: Address of the server, with ``/v1`` at its end or without.
        model: The served model's name.
        tokenizer: The model's tokenizer on this machine, as for `TransformersScorer` or a `tokenizers.Tokenizer`;
            it saves a request per text. None asks the server.
        start: Id of the token that begins a text. None takes the tokenizer's start token; where it has none, a
            transformers tokenizer's end token, and a server's tokenizer needs this argument.
        api_key: Sent as a bearer token.
        timeout: Seconds for one try of one request (up to 16,384 tokens), from the connection to the last byte.
        retries: Further tries after a failed connection, a time-out, or the statuses 408, 425, 429 and 5xx, after a
            growing, drawn pause or the one that the server's Retry-After asks for.
        max_context: Tokens of the window; at least two fewer than the server's ``--max-model-len``.

    Attributes:
        name: The model's name.
        max_context: Tokens of the window.

    Raises:
        ConfigError: An argument is wrong.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        tokenizer: Any = None,
        start: int | None = None,
        api_key: str | None = None,
        timeout: float = 10.0,
        retries: int = 2,
        max_context: int = 2048,
    ) -> None:
        if max_context < 8:
            raise ConfigError(f"max_context must be >= 8, not {max_context}")
        if start is not None and start < 0:
            raise ConfigError(f"start must be a token id, not {start}")
        self.name = model
        self.max_context = max_context
        self._client = JsonClient(url.rstrip("/").removesuffix("/v1"), api_key, timeout, retries)
        self._encoder: Encoder = (
            _RemoteEncoder(self._client, model, start, max_context)
            if tokenizer is None
            else LocalEncoder(tokenizer, start)
        )

    def __repr__(self) -> str:
        return f"ServerScorer({self._client.base!r}, {self.name!r})"

    def nll(self, pairs: Sequence[tuple[str, str]], /) -> list[NDArray[np.float32]]:
        """Nats of every token of each target after its context; see `ctxshrink.types.Scorer.nll`.

        Raises:
            ScorerError: The server cannot be reached, refuses, is too slow, or answers with anything but one finite
                log-probability for every token that was sent.
        """
        return score_distinct(pairs, self.max_context, self._compute)

    def token_spans(self, targets: Sequence[str], /) -> list[list[Span]]:
        """Where the tokens of each target stand; see `ctxshrink.scorers.TokenScorer.token_spans`.

        Raises:
            ConfigError: ``tokenizer`` was not given, or is one of the slow ones: neither it nor the server says.
        """
        if not isinstance(self._encoder, LocalEncoder):
            raise ConfigError("a server does not say where tokens stand; give ServerScorer tokenizer=")
        return self._encoder.spans(targets)

    def _compute(self, pairs: Sequence[tuple[str, str]]) -> list[NDArray[np.float32]]:
        ids = self._encoder.encode(text for pair in pairs for text in pair)
        out = [np.full(len(ids[target]), np.nan, dtype=np.float32) for _, target in pairs]
        if not any(len(nats) for nats in out):
            return out
        start = self._encoder.start()
        windows: list[Window] = []
        for i, (context, target) in enumerate(pairs):
            windows.extend(split_windows(i, ids[context], ids[target], self.max_context, start))
        requests = [
            group[first : first + _REQUEST_PROMPTS]
            for group in group_windows(windows, _REQUEST_TOKENS)
            for first in range(0, len(group), _REQUEST_PROMPTS)
        ]
        for request, found in zip(requests, _at_once(self._request, requests), strict=True):
            for window, nats in zip(request, found, strict=True):
                out[window.pair][window.offset : window.offset + window.scored] = nats
        return out

    def _request(self, windows: Sequence[Window]) -> list[list[float]]:
        prompts = [list(w.tokens) for w in windows]
        body = {"model": self.name, "prompt": prompts, "max_tokens": 1, "prompt_logprobs": 1, "n": 1, **_NEUTRAL}
        path = "/v1/completions"
        most = _OVERHEAD + _TOKEN_BYTES * sum(map(len, prompts))
        answer = _post(self._client, path, body, most=most)
        where = self._client.base + path
        return [
            [read_nats(entry, token, where) for entry, token in list(zip(entries, w.tokens, strict=True))[-w.scored :]]
            for w, entries in zip(windows, read_choices(answer, prompts, where), strict=True)
        ]


class _RemoteEncoder:
    """The server's own tokenizer. What was asked for last is kept, by a hash of the text."""

    def __init__(self, client: JsonClient, model: str, start: int | None, max_context: int) -> None:
        self._client, self._model, self._needed = client, model, max_context + 2
        self._start = start
        self._lock = threading.Lock()
        self._kept: LruCache[NDArray[np.int64]] = LruCache(_KEPT)

    def start(self) -> int:
        """The start token: what the tokenizer puts before a text."""
        with self._lock:
            if self._start is None:
                plain, special = (self._ask("a", special=s) for s in (False, True))
                at = len(special) - len(plain)
                # Some put an end token behind the text, or both: the start token is what stands before it.
                if at < 1 or not plain or special[1 : 1 + len(plain)] != plain:
                    raise ScorerError(
                        f"{self._client.base}: the tokenizer of {self._model!r} has no start token; give ServerScorer "
                        "start= (the id of the model's end-of-text token) or tokenizer="
                    )
                self._start = special[0]
            return self._start

    def encode(self, texts: Iterable[str], /) -> Mapping[str, list[int]]:
        """Ids of each text, without special tokens added; lone surrogates are read as U+FFFD."""
        keys = {text: digest(text) for text in dict.fromkeys(texts)}
        found = {text: ids.tolist() for text, key in keys.items() if (ids := self._kept.get(key)) is not None}
        missing = [text for text in keys if text not in found]
        for text, ids in zip(missing, _at_once(lambda t: self._ask(t, special=False), missing), strict=True):
            found[text] = ids
            self._kept.put(keys[text], np.asarray(ids, dtype=np.int64))
        return found

    def _ask(self, text: str, *, special: bool) -> list[int]:
        if not text:
            return []
        body = {"model": self._model, "prompt": well_formed(text), "add_special_tokens": special}
        most = _OVERHEAD + 64 * len(text.encode("utf-8", "replace"))
        ids, window = read_tokens(
            _post(self._client, "/tokenize", body, most=most, quiet=True), self._client.base + "/tokenize"
        )
        if window is not None and window < self._needed:
            raise ScorerError(
                f"{self._client.base}: {self._model!r} is served with a window of {window} tokens; give ServerScorer "
                f"max_context={window - 2} or less"
            )
        return ids


def _post(client: JsonClient, path: str, body: object, *, most: int, quiet: bool = False) -> Any:
    try:
        return client.post(path, body, most=most, quiet=quiet)
    except EndpointError as error:
        raise ScorerError(str(error)) from error


def _at_once(work: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    """Results in order, of a few requests at a time.

    The first error ends it: what has not begun is not sent, and what is under way is not waited for.
    """
    if len(items) < 2:
        return [work(item) for item in items]
    pool = ThreadPoolExecutor(min(_AT_ONCE, len(items)), thread_name_prefix="ctxshrink-server")
    try:
        pending = [pool.submit(work, item) for item in items]
        for ended in wait(pending, return_when=FIRST_EXCEPTION).done:
            ended.result()
        return [p.result() for p in pending]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
