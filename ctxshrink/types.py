"""The words of ctxshrink as values and protocols. Read this file first.

One path for every input: a seat turns it into `Segment`s; a `Policy` gives each a keep; `Compressor`s turn `Job`s into
`Candidate`s; a `Guardrail` turns `Trial`s into `Verdict`s; what happened to each segment is a `Decision`; the seat
rebuilds the same type from the outputs. All plug-in protocols take batches, positionally.

The longest file of the project, on purpose: a plug-in's author finds every word of the contract on this one page.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Kind: TypeAlias = Literal["instruction", "user", "assistant", "tool_call", "tool_result", "document"]
"""What a segment is. Instructions and tool calls are always locked."""

ContentType: TypeAlias = Literal["prose", "json", "log", "code", "diff", "table", "html"]
"""What a segment's text looks like; decides the unit of selection (sentence, line, JSON member)."""

Action: TypeAlias = Literal["locked", "kept", "compressed", "emptied", "fallback", "forced", "frozen"]
"""What came out of a segment: `locked` and `kept` are byte-exact by rule or by policy; `compressed` and `emptied`
passed the guardrail; `fallback` is all of the original because every attempt failed, as it was or rendered without
loss; `forced` is a compression that the guardrail rejected and the budget imposed all the same (only with
``on_reject="budget"``, and always with a warning); `frozen` was decided in an earlier turn of a `Conversation` and is
replayed."""

OnReject: TypeAlias = Literal["exceed", "budget"]
Span: TypeAlias = tuple[int, int]
"""Half-open range of characters of a segment's text."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The unit of decision: one chunk, one message part, one tool result.

    Attributes:
        id: Unique within a call.
        text: The original text.
        kind: What it is.
        age: Turns back from the newest message; 0 is the newest. Documents have age 0.
        lock_reason: Why it must come out byte for byte as it went in; None when it may be compressed.
        content_type: Detected by `ctxshrink.text.content_type` when the seat does not know it.
        relevance: In [0, 1], from the first compressor that can rank, else 1.
        title: A document's title or heading; read when ranking, never part of the text or of its count.
        empty: What an emptied segment leaves behind. "" for documents; "…" for messages, whose providers refuse
            empty content.
        reference: Line that a shortened text of it ends with: how to get the original back. "" where it is not stored.
    """

    id: str
    text: str
    kind: Kind = "document"
    age: int = 0
    lock_reason: str | None = None
    content_type: ContentType = "prose"
    relevance: float = 1.0
    title: str = ""
    empty: str = ""
    reference: str = ""

    @property
    def locked(self) -> bool:
        """True when the text must come out byte for byte."""
        return self.lock_reason is not None


@dataclass(frozen=True, slots=True)
class Goal:
    """How small the output shall be. Where both are set, both bind.

    Attributes:
        keep: Share of the unlocked tokens to keep, in (0, 1].
        max_tokens: Most tokens the whole output may have, locked text included; >= 0.
        lossless: Nothing may be left out: texts may only be rendered with fewer tokens.
    """

    keep: float | None = None
    max_tokens: int | None = None
    lossless: bool = False


class TokenCounter(Protocol):
    """Counts tokens."""

    @property
    def name(self) -> str:
        """Shown on the result."""
        ...

    @property
    def exact(self) -> bool:
        """True when this is the target model's own tokenizer."""
        ...

    def count(self, texts: Sequence[str], /) -> list[int]:
        """Tokens of each text, without special tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """What plug-ins may know of the call they serve.

    Attributes:
        segments: Every segment of the call in input order, locked ones included. Rank against these, not against the
            batch at hand: a retry of one segment must give the same bytes.
        tokens: Token count of each segment by id.
        counter: The counter in use.
        goal: What the caller asked for.
        query: The question the output will serve, if known.
        anchor: Text that the answer will depend on: the query and the recent turns, if known.
        deadline: `time.monotonic()` after which nobody waits for the result; None for no limit.
        cache: Scratch space for the length of the call. Keys belong to the plug-in that sets them.
    """

    segments: tuple[Segment, ...]
    tokens: Mapping[str, int]
    counter: TokenCounter
    goal: Goal = Goal()
    query: str | None = None
    anchor: str | None = None
    deadline: float | None = None
    cache: dict[Any, Any] = field(default_factory=dict[Any, Any], compare=False, repr=False)

    @property
    def expired(self) -> bool:
        """True once the deadline has passed. Long loops in plug-ins may stop early then."""
        return self.deadline is not None and time.monotonic() > self.deadline


@dataclass(frozen=True, slots=True)
class Job:
    """One segment to compress.

    Attributes:
        segment: What to compress; never locked.
        keep: Asked share of its tokens, in [0, 1]; 1 only where nothing may be left out (`Goal.lossless`).
        max_tokens: Most tokens the outputs may use for this job. Jobs of one batch may trade: the sum over the batch
            binds, and no output may be larger than its own original.
    """

    segment: Segment
    keep: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A compressor's proposal for one job.

    Attributes:
        text: The shorter text.
        spans: Ranges of `source` that were kept verbatim, in order; None when the text is not extractive.
        error: Why this job failed; the text is ignored then.
        source: A shorter rendering of the original (`ctxshrink.structure`) that `text` was selected from; None is the
            original itself. A text equal to its source left nothing out of it.
        form: How `source` differs from the original, in a few words, for the reason of the decision.
        exact: The original can be told back from `source`.
        rewritten: The text says it in other words, as a language model does; it has no spans then.
    """

    text: str
    spans: tuple[Span, ...] | None = None
    error: str | None = None
    source: str | None = None
    form: str = ""
    exact: bool = True
    rewritten: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """One compression to be judged: a segment and the text that would replace it; fields as in `Candidate`."""

    segment: Segment
    text: str
    spans: tuple[Span, ...] | None = None
    source: str | None = None
    rewritten: bool = False

    @property
    def basis(self) -> str:
        """The text that was selected from and that `spans` point into."""
        return self.segment.text if self.source is None else self.source


