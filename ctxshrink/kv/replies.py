"""Answers as seats give them: in pieces while they are generated, cut at stop strings, with their tokens counted."""

from __future__ import annotations

import copy
import queue
import threading
from collections.abc import Generator, Sequence
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor

from ctxshrink.errors import ConfigError
from ctxshrink.kv.asking import Answering
from ctxshrink.kv.context import CompressedContext

__all__ = ["FinishReason", "Reply", "sampling"]

FinishReason: TypeAlias = Literal["stop", "length"]
_UNFINISHED = "�"
"""What a decoder shows for the first bytes of a character."""


class Reply:
    """One answer. Take `text` or `pieces` once; the attributes are right when that has ended.

    Leading and trailing whitespace is left out, so that the pieces joined are what `KVCompressor.ask` returns. Who
    stops reading (``close`` on `pieces`) stops the generation within a token.

    Args:
        answering: How to generate.
        context: The context, of one row; None where there is none and the ids are everything.
        ids: Token ids behind it, shape (1, q).
        stop: Strings that end the answer; they are not part of it.

    Attributes:
        tokens: Tokens generated so far, those of an end or of a cut stop string counted.
        finish: "length" where the most tokens allowed were reached, "stop" otherwise.
    """

    def __init__(
        self, answering: Answering, context: CompressedContext | None, ids: Tensor, stop: Sequence[str] = ()
    ) -> None:
        if any(not s for s in stop):
            raise ConfigError("a stop string is empty: it would end every answer before its first word")
        if context is not None and context.batch != 1:
            raise ConfigError(f"a context of {context.batch} rows has no single answer: compress each text alone")
        self._answering, self._context, self._ids = answering, context, ids
        self._stop = tuple(stop)
        self.tokens = 0
        self.finish: FinishReason = "stop"

    def text(self) -> str:
        """The whole answer."""
        return "".join(self.pieces())

    def pieces(self) -> Generator[str, None, None]:
        """The answer as it is generated."""
        shown, decoded = _Shown(self._stop), _Decoded(self._answering.tokenizer)
        ended = False
        arrivals = self._arrivals()
        try:
            for ids in arrivals:
                self.tokens += len(ids)
                ended = ids[-1] in _ends(self._answering)
                piece = shown.add(decoded.add(ids))
                if piece:
                    yield piece
                if shown.stopped:
                    break
            if not shown.stopped:
                piece = shown.add(decoded.rest())
                rest = piece + shown.rest()
                self.finish = (
                    "stop" if ended or shown.stopped or self.tokens < self._answering.max_new_tokens else "length"
                )
                if rest:
                    yield rest
        finally:
            arrivals.close()

    def _arrivals(self) -> Generator[list[int], None, None]:
        """Generated ids as they come; beam search gives them at its end."""
        config: Any = self._answering.config
        if config is not None and (config.num_beams or 1) > 1:
            made = cast("list[int]", self._generate(None, None)[0, self._ids.shape[1] :].tolist())  # pyright: ignore[reportUnknownMemberType]
            if made:
                yield made
            return
        from transformers import StoppingCriteria, StoppingCriteriaList
        from transformers.generation.streamers import BaseStreamer

        arrived: queue.SimpleQueue[list[int] | BaseException | None] = queue.SimpleQueue()
        left = threading.Event()

        class Arrivals(BaseStreamer):
            prompt = True

            def put(self, value: Tensor) -> None:
                if not self.prompt:
                    arrived.put([int(i) for i in value.reshape(-1)])
                self.prompt = False

            def end(self) -> None:
                """The worker says when all is done."""

        class Left(StoppingCriteria):
            def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
                return torch.full((len(input_ids),), left.is_set(), dtype=torch.bool, device=input_ids.device)

        def run() -> None:
            try:
                self._generate(Arrivals(), StoppingCriteriaList([Left()]))
                arrived.put(None)
            except BaseException as error:  # noqa: BLE001  raised again in the reader's thread
                arrived.put(error)

        worker = threading.Thread(target=run, daemon=True)
        worker.start()
        try:
            while (found := arrived.get()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            left.set()
            worker.join()

    @torch.no_grad()
    def _generate(self, streamer: Any, stopping: Any) -> Tensor:
        answering, ids = self._answering, self._ids.to(self._answering.model.device)
        if self._context is not None:
            return answering.generate(self._context, ids, streamer, stopping)
        given: dict[str, Any] = {"do_sample": False, "max_new_tokens": answering.max_new_tokens}
        if answering.config is not None:
            config: Any = copy.deepcopy(answering.config)  # with a configuration, generate wants every setting in it
            config.max_new_tokens = answering.max_new_tokens
            given = {"generation_config": config}
        return answering.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            streamer=streamer,
            stopping_criteria=stopping,
            **given,
        )


def sampling(model: Any, config: Any, temperature: float | None) -> Any:
    """A generation configuration with a temperature.

    Args:
        model: Whose own configuration is taken where none is given.
        config: A ``transformers.GenerationConfig``; None is greedy search.
        temperature: 0 is greedy search; None leaves the configuration as it is.
    """
    if temperature is None:
        return config
    made: Any = copy.deepcopy(config or model.generation_config)
    made.do_sample = temperature > 0
    made.temperature = temperature or None
    if not made.do_sample:
        made.top_p = made.top_k = None
    return made


class _Decoded:
    """Text of ids that come one by one: a character is shown when all of its bytes are there.

    Each step decodes the ids since the last but one piece only, whose text tells what spaces belong to the new one.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._shown = 0

    def add(self, ids: Sequence[int]) -> str:
        self._ids += ids
        return self._new(unfinished=False)

    def rest(self) -> str:
        return self._new(unfinished=True)

    def _new(self, *, unfinished: bool) -> str:
        before, now = self._text(self._ids[: self._shown]), self._text(self._ids)
        if len(now) <= len(before) or (now.endswith(_UNFINISHED) and not unfinished):
            return ""
        self._ids = self._ids[self._shown :]
        self._shown = len(self._ids)
        return now[len(before) :]

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


class _Shown:
    """What may be shown of a growing text: no whitespace around it, and nothing that may become a stop string."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = stop
        self._held: str = ""
        self._begun = False
        self.stopped = False

    def add(self, text: str) -> str:
        held = self._held + text
        places = [place for place in (held.find(s) for s in self._stop) if place >= 0]
        if places:
            self.stopped, shown, self._held = True, held[: min(places)].rstrip(), ""
        else:
            keep = max((_start(held, s) for s in self._stop), default=0)
            shown = held[: len(held) - keep].rstrip()
            self._held = held[len(shown) :]
        shown = shown if self._begun else shown.lstrip()
        self._begun = self._begun or bool(shown)
        return shown

    def rest(self) -> str:
        """What was held back and is part of the text after all."""
        return self._held.rstrip() if self._begun else self._held.strip()


def _start(text: str, stop: str) -> int:
    """Characters at the end of a text that a stop string begins with."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)


def _ends(answering: Answering) -> set[int]:
    """The ids that end an answer."""
    configs: list[Any] = [answering.config, answering.model.generation_config]
    for config in configs:
        found: Any = None if config is None else config.eos_token_id
        if found is not None:
            return {int(found)} if isinstance(found, int) else {int(i) for i in found}
    return set()
