"""The three tasks: how a record is shrunk, what must hold, and how what came out is scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

from ctxshrink import Shrinker
from ctxshrink.errors import ConfigError
from ctxshrink.messages import detect
from ctxshrink.policies import unlocked_budget
from ctxshrink.result import ShrinkResult
from ctxshrink.types import Call, OnReject

from . import scoring
from .data import ChatRecord, RagRecord, Record, Row, ToolRecord, chat_record, rag_record, tool_record
from .scoring import Haystack
from .stats import mean

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What came out for one record.

    Attributes:
        result: The call's own account.
        texts: The texts of the output that are searched, in order, read from the output and not from the account.
        budget: Most tokens that ``bound`` may have together.
        bound: The texts that the budget is for: all of them, or the unlocked ones.
        broken: Locked texts and fields that did not come out byte for byte.
    """

    result: ShrinkResult[Any]
    texts: tuple[str, ...]
    budget: int
    bound: tuple[str, ...]
    broken: int = 0

    @property
    def haystack(self) -> Haystack:
        """The output's text, to look things up in."""
        return Haystack("\n".join(self.texts))


@dataclass(frozen=True, slots=True)
class Returned:
    """What a method outside of a `Shrinker` made of a record.

    Attributes:
        texts: The texts that are searched, in order.
        counted: All texts of the output: what its tokens are counted on.
        broken: Locked texts that are not in it byte for byte, changed or left out.
    """

    texts: tuple[str, ...]
    counted: tuple[str, ...]
    broken: int = 0


class Task(Protocol, Generic[R]):
    """One kind of benchmark.

    Attributes:
        name: As on the command line.
        asks: True where the question is known when the text is shrunk.
    """

    name: ClassVar[str]
    asks: ClassVar[bool]

    def parse(self, row: Row, /) -> R:
        """A record from a line of JSON."""
        ...

    def shrink(self, shrinker: Shrinker, record: R, keep: float, /, *, on_reject: OnReject = "budget") -> Shrunk:
        """Shrink a record to the share ``keep``; ``on_reject``: what a rejection by a guardrail may cost."""
        ...

    def request(self, record: R, /) -> dict[str, Any]:
        """A record as a method in another process gets it: ``query`` and ``texts``, or ``messages``."""
        ...

    def returned(self, reference: Shrunk, answer: Mapping[str, Any], /) -> Returned:
        """What such a method answered, in the form of its request, beside what a `Shrinker` made of the record.

        Raises:
            ConfigError: It does not have that form.
        """
        ...

    def scores(self, record: R, text: Haystack, /) -> Mapping[str, float]:
        """Scores in [0, 1] by name; ``score`` is the one that means are taken of."""
        ...

    def needed(self, record: R, text: Haystack, /) -> list[bool]:
        """Which of the strings that will be asked for are in a text."""
        ...


class Rag:
    """Chunks and a question; the budget is a share of all chunks' tokens."""

    name: ClassVar[str] = "rag"
    asks: ClassVar[bool] = True

    def parse(self, row: Row, /) -> RagRecord:
        """A record of the rag schema."""
        return rag_record(row)

    def shrink(
        self, shrinker: Shrinker, record: RagRecord, keep: float, /, *, on_reject: OnReject = "budget"
    ) -> Shrunk:
        """All chunks in one call, the question known."""
        total = sum(shrinker.counter.count([d["text"] for d in record.docs]))
        budget = int(keep * total)
        result = shrinker.shrink_documents(record.docs, record.query, max_tokens=budget, on_reject=on_reject)
        texts = tuple(str(doc["text"]) for doc in result.output)
        return Shrunk(result, texts, budget, texts)

    def request(self, record: RagRecord, /) -> dict[str, Any]:
        """The question and the chunks' texts."""
        return {"query": record.query, "texts": [doc["text"] for doc in record.docs]}

    def returned(self, reference: Shrunk, answer: Mapping[str, Any], /) -> Returned:
        """The texts as they are."""
        return _returned_texts(answer)

    def scores(self, record: RagRecord, text: Haystack, /) -> Mapping[str, float]:
        """``score`` is the answer where the record has one, else its facts, else its supporting sentences.

        For a multi-hop record it is ``all support``: 1 when every one of its supporting sentences survived, else 0.
        """
        found = {
            "all support": scoring.all_support(record.support, text) if record.multi_hop else None,
            "answers": scoring.answer_recall(record.answers, text),
            "facts": scoring.fact_recall(record.facts, text),
            "support": scoring.support_recall(record.support, text),
        }
        known = {name: value for name, value in found.items() if value is not None}
        return {"score": next(iter(known.values())), **known}

    def needed(self, record: RagRecord, text: Haystack, /) -> list[bool]:
        """The answer; for a record without one each of its facts, else each of its supporting sentences."""
        if record.answers:
            return [text.contains_any(record.answers)]
        if record.facts:
            return [text.contains(fact) for fact in record.facts]
        return [text.ngram_recall(sentence) >= scoring.SURVIVES for sentence in record.support]