@dataclass(frozen=True, slots=True)
class Verdict:
    """A guardrail's judgement of one compression.

    Attributes:
        ok: True accepts it.
        score: Estimated probability that needed text was lost, in [0, 1]; higher is worse.
        reason: One sentence.
        features: The numbers behind the score, by name.
    """

    ok: bool
    score: float
    reason: str
    features: Mapping[str, float] = field(default_factory=dict[str, float], compare=False)


class Policy(Protocol):
    """Decides each segment's keep. Any callable of this shape is legal.

    Two attributes are read where they exist: ``recent_turns: int``, the newest turns that stay exact (default
    `policies.RECENT_TURNS`), and ``goal: Goal``, how small the output shall be when the call itself names no goal.
    """

    def __call__(self, segments: Sequence[Segment], call: Call, /) -> Mapping[str, float]:
        """Keep in [0, 1] for each unlocked segment, by id. Only unlocked segments are passed; missing ids keep 1."""
        ...


@runtime_checkable
class Compressor(Protocol):
    """Turns segments into shorter texts, a batch at a time."""

    @property
    def name(self) -> str:
        """What attempts are recorded under."""
        ...

    def compress(self, jobs: Sequence[Job], call: Call, /) -> Sequence[Candidate]:
        """One candidate per job, in order. Must be deterministic. May raise: that is a failed attempt."""
        ...


@runtime_checkable
class Ranker(Protocol):
    """A compressor that can also say how a call's tokens are best shared out between its segments."""

    def relevance(self, segments: Sequence[Segment], keep: float, call: Call, /) -> Sequence[float]:
        """For each segment the share of it, in [0, 1], that lies among the best ``keep`` of all their text."""
        ...


class Guardrail(Protocol):
    """Accepts or rejects compressions, a batch at a time."""

    @property
    def name(self) -> str:
        """What verdicts are recorded under."""
        ...

    def check(self, trials: Sequence[Trial], call: Call, /) -> Sequence[Verdict]:
        """One verdict per trial, in order. Must be deterministic. May raise: nothing is accepted then."""
        ...


@runtime_checkable
class OutputGuardrail(Guardrail, Protocol):
    """A guardrail that also judges whole outputs: small losses add up."""

    def check_output(self, trials: Sequence[Trial], call: Call, /) -> Verdict:
        """One verdict on an output in which these segments were changed. Must be deterministic. May raise."""
        ...


class OriginalStore(Protocol):
    """Keeps originals, so that what was left out can be had again. `ctxshrink.store.Store` is one."""

    def save(self, texts: Sequence[str], /) -> list[str]:
        """A short id for each text; all are durable when this returns. May raise: nothing is referred to then."""
        ...

    def load(self, id: str, /) -> str | None:
        """The text of an id; None where there is none any more."""
        ...


class Scorer(Protocol):
    """Log-likelihoods of text under a causal language model."""

    @property
    def name(self) -> str:
        """Shown by `ctxshrink doctor`."""
        ...

    @property
    def max_context(self) -> int:
        """Tokens of the model's window; longer contexts are cut at the left, longer targets are scored in windows."""
        ...

    def nll(self, pairs: Sequence[tuple[str, str]], /) -> list[NDArray[np.float32]]:
        """Negative log-likelihoods.

        Args:
            pairs: (context, target) texts. An empty context means the start of a text.

        Returns:
            For each pair the nats of every token of the target given the context and the target's earlier tokens,
            shape (target tokens,); an empty target gives shape (0,).
        """
        ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one segment: who, how hard, and how it ended."""

    compressor: str
    keep: float
    tokens: int
    verdict: Verdict | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        """True when it produced a text and the guardrail, if any, accepted it."""
        return self.error is None and (self.verdict is None or self.verdict.ok)


@dataclass(frozen=True, slots=True)
class Decision:
    """What happened to one segment.

    Attributes:
        segment: The segment as it went in.
        action: What came out.
        reason: Why, in one sentence.
        text: The text that came out.
        tokens_before: Its tokens before.
        tokens_after: Its tokens after.
        keep: The keep that the policy asked for.
        attempts: Every attempt, in order.
        spans: Ranges of `source` that came out verbatim; None where that is not known.
        verdict: The guardrail's verdict on the text that came out; where the original did, on the last attempt.
        source: The rendering of the original that the text was selected from; None is the original itself.
        rewritten: The text says it in other words.
    """

    segment: Segment
    action: Action
    reason: str
    text: str
    tokens_before: int
    tokens_after: int
    keep: float = 1.0
    attempts: tuple[Attempt, ...] = ()
    spans: tuple[Span, ...] | None = None
    verdict: Verdict | None = None
    source: str | None = None
    rewritten: bool = False

    @property
    def trial(self) -> Trial | None:
        """The compression that came out; None where the text came out as it was."""
        if self.segment.locked or self.text == self.segment.text:
            return None
        return Trial(self.segment, self.text, self.spans, self.source, self.rewritten)
