"""The methods that are compared, all run through the same `Shrinker`: one counter, one budget, one locked set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from ctxshrink import PerplexityGuardrail, Shrinker
from ctxshrink.compressors import get_compressor
from ctxshrink.compressors.surprisal import SurprisalCompressor
from ctxshrink.errors import ConfigError
from ctxshrink.policies import Adaptive, Lossless
from ctxshrink.types import Call, Compressor, ContentType, Guardrail, Kind, OnReject, OutputGuardrail, Trial, Verdict

from .baselines import ChunkCompressor, CosineCompressor, HybridCompressor, IdfCompressor
from .encoder import SentenceEncoder, require_encoder
from .peer_methods.runner import PeerRunner
from .peer_methods.spec import PEERS
from .peer_methods.start import check_names, start

_KINDS: tuple[Kind, ...] = ("instruction", "user", "assistant", "tool_call", "tool_result", "document")
_TYPES: tuple[ContentType, ...] = ("prose", "json", "log", "code", "diff", "table", "html")


def pooled_policy() -> Adaptive:
    """A policy that follows a compressor's own pooled selection and adds nothing to it.

    Floors, the claim of recent turns and whole short segments are what `ctxshrink` adds; a baseline that was run under
    them would be measured with a handicap. Without them λ·relevance is the share of each segment that the compressor
    picked when it ranked the text of the whole call together.
    """
    return Adaptive(
        kind_floors=dict.fromkeys(_KINDS, 0.0),
        type_floors=dict.fromkeys(_TYPES, 0.0),
        half_life=1e9,
        min_tokens=0,
    )


class Recorder:
    """A guardrail that remembers the first batch of every call, so that its verdicts can be held against what was lost.

    The first batch are the first attempts at all segments. Later ones are retries, which the budget may override; they
    would mix the guardrail's judgement with the remedy.

    Args:
        inner: The guardrail that judges.

    Attributes:
        name: The inner guardrail's name.
        first: Trials and verdicts of the newest call's first batch.
    """

    def __init__(self, inner: Guardrail) -> None:
        self.name = inner.name
        self.first: tuple[Sequence[Trial], Sequence[Verdict]] | None = None
        self._inner = inner

    def check(self, trials: Sequence[Trial], call: Call, /) -> Sequence[Verdict]:
        """Judge, and remember the batch if it is the first since `clear`."""
        verdicts = self._inner.check(trials, call)
        if self.first is None:
            self.first = (tuple(trials), tuple(verdicts))
        return verdicts

    def check_output(self, trials: Sequence[Trial], call: Call, /) -> Verdict:
        """The inner guardrail's verdict on a whole output; one that judges no outputs accepts them."""
        if isinstance(self._inner, OutputGuardrail):
            return self._inner.check_output(trials, call)
        return Verdict(True, 0.0, f"{self.name} judges segments alone")

    def clear(self) -> None:
        """Forget the batch; call it before each shrink."""
        self.first = None


@dataclass(frozen=True, slots=True)
class Runner:
    """A method, ready to run.

    Attributes:
        method: Its name.
        shrinker: What it runs.
        recorder: Its guardrail, if it has one.
        encoder: The sentence encoder that it shares with others, if it uses one.
        on_reject: What a rejection by its guardrail may cost.
    """

    method: str
    shrinker: Shrinker
    recorder: Recorder | None = None
    encoder: SentenceEncoder | None = None
    on_reject: OnReject = "budget"


_PLAIN: Mapping[str, Callable[[], Compressor]] = MappingProxyType(
    {
        **{name: partial(get_compressor, name) for name in ("extractive", "bm25", "lead", "random", "truncate")},
        "surprisal": SurprisalCompressor,
        "idf": IdfCompressor,
    }
)
_ENCODED: Mapping[str, Callable[[SentenceEncoder], Compressor]] = MappingProxyType(
    {
        "minilm": CosineCompressor,
        "hybrid": HybridCompressor,
        "chunks": ChunkCompressor,
    }
)
METHODS: tuple[str, ...] = ("ctxshrink", "lossless", *_PLAIN, *_ENCODED)
"""``ctxshrink`` is the default `Shrinker`, ``lossless`` the one that leaves nothing out, whatever share was asked for.
The others are plain compressors without floors, guardrail or retries. The last ones rank by a sentence encoder, and by
the question: they do not run where the question is unknown. Behind ``surprisal`` stands ``extractive`` for what is not
prose, as such a text needs another method."""


def build(
    names: Sequence[str],
    *,
    guardrail: bool,
    encoder: Path | None = None,
    asks: bool = True,
    task: str | None = None,
    peers: Mapping[str, Path] = MappingProxyType({}),
    models: Mapping[str, Path] = MappingProxyType({}),
) -> list[Runner | PeerRunner]:
    """Runners for the named methods, in that order.

    Peers are started here; their runners must be closed. Where one of them does not start, the others are.

    Args:
        names: From `METHODS` or `PEERS`.
        guardrail: Run ``ctxshrink`` with its guardrail.
        encoder: Folder of a sentence encoder, for the methods that need one.
        asks: Whether the question is known, see `Task.asks`.
        task: What the methods will be run on, if that is known: a peer that cannot do it is refused.
        peers: Interpreters of peers by method or package; this one where none is named.
        models: Model folders of peers by method.

    Raises:
        ConfigError: A name is unknown or none is given; a method needs an encoder or a question and there is none; a
            peer is not installed, cannot do the task or does not start.
        MissingExtraError: A package that a method needs is not installed.
        ModelError: The encoder cannot be loaded.
    """
    wanted = list(dict.fromkeys(names))
    known = (*METHODS, *PEERS)
    unknown = [n for n in wanted if n not in known]
    if unknown or not wanted:
        raise ConfigError(f"--methods must name some of {', '.join(known)}; got {', '.join(unknown) or 'nothing'}")
    check_names("--peer-python", peers, needs=False)
    check_names("--peer-model", models, needs=True)
    encoded = [n for n in wanted if n in _ENCODED or (n in PEERS and PEERS[n].needs == "encoder")]
    if encoded and not asks:
        raise ConfigError(f"--methods {', '.join(encoded)}: ranks by the question, which is unseen here")
    vectors = SentenceEncoder(require_encoder(encoder, encoded)) if encoded else None
    with ExitStack() as started:
        runners = list[Runner | PeerRunner]()
        for name in wanted:
            if name not in PEERS:
                runners.append(_runner(name, guardrail, vectors))
                continue
            peer = start(PEERS[name], _reference(), task=task, peers=peers, models=models, encoder=vectors)
            started.callback(peer.close)
            runners.append(peer)
        started.pop_all()
    return runners


def _reference() -> Shrinker:
    """Says what is locked and what the budget is, for methods that run elsewhere; its own output is not used."""
    return Shrinker(policy=pooled_policy(), compressors=[get_compressor("truncate")], guardrail=None)


def _runner(name: str, guardrail: bool, encoder: SentenceEncoder | None) -> Runner:
    if name == "ctxshrink":
        recorder = Recorder(PerplexityGuardrail()) if guardrail else None
        return Runner(name, Shrinker(guardrail=recorder), recorder)
    if name == "lossless":
        return Runner(name, Shrinker(policy=Lossless(), guardrail=None))
    used = encoder if name in _ENCODED else None
    compressor = _PLAIN[name]() if used is None else _ENCODED[name](used)
    compressors = [compressor, get_compressor("extractive")] if name == "surprisal" else [compressor]
    return Runner(name, Shrinker(policy=pooled_policy(), compressors=compressors, guardrail=None), encoder=used)
