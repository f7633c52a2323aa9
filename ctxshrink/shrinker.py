"""The one orchestrator: segments in, decisions out.

Every seat ends in `Shrinker.shrink_segments`; `shrink_text`, `shrink_documents` and `shrink_messages` are the seats for
plain Python data.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ._settings import Configured, build_engine
from ._twins import async_twin
from .documents import parse_documents
from .drift import DriftMonitor
from .economics import Economics, Part
from .errors import ConfigError
from .messages import Parsed, detect
from .result import ShrinkResult
from .seats import emptied
from .text import content_type
from .types import Compressor, Guardrail, OnReject, OriginalStore, Policy, Segment, TokenCounter

if TYPE_CHECKING:
    from .telemetry import CallHook

T = TypeVar("T")


class Shrinker(Configured):
    """Compresses text, documents and messages, checks every compression, and says what it did.

    Holds settings only: safe to share between threads, and the same input gives the same output in any of them.

    Args:
        policy: Decides each segment's keep; any callable ``(segments, call) -> {id: keep}``. Default `Adaptive()`.
        compressors: Tried in this order: instances, or names (`ctxshrink.compressors.available()`).
        guardrail: Accepts or rejects each compression. ``"perplexity"`` is `PerplexityGuardrail()` with the embedded
            language model; None checks nothing.
        counter: ``"embedded"``, a model or encoding name (tiktoken), a Hugging Face tokenizer name or folder, or a
            callable ``text -> tokens``.
        mode: ``"apply"``, or ``"observe"``: do all the work, return the input, report what would have been saved.
        deadline: Seconds after which a call returns what it has, the rest uncompressed; None waits. A plug-in that is
            still at work then is left to end in a background thread.
        store: Keeps the originals of what is shortened, such as a `ctxshrink.store.Store`. Each shortened text then
            ends with a line that names its original, for the ``expand`` tool (`ctxshrink.expand`); the line counts
            towards the budget. Segments of under 100 tokens are not stored.
        economics: What tokens and compressing cost: a segment whose saving does not pay is left as it is, and its
            decision says why. None: everything is compressed as the policy says.
        telemetry: What calls are run through: `ctxshrink.telemetry.Telemetry` exports a span and measurements of each,
            without text; `ctxshrink.observe.Observer` accounts for shadow traffic; `ctxshrink.report.Trace` records all
            of it, with its texts, for ``ctxshrink report``.
        monitor: Warns when the guardrail's acceptance rate is no longer what it was at calibration; see `from_file`.

    Raises:
        ConfigError: A setting is wrong.
        MissingExtraError: The counter needs a package that is not installed.
    """

    def __init__(
        self,
        *,
        policy: Policy | None = None,
        compressors: Sequence[Compressor | str] = ("pruner", "extractive"),
        guardrail: Guardrail | Literal["perplexity"] | None = "perplexity",
        counter: str | Callable[[str], int] | TokenCounter = "embedded",
        mode: Literal["apply", "observe"] = "apply",
        deadline: float | None = None,
        store: OriginalStore | None = None,
        economics: Economics | None = None,
        telemetry: CallHook | None = None,
        monitor: DriftMonitor | None = None,
    ) -> None:
        if telemetry is not None and not hasattr(telemetry, "call"):
            raise ConfigError(f"telemetry must be None or have a call method, like Telemetry(); got {telemetry!r}")
        self._engine = build_engine(policy, compressors, guardrail, counter, mode, deadline, store, economics, monitor)
        self._telemetry = telemetry

    def __repr__(self) -> str:
        e = self._engine
        names = [c.name for c in e.compressors]
        priced = "" if e.economics is None else f", economics={e.economics!r}"
        return (
            f"Shrinker(policy={e.policy!r}, compressors={names}, guardrail={e.guardrail!r}, "
            f"counter={e.counter.name!r}, mode={e.mode!r}, deadline={e.deadline}{priced})"
        )

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        *,
        compressors: Sequence[Compressor | str] = ("pruner", "extractive"),
        counter: str | Callable[[str], int] | TokenCounter = "embedded",
        mode: Literal["apply", "observe"] = "apply",
        deadline: float | None = None,
        store: OriginalStore | None = None,
        economics: Economics | None = None,
        telemetry: CallHook | None = None,
    ) -> Shrinker:
        """A shrinker with the policy, the guardrail and the drift monitor of a policy file.

        Args:
            path: A ``ctxshrink.toml``, as ``ctxshrink calibrate`` writes it.
            compressors: As in the constructor; so are all that follow.
            counter: See there.
            mode: See there.
            deadline: See there.
            store: See there.
            economics: See there.
            telemetry: See there.

        Raises:
            ConfigError: The file is missing, of a newer format, or holds a key or value that is not known.
        """
        from .policyfile import shrinker_settings

        parts = shrinker_settings(path)
        return cls(
            policy=parts.policy,
            guardrail=parts.guardrail,
            compressors=compressors,
            counter=counter,
            mode=mode,
            deadline=deadline,
            store=store,
            economics=economics,
            telemetry=telemetry,
            monitor=parts.monitor,
        )

    def through(self, work: Callable[[], ShrinkResult[T]]) -> ShrinkResult[T]:
        """Run a call's work through the `telemetry`; calls inside of it are part of it."""
        return work() if self._telemetry is None else self._telemetry.call(work, self._engine)

    def shrink_text(
        self,
        text: str,
        query: str | None = None,
        *,
        keep: float | None = None,
        max_tokens: int | None = None,
        on_reject: OnReject | None = None,
        strict: bool = False,
    ) -> ShrinkResult[str]:
        """Compress one text.

        Args:
            text: Any text; its content type is detected.
            query: The question it shall answer, if known.
            keep: Share of its tokens to keep, in (0, 1].
            max_tokens: Most tokens of the output; give this or ``keep``.
            on_reject: What a rejection by the guardrail may cost: ``"exceed"`` (default with ``keep``) returns the
                original even if that is more than asked for; ``"budget"`` (default with ``max_tokens``) keeps to the
                budget with the best text it has, and warns.
            strict: Raise `BudgetError` instead of warning when locked text alone exceeds ``max_tokens``.

        Returns:
            A result whose output is the shorter text.

        Raises:
            ConfigError: An argument is wrong.
        """
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"text must be a str; got {type(text).__name__}. For lists use shrink_documents")
        segment = Segment("0", text, content_type=content_type(text))
        settings = {"query": query, "keep": keep, "max_tokens": max_tokens, "on_reject": on_reject, "strict": strict}
        result = self._run([segment], "request", **settings)
        return result.with_output(result.output["0"])

    def shrink_documents(
        self,
        docs: Sequence[Any],
        query: str | None = None,
        *,
        keep: float | None = None,
        max_tokens: int | None = None,
        drop_empty: bool = False,
        pin: Collection[int] | Callable[[Any], bool] | None = None,
        on_reject: OnReject | None = None,
        strict: bool = False,
    ) -> ShrinkResult[list[Any]]:
        """Compress retrieved chunks together: what answers the query stays, whichever document it is in.

        Args:
            docs: Strings, or dicts with ``"text"`` (optionally ``"title"``, read when ranking); other keys are kept.
            query: The question that the documents were retrieved for.
            keep: Share of all unlocked tokens to keep, in (0, 1]; documents get different shares of it.
            max_tokens: Most tokens of all documents together; give this or ``keep``.
            drop_empty: Leave out documents that came out empty; the decisions still name them.
            pin: Documents that must stay exact: their positions, or a test.
            on_reject: See `shrink_text`.
            strict: See `shrink_text`.

        Returns:
            A result whose output has an entry for every document, ``""`` (or ``"text": ""``) for an emptied one.

        Raises:
            ConfigError: An argument is wrong.
        """
        parsed = parse_documents(docs, pin=pin)
        settings = {"query": query, "keep": keep, "max_tokens": max_tokens, "on_reject": on_reject, "strict": strict}
        result = self._parsed(parsed, docs, "request", **settings)
        if drop_empty and self.mode == "apply":
            pairs = zip(result.output, result.decisions, strict=True)
            return result.with_output([doc for doc, decision in pairs if not emptied(decision)])
        return result

    def shrink_messages(
        self,
        messages: Sequence[Any],
        query: str | None = None,
        *,
        keep: float | None = None,
        max_tokens: int | None = None,
        pin: Collection[int] | Callable[[Any], bool] | None = None,
        on_reject: OnReject | None = None,
        strict: bool = False,
    ) -> ShrinkResult[list[Any]]:
        """Compress a conversation: instructions, tool calls and recent turns exact, older turns harder.

        Args:
            messages: Dicts of OpenAI Chat Completions, OpenAI Responses (its items) or Anthropic Messages, recognised
                by their shape.
            query: What the next answer is about, if it is not in the recent turns.
            keep: Share of the unlocked tokens to keep, in (0, 1].
            max_tokens: Most tokens of the text of all messages; give this or ``keep``.
            pin: Messages that must stay exact: their positions (negative from the end), or a test.
            on_reject: See `shrink_text`.
            strict: See `shrink_text`.

        Returns:
            A result whose output has the same messages in the same order, with shorter texts.

        Raises:
            FormatError: The messages have no known shape.
            ConfigError: An argument is wrong.
        """
        parsed = detect(messages).parse(messages, pin=pin)
        settings = {"query": query, "keep": keep, "max_tokens": max_tokens, "on_reject": on_reject, "strict": strict}
        return self._parsed(parsed, messages, "history", **settings)

    def _parsed(self, parsed: Parsed, source: Sequence[Any], of: Part, **settings: Any) -> ShrinkResult[list[Any]]:
        result = self._run(parsed.segments, of, **settings)
        return result.with_output(list(source) if self.mode == "observe" else parsed.rebuild(result.output))

    def shrink_segments(
        self,
        segments: Sequence[Segment],
        *,
        query: str | None = None,
        keep: float | None = None,
        max_tokens: int | None = None,
        on_reject: OnReject | None = None,
        strict: bool = False,
    ) -> ShrinkResult[dict[str, str]]:
        """The door behind every seat: compress segments; arguments as in `shrink_text`.

        Returns:
            A result whose output maps each segment's id to its text.

        Raises:
            ConfigError: An argument is wrong, two segments share an id, or the policy's answer is not usable.
        """
        settings = {"query": query, "keep": keep, "max_tokens": max_tokens, "on_reject": on_reject, "strict": strict}
        return self._run(segments, "part", **settings)

    def _run(self, segments: Sequence[Segment], of: Part, **settings: Any) -> ShrinkResult[dict[str, str]]:
        return self.through(functools.partial(self._engine.run, segments, of=of, **settings))

    ashrink_text = async_twin(shrink_text)
    ashrink_documents = async_twin(shrink_documents)
    ashrink_messages = async_twin(shrink_messages)
    ashrink_segments = async_twin(shrink_segments)