class Chat:
    """A conversation whose next question is unseen; the budget is a share of what is not locked."""

    name: ClassVar[str] = "chat"
    asks: ClassVar[bool] = False

    def parse(self, row: Row, /) -> ChatRecord:
        """A record of the chat schema."""
        return chat_record(row)

    def shrink(
        self, shrinker: Shrinker, record: ChatRecord, keep: float, /, *, on_reject: OnReject = "budget"
    ) -> Shrunk:
        """The whole conversation, without a query."""
        result = shrinker.shrink_messages(record.messages, keep=keep, on_reject=on_reject)
        parsed = detect(result.output).parse(result.output)
        after = {s.id: s.text for s in parsed.segments}
        # The arguments of tool calls are locked, and would hide that the result they were taken from was lost.
        texts = tuple(s.text for s in parsed.segments if s.kind != "tool_call")
        tokens = {d.segment.id: d.tokens_before for d in result.decisions}
        call = Call(tuple(d.segment for d in result.decisions), tokens, shrinker.counter, result.goal)
        free = [d.segment for d in result.decisions if not d.segment.locked]
        # Providers refuse empty content, so that an emptied message still costs its mark: no output can be smaller.
        marks = shrinker.counter.count([s.empty for s in free])
        least = sum(min(mark, tokens[s.id]) for s, mark in zip(free, marks, strict=True))
        budget = max(unlocked_budget(result.goal, call), least)
        bound = tuple(after.get(s.id, "") for s in free)
        return Shrunk(result, texts, budget, bound, _broken(record.messages, result, after))

    def request(self, record: ChatRecord, /) -> dict[str, Any]:
        """The messages."""
        return {"messages": list(record.messages)}

    def returned(self, reference: Shrunk, answer: Mapping[str, Any], /) -> Returned:
        """Messages of whatever number; what is locked is looked for among all of them."""
        messages = answer.get("messages")
        if not isinstance(messages, list):
            raise ConfigError("it answered without messages")
        listed = cast("list[Any]", messages)
        if not all(isinstance(m, dict) for m in listed):
            raise ConfigError("its messages are no objects")
        segments = detect(listed).parse(listed).segments
        left = Counter((s.kind, s.text) for s in segments)
        locked = Counter((d.segment.kind, d.segment.text) for d in reference.result.decisions if d.segment.locked)
        return Returned(
            tuple(s.text for s in segments if s.kind != "tool_call"),
            tuple(s.text for s in segments),
            (locked - left).total(),
        )

    def scores(self, record: ChatRecord, text: Haystack, /) -> Mapping[str, float]:
        """Shares of the probes answered (``probes``), and of the tokens of the messages that hold them (``evidence``).

        ``score`` is the first of these that there is. ``older`` are the probes whose answer the last four messages,
        which stay exact anyway, do not hold.
        """
        asked = [(p, float(text.contains_any(p.answers))) for p in record.probes if p.answers]
        older = [hit for p, hit in asked if p.in_recent4 is False]
        contents = [str(m.get("content") or "") for m in record.messages]
        evidence = [scoring.evidence_recall([contents[i] for i in p.evidence], text) for p in record.probes]
        scores = {
            "probes": [hit for _, hit in asked],
            "older": older,
            "evidence": [e for e in evidence if e is not None],
        }
        known = {name: mean(values) for name, values in scores.items() if values}
        first = known.get("probes", known.get("evidence"))
        return known if first is None else {"score": first, **known}

    def needed(self, record: ChatRecord, text: Haystack, /) -> list[bool]:
        """The answers of the probes."""
        return [text.contains_any(p.answers) for p in record.probes if p.answers]


class Tools:
    """One tool output and a question about it; the budget is a share of its tokens."""

    name: ClassVar[str] = "tools"
    asks: ClassVar[bool] = True

    def parse(self, row: Row, /) -> ToolRecord:
        """A record of the tools schema."""
        return tool_record(row)

    def shrink(
        self, shrinker: Shrinker, record: ToolRecord, keep: float, /, *, on_reject: OnReject = "budget"
    ) -> Shrunk:
        """The output as one text of its own content type, the question known."""
        budget = int(keep * sum(shrinker.counter.count([record.content])))
        result = shrinker.shrink_text(record.content, record.query, max_tokens=budget, on_reject=on_reject)
        return Shrunk(result, (result.output,), budget, (result.output,))

    def request(self, record: ToolRecord, /) -> dict[str, Any]:
        """The question and the one text."""
        return {"query": record.query, "texts": [record.content]}

    def returned(self, reference: Shrunk, answer: Mapping[str, Any], /) -> Returned:
        """The texts as they are."""
        return _returned_texts(answer)

    def scores(self, record: ToolRecord, text: Haystack, /) -> Mapping[str, float]:
        """``score`` and ``needles`` are the share of needles found."""
        found = mean([float(hit) for hit in self.needed(record, text)])
        return {"score": found, "needles": found}

    def needed(self, record: ToolRecord, text: Haystack, /) -> list[bool]:
        """The needles."""
        return [text.contains_any(needle) for needle in record.needles]


TASKS: Mapping[str, Task[Any]] = {task.name: task for task in (Rag(), Chat(), Tools())}


def _returned_texts(answer: Mapping[str, Any]) -> Returned:
    texts = answer.get("texts")
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in cast("list[object]", texts)):
        raise ConfigError("it answered without texts")
    found = tuple(cast("list[str]", texts))
    return Returned(found, found)


def _broken(messages: Sequence[dict[str, Any]], result: ShrinkResult[list[Any]], after: Mapping[str, str]) -> int:
    """Locked texts, and messages whose other fields or role, that differ between input and output.

    System messages and the newest user turn are checked whatever the result says was locked.
    """
    broken = sum(after.get(d.segment.id) != d.segment.text for d in result.decisions if d.segment.locked)
    newest = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=-1)
    if len(result.output) != len(messages):
        return broken + abs(len(result.output) - len(messages))
    for index, (before, now) in enumerate(zip(messages, result.output, strict=True)):
        exact = before.get("role") in ("system", "developer") or index == newest
        others = {k: v for k, v in before.items() if k != "content"}
        broken += before != now if exact else others != {k: v for k, v in now.items() if k != "content"}
    return broken
