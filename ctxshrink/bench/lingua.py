"""``surprisal`` beside LLMLingua-1 of the llmlingua package: one model in both, how many tokens a second.

Seconds are those of the processor, which other work on the machine changes less than those of the clock. What both do
differs, so each row also says which share of the tokens comes out. The package leaves what stands behind
its last whole window (200 tokens) as it is: of a text between one window and two it reads everything once, prunes the
first window and is done. It has no sentence step unless asked for, which ``surprisal`` always has. On transformers 5
its second use of keys and values raises (``too many values to unpack``); here the model is wrapped so that it gets
them in the form that it was written for. Where it still raises, that is what the row says.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ctxshrink._deadline import describe
from ctxshrink.compressors._surprisal_rank import question_nats
from ctxshrink.compressors.surprisal import SurprisalCompressor
from ctxshrink.errors import MissingExtraError
from ctxshrink.scorers import TransformersScorer
from ctxshrink.types import Call, Job, Segment

from .peer_methods.workers.llmlingua_worker import OldCaches
from .speed import QUERY, sentences

_Work: TypeAlias = "Callable[[Sequence[str], str | None], list[str]]"

KEEP = 0.5
_SENTENCES = 9
"""Of a document: about 340 tokens, which is between one window of the package and two."""
_LONG = 3
"""Documents in a long text."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What one part of the work takes, input tokens a second of processor time.

    Attributes:
        work: What was done.
        tokens: Input tokens of a run.
        ours: Tokens a second, median of the runs.
        theirs: The package's; None where it raised.
        kept: Share of the tokens of the last run that comes out; None where nothing is left out.
        their_kept: The package's.
        error: How it raised.
    """

    work: str
    tokens: int
    ours: float
    theirs: float | None
    kept: float | None = None
    their_kept: float | None = None
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
        documents: Documents of a run, of about 340 tokens each.
        runs: Runs of each.
        seed: Of the texts.

    Raises:
        MissingExtraError: llmlingua, transformers or torch is not installed.
        ModelError: The model cannot be loaded or run.
    """
    scorer, package, counter = _load(folder)
    supply = sentences(seed)
    batches = [[" ".join(next(supply) for _ in range(_SENTENCES)) for _ in range(documents)] for _ in range(runs)]
    long = [[" ".join(b[i : i + _LONG]) for i in range(0, documents, _LONG)] for b in batches]
    compressor = SurprisalCompressor(scorer)

    def ours(texts: Sequence[str], query: str | None) -> list[str]:
        segments = tuple(Segment(str(i), t) for i, t in enumerate(texts))
        tokens = dict(zip((s.id for s in segments), counter.count(texts), strict=True))
        call = Call(segments, tokens, counter, query=query)
        jobs = [Job(s, KEEP, int(KEEP * tokens[s.id])) for s in segments]
        return [made.text for made in compressor.compress(jobs, call)]

    def theirs(texts: Sequence[str], query: str | None) -> list[str]:
        aware: dict[str, Any] = {"rank_method": "longllmlingua", "condition_in_question": "after_condition"}
        asked: dict[str, Any] = {**aware, "condition_compare": True} if query else {}
        return [
            package.compress_prompt([text], question=query or "", rate=KEEP, concate_question=False, **asked)[
                "compressed_prompt"
            ]
            for text in texts
        ]

    def rank_ours(texts: Sequence[str], query: str | None) -> list[str]:
        question_nats(scorer, texts, query or "")
        return []

    def rank_theirs(texts: Sequence[str], query: str | None) -> list[str]:
        package.get_rank_results(list(texts), query, "longllmlingua", "after", [0] * len(texts))
        return []

    works: list[tuple[str, list[list[str]], str | None, _Work, _Work]] = [
        ("coarse ranking", batches, QUERY, rank_ours, rank_theirs),
        ("words left out, no question", batches, None, ours, theirs),
        ("words left out for a question", batches, QUERY, ours, theirs),
        ("long texts, no question", long, None, ours, theirs),
        ("long texts, for a question", long, QUERY, ours, theirs),
    ]
    for name, texts, query, mine, other in works:
        size = sum(counter.count(texts[0]))
        pace, them, error = list[float](), list[float](), ""
        kept, their_kept = None, None
        for text in texts:
            seconds, made = _timed(mine, text, query)
            pace.append(size / seconds)
            kept = sum(counter.count(made)) / sum(counter.count(text)) if made else None
            try:
                seconds, made = _timed(other, text, query)
            except Exception as raised:  # noqa: BLE001  how another package fails is a finding, and goes into the row
                error = describe(raised)
                continue
            them.append(size / seconds)
            their_kept = sum(counter.count(made)) / sum(counter.count(text)) if made else None
        rate = statistics.median(them) if them and not error else None
        yield Pace(name, size, statistics.median(pace), rate, kept, None if error else their_kept, error)


def _timed(work: _Work, texts: Sequence[str], query: str | None) -> tuple[float, list[str]]:
    started = time.process_time()
    made = work(texts, query)
    return time.process_time() - started, made


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
    made.model, made.tokenizer, made.device, made.oai_tokenizer = OldCaches(model), tokenizer, "cpu", counter
    made.max_position_embeddings = int(model.config.max_position_embeddings)
    made.cache_bos_num, made.prefix_bos_num, made.context_idxs, made.use_llmlingua2 = 10, 100, [], False
    return TransformersScorer(model, tokenizer), made, counter
