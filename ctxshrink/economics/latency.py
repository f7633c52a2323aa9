"""Time: what compressing takes against what the model's prefill then takes less."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from ctxshrink.economics._checks import check_number
from ctxshrink.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from ctxshrink.shrinker import Shrinker

_FILLER: Final = "The pump in hall {0} was serviced on day {1}, and the log of shift {2} names no fault. "


@dataclass(frozen=True, slots=True)
class Latency:
    """Two throughputs, and the seconds that follow from them.

    Both are rates of one stream of work: a server that batches many users has another prefill rate for each of them.

    Attributes:
        prefill_tokens_per_second: Input tokens that the model reads in a second, as its operator states it or
            `measure_prefill` measures it.
        compress_tokens_per_second: Input tokens that the shrinker handles in a second, see `measure_compress`; None
            where it is not known: seconds of real calls are on their results.

    Raises:
        ConfigError: A throughput is 0, negative or not finite.
    """

    prefill_tokens_per_second: float
    compress_tokens_per_second: float | None = None

    def __post_init__(self) -> None:
        check_number(self.prefill_tokens_per_second, "prefill_tokens_per_second", "a throughput", positive=True)
        if self.compress_tokens_per_second is not None:
            check_number(self.compress_tokens_per_second, "compress_tokens_per_second", "a throughput", positive=True)

    def prefill(self, tokens: float) -> float:
        """Seconds in which the model reads so many tokens."""
        return tokens / self.prefill_tokens_per_second

    def compress(self, tokens: float) -> float:
        """Seconds in which so many tokens are compressed; 0 where that throughput is not known."""
        return 0.0 if self.compress_tokens_per_second is None else tokens / self.compress_tokens_per_second

    def gain(self, saved: float, seconds: float) -> float:
        """Seconds by which an answer starts earlier; negative where compressing took longer than it saved.

        Args:
            saved: Tokens that the model does not have to read.
            seconds: What compressing took.
        """
        return self.prefill(saved) - seconds

    def needed_share(self) -> float:
        """Share of the tokens that must be saved for compressing to pay in time; above 1 where it never does."""
        return self.prefill_tokens_per_second * self.compress(1.0)


def measure_prefill(model: Any, tokenizer: Any = None, *, tokens: int = 512, repeats: int = 3) -> float:
    """Tokens a second that a local Hugging Face model reads: the median of some forward passes that fill its KV cache.

    Args:
        model: A loaded causal language model, on the device to be measured.
        tokenizer: Its tokenizer, for a text of the usual kind; None takes ids from all over the vocabulary.
        tokens: Length of the input; throughput depends on it.
        repeats: Passes that are timed, after one that is not.

    Raises:
        MissingExtraError: torch is not installed.
        ConfigError: A number is out of range, or the model is not a loaded one.
    """
    if tokens < 1 or repeats < 1:
        raise ConfigError(f"tokens and repeats must be 1 or more; got {tokens!r} and {repeats!r}")
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("measure_prefill", "transformers") from error
    if not (hasattr(model, "config") and hasattr(model, "device")):
        kind = type(model).__name__
        raise ConfigError(f"model must be a loaded model, as AutoModelForCausalLM.from_pretrained gives it; got {kind}")
    window = getattr(model.config, "max_position_embeddings", None)
    if isinstance(window, int) and tokens > window:
        raise ConfigError(f"tokens must fit the model's window of {window}; got {tokens}")
    ids = torch.tensor([_ids(model, tokenizer, tokens)], device=model.device)
    cuda = ids.device.type == "cuda"
    timings: list[float] = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            started = time.perf_counter()
            model(input_ids=ids, use_cache=True)
            if cuda:  # Kernels run on after the call has returned.
                torch.cuda.synchronize(ids.device)
            timings.append(time.perf_counter() - started)
    return tokens / max(median(timings[1:]), 1e-9)


def measure_compress(shrinker: Shrinker, *, tokens: int = 2000, repeats: int = 3) -> float:
    """Tokens a second that a shrinker handles on this machine, with its guardrail: the median of some calls.

    The text is made up: ten plain chunks and a question, none of them seen by an earlier call.

    Args:
        shrinker: With the settings to be measured; in any mode.
        tokens: About the size of the input.
        repeats: Calls that are timed, after one that loads the models.

    Raises:
        ConfigError: A number is out of range.
    """
    if tokens < 100 or repeats < 1:
        raise ConfigError(f"tokens must be 100 or more and repeats 1 or more; got {tokens!r} and {repeats!r}")
    rates: list[float] = []
    for attempt in range(repeats + 1):
        docs = _documents(tokens, attempt, shrinker)
        result = shrinker.shrink_documents(docs, f"What does the log of hall {attempt} say?", keep=0.5)
        rates.append(result.tokens_before / max(result.seconds, 1e-9))
    return median(rates[1:])


def _documents(tokens: int, attempt: int, shrinker: Shrinker) -> Sequence[str]:
    [size] = shrinker.counter.count([_FILLER.format(1000, 100, 10)])
    count = max(10, tokens // max(1, size))
    lines = [_FILLER.format(attempt * 1000 + i, 7 * i + 1, i % 13) for i in range(count)]
    return ["".join(lines[i::10]) for i in range(10)]


def _ids(model: Any, tokenizer: Any, tokens: int) -> list[int]:
    found: list[int] = []
    if tokenizer is not None:
        text = "".join(_FILLER.format(i, 7 * i + 1, i % 13) for i in range(tokens))
        found = list(tokenizer(text, add_special_tokens=False)["input_ids"])[:tokens]
    size = int(getattr(model.config, "vocab_size", 0)) or 2
    return found + [7919 * i % size for i in range(tokens - len(found))]
