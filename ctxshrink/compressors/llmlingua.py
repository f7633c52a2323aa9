"""The `llmlingua2` compressor: LLMLingua-2's token classifiers with whole words, our budget and our guardrail.

Of the llmlingua package one class is used, ``llmlingua.utils.TokenClfDataset``, which makes a model's input of tokens.
The scores are those of its ``compress_prompt`` on the same chunk, with one repair: that gives XLM-RoBERTa the special
tokens of BERT, which are unknown words to it (the package's issue 181); here a model gets its own. The rest of it is
not used, because it loses text or does what a library must not do (version 0.2.2):

- ``PromptCompressor.__init__`` fetches a tiktoken vocabulary from the network, runs code that comes with a model unless
  told not to, seeds every random generator of the process, adds a hundred tokens to the tokenizer, resizes the model's
  embeddings, and knows a model by a part of its name: a renamed folder fails.
- ``compress_prompt`` writes tokens in place of text ("$4,500.00" comes out as "$, 500. 00"), drops what its tokenizer
  does not know (an emoji, say) and what looks like a special token, and takes ``target_token`` as a share of another
  tokenizer's count, so that the budget is not met.
- ``structured_compress_prompt`` and ``compress_json`` drop segments that hold a "<", and commas.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctxshrink._deadline import DeadlineExceeded
from ctxshrink.compressors._llmlingua_model import TokenClassifier, Tokenized, chunks
from ctxshrink.compressors._wordfit import select_words
from ctxshrink.compressors._words import Words, split_words
from ctxshrink.errors import ConfigError
from ctxshrink.types import Call, Candidate, Job, Segment

__all__ = ["LLMLingua2Compressor"]

_SCORED = "ctxshrink.compressors.llmlingua2.scored"


class LLMLingua2Compressor:
    """Keeps the words that an LLMLingua-2 model would keep (Pan et al., ACL Findings 2024, section 3).

    A word's score is the mean probability of its tokens to be kept. Words stay whole, and so do URLs, numbers with
    their unit, dates, ids and code; numbers, names and negations stay where anything of their sentence does, and where
    the budget is too small for that the sentence goes as a whole. The question of a call has no influence.

    Only prose is compressed this way: single words that are gone from tool traffic, code, tables or records change
    what they say. Such jobs get an error, and the next compressor takes them.

    Nothing is loaded from the network unless ``model`` names a model on the Hugging Face hub. Safe to use from several
    threads. Needs the extra ``llmlingua``.

    Args:
        model: A folder of any name that holds a token-classification model with two labels and its tokenizer, of the
            architectures BERT or XLM-RoBERTa; or a name on the hub, such as
            ``"microsoft/llmlingua-2-bert-base-multilingual-cased-meetingbank"``.
        device: A torch device.
        batch_size: Chunks of up to 512 tokens that are read at once.
        trust_remote_code: Whether Python code that comes with the model may run.

    Raises:
        ConfigError: No model is given, it is not of this kind, or a setting is out of range.
        MissingExtraError: llmlingua is not installed.
        ModelError: The model cannot be loaded.
    """

    name = "llmlingua2"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "cpu",
        batch_size: int = 16,
        trust_remote_code: bool = False,
    ) -> None:
        if not model:
            raise ConfigError(
                "llmlingua2 has no model of its own: make it with one, LLMLingua2Compressor(model=…), a folder or the "
                "name of a model on the Hugging Face hub, and pass that object in place of the name"
            )
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, not {batch_size}")
        self._batch_size = batch_size
        self._model = str(model)
        self._classifier = TokenClassifier(model, device=device, trust_remote_code=trust_remote_code)

    def __repr__(self) -> str:
        return f"LLMLingua2Compressor({self._classifier.name!r})"

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        """The best words of each job's text, verbatim.

        The sum of the outputs' tokens is at most the sum of the jobs' `max_tokens`, and none is larger than its
        original. Jobs that are not prose, or that come from a tool, get an error.
        """
        refusals = [_refusal(job.segment) for job in jobs]
        open_ = [job for job, refusal in zip(jobs, refusals, strict=True) if refusal is None]
        scored = self._scored([job.segment.text for job in open_], call)
        made = iter(select_words(open_, [w for w, _ in scored], [s for _, s in scored], call))
        return [next(made) if refusal is None else Candidate("", error=refusal) for refusal in refusals]

    def _scored(self, texts: list[str], call: Call) -> list[tuple[Words, NDArray[np.float64]]]:
        """Words and their scores.

        How texts are put into batches moves the last digits of what a model computes. So batches are made of all texts
        of the call, and read where one of theirs is asked for: a retry of one segment has the same scores.
        """
        plan: _Plan | None = call.cache.get((_SCORED, self))
        if plan is None:
            mine = dict.fromkeys(s.text for s in call.segments if not s.locked and _refusal(s) is None)
            plan = _Plan([*mine, *dict.fromkeys(t for t in texts if t not in mine)], self._classifier, self._batch_size)
            call.cache[_SCORED, self] = plan
        if any(text not in plan.place for text in texts):
            plan = _Plan(texts, self._classifier, self._batch_size)
        return plan.scores(texts, call)


class _Plan:
    """Texts cut into chunks, and chunks put into batches by length; batches are read when they are needed."""

    def __init__(self, texts: Sequence[str], classifier: TokenClassifier, batch_size: int) -> None:
        texts = list(dict.fromkeys(texts))
        self._classifier = classifier
        self._words = [split_words(text) for text in texts]
        self._read = [
            read if len(words) else Tokenized([], [])
            for words, read in zip(self._words, classifier.tokenize(texts), strict=True)
        ]
        self._kept = [np.full(len(read.tokens), np.nan) for read in self._read]
        self._owner = [_owner(w, read) for w, read in zip(self._words, self._read, strict=True)]
        self._counted = [_counted(*row) for row in zip(self._words, self._read, self._owner, strict=True)]
        self._means: dict[int, NDArray[np.float64]] = {}
        pieces = [
            (i, start, end)
            for i, (words, owner) in enumerate(zip(self._words, self._owner, strict=True))
            for start, end in chunks(owner, words.unit[owner] if len(words) else owner, classifier.room)
        ]
        pieces.sort(key=lambda piece: (piece[1] - piece[2], piece))
        self._batches = [pieces[i : i + batch_size] for i in range(0, len(pieces), batch_size)]
        self.place = {text: i for i, text in enumerate(texts)}

    def scores(self, texts: Sequence[str], call: Call) -> list[tuple[Words, NDArray[np.float64]]]:
        """The words of some of the texts and the mean probability of each to be kept."""
        wanted = {self.place[text] for text in texts}
        for batch in self._batches:
            if not any(i in wanted and np.isnan(self._kept[i][start]) for i, start, _ in batch):
                continue
            if call.expired:
                raise DeadlineExceeded
            found = self._classifier.probabilities([self._read[i].tokens[start:end] for i, start, end in batch])
            for (i, start, end), row in zip(batch, found, strict=True):
                self._kept[i][start:end] = row
        return [(self._words[i], self._mean(i)) for i in (self.place[text] for text in texts)]

    def _mean(self, i: int) -> NDArray[np.float64]:
        """Mean over the tokens of each word; marks count where a word has nothing else. 0 for what has no tokens."""
        if i not in self._means:
            owner, counted = self._owner[i], self._counted[i]
            size = len(self._words[i])
            total = np.bincount(owner[counted], weights=self._kept[i][counted], minlength=size)
            self._means[i] = total / np.maximum(1, np.bincount(owner[counted], minlength=size))
        return self._means[i]


def _owner(words: Words, read: Tokenized) -> NDArray[np.int64]:
    """The word of each token, ascending. A token of white space ("▁") begins the word behind it."""
    size = len(words.text)
    found = words.overlapping([(s, e) if e > s else (min(s, size - 1), min(s, size - 1) + 1) for s, e in read.spans])
    owner = np.where(found < 0, len(words) - 1, found)
    return np.maximum.accumulate(np.minimum.accumulate(owner[::-1])[::-1]) if len(owner) else owner


def _counted(words: Words, read: Tokenized, owner: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which tokens say how probable their word is: not the commas and brackets that a word carries."""
    pieces = [words.text[s:e] for s, e in read.spans]
    real = np.array([any(c.isalnum() for c in piece) or not piece.strip() for piece in pieces], dtype=np.bool_)
    letters = np.array([any(c.isalnum() for c in piece) for piece in pieces], dtype=np.bool_)
    return real | ~(np.bincount(owner[letters], minlength=len(words)) > 0)[owner] if len(words) else real


def _refusal(segment: Segment) -> str | None:
    if segment.kind in ("tool_call", "tool_result"):
        return f"llmlingua2 leaves a {segment.kind.replace('_', ' ')} alone: it drops single words"
    if segment.content_type != "prose":
        return f"llmlingua2 leaves {segment.content_type} alone: it drops single words"
    return None
