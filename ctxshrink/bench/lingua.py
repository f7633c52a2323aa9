"""``surprisal`` beside LLMLingua-1 of the llmlingua package: one model in both, how many tokens a second.

The package's token-level path raises on transformers 5 from its third window on (``too many values to unpack``), and
below one window (200 tokens) it leaves nothing out. So it is run on prompts of less than two windows, one by one as its
interface has it, and its coarse ranking on all documents. Where it raises, that is what the row says.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ctxshrink._deadline import describe
from ctxshrink.compressors._surprisal_rank import question_nats
from ctxshrink.compressors.surprisal import SurprisalCompressor
from ctxshrink.errors import MissingExtraError
from ctxshrink.scorers import TransformersScorer
from ctxshrink.types import Call, Job, Segment

from .speed import QUERY, sentences

KEEP = 0.5
_SENTENCES = 9
"""Of a document: about 300 tokens, which is between one window of the package and two."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What one part of the work takes, input tokens a second.

    Attributes:
        work: What was done.
        tokens: Input tokens of a run.
        ours: Tokens a second, median of the runs.
        theirs: The package's; None where it raised.
        error: How it raised.
    """

    work: str
    tokens: int
    ours: float
    theirs: float | None
    error: str = ""


class _Counter:
    """Counts with the model's tokenizer."""

    name, exact = "model", True

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def count(self, texts: Sequence[str], /) -> list[int]:
        """Tokens of each text."""
        return (
            [len(ids) for ids in self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]] if texts else []
        )

    def encode(self, text: str) -> list[int]:
        """What the package counts with; its own counter is fetched from the network."""
        return self._tokenizer(text)["input_ids"]


def paces(folder: str, *, documents: int = 8, runs: int = 3, seed: int = 0) -> Iterator[Pace]:
    """Measure both, run by run in turn, on new text for every run.

    Args:
        folder: A causal model and its fast tokenizer, as `transformers` saves them.
        documents: Documents of a run, of about 300 tokens each.
        runs: Runs of each.
        seed: Of the texts.

    Raises:
        MissingExtraError: llmlingua, transformers or torch is not installed.
        ModelError: The model cannot be loaded or run.
    """
    scorer, package, counter = _load(folder)
    supply = sentences(seed)
    batches = [[" ".join(next(supply) for _ in range(_SENTENCES)) for _ in range(documents)] for _ in range(runs)]
    long = [[" ".join(batch)] for batch in batches]
    compressor = SurprisalCompressor(scorer)

    def compress(texts: Sequence[str], query: str | None) -> None:
        segments = tuple(Segment(str(i), t) for i, t in enumerate(texts))
        tokens = dict(zip((s.id for s in segments), counter.count(texts), strict=True))
        call = Call(segments, tokens, counter, query=query)
        compressor.compress([Job(s, KEEP, int(KEEP * tokens[s.id])) for s in segments], call)

    def theirs(texts: Sequence[str], query: str | None) -> None:
        aware: dict[str, Any] = {"rank_method": "longllmlingua", "condition_in_question": "after_condition"}
        for text in texts:
            package.compress_prompt(
                [text], question=query or "", rate=KEEP, **({**aware, "condition_compare": True} if query else {})
            )

    def ranked(texts: Sequence[str]) -> None:
        package.get_rank_results(list(texts), QUERY, "longllmlingua", "after", [0] * len(texts))

    works: list[tuple[str, list[list[str]], Callable[[Sequence[str]], object], Callable[[Sequence[str]], object]]] = [
        ("coarse ranking", batches, lambda t: question_nats(scorer, t, QUERY), ranked),
        ("words left out, no question", batches, lambda t: compress(t, None), lambda t: theirs(t, None)),
        ("words left out for a question", batches, lambda t: compress(t, QUERY), lambda t: theirs(t, QUERY)),
        ("one long text, no question", long, lambda t: compress(t, None), lambda t: theirs(t, None)),
    ]
    for name, texts, mine, other in works:
        size = sum(counter.count(texts[0]))
        ours, them, error = list[float](), list[float](), ""
        for text in texts:
            ours.append(size / _seconds(mine, text))
            try:
                them.append(size / _seconds(other, text))
            except Exception as raised:  # noqa: BLE001  how another package fails is a finding, and goes into the row
                error = describe(raised)
        yield Pace(name, size, statistics.median(ours), statistics.median(them) if them and not error else None, error)


def _seconds(work: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    started = time.perf_counter()
    work(texts)
    return time.perf_counter() - started


def _load(folder: str) -> tuple[TransformersScorer, Any, _Counter]:
    """The scorer, and the package over the same model: its constructor would fetch a tokenizer from the network."""
    try:
        import llmlingua  # pyright: ignore[reportMissingTypeStubs]
        import transformers
    except ImportError as error:
        raise MissingExtraError("the comparison with llmlingua", "llmlingua") from error
    auto: Any = transformers
    tokenizer = auto.AutoTokenizer.from_pretrained(folder)
    model = auto.AutoModelForCausalLM.from_pretrained(folder).eval()
    counter = _Counter(tokenizer)
    made: Any = llmlingua.PromptCompressor.__new__(llmlingua.PromptCompressor)
    made.model, made.tokenizer, made.device, made.oai_tokenizer = model, tokenizer, "cpu", counter
    made.max_position_embeddings = int(model.config.max_position_embeddings)
    made.cache_bos_num, made.prefix_bos_num, made.context_idxs, made.use_llmlingua2 = 10, 100, [], False
    return TransformersScorer(model, tokenizer), made, counter
