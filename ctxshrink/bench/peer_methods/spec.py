"""What the bench knows about each peer before it is started: what it can do, what is run, with which settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

Needs: TypeAlias = Literal["", "encoder", "causal", "classifier"]
"""A model folder that a peer cannot do without: a sentence encoder (``--encoder``), a causal language model or
LLMLingua-2's token classifier (``--peer-model``)."""


@dataclass(frozen=True, slots=True)
class PeerSpec:
    """A method of somebody else's package, run in a process of its own.

    Attributes:
        method: Its name in the bench.
        package: The distribution that brings it; ``--peer-python`` takes this name too.
        module: What is imported, to see whether this interpreter has it.
        worker: Its file among the workers.
        tasks: What it is run on.
        install: What to put into its environment.
        note: What exactly is run, and what it was made for where that is something else.
        packages: Distributions whose versions are reported.
        knob: The setting that is searched for the budget; empty where it has none and runs as it is.
        steps: Most calls of that search.
        least: Its hardest setting, as a level in [0, 1]; tried last where nothing fits.
        needs: A model folder that it cannot do without.
        timeout: Seconds after which a call counts as hanging.
    """

    method: str
    package: str
    module: str
    worker: str
    tasks: frozenset[str]
    install: str
    note: str
    packages: tuple[str, ...]
    knob: str = ""
    steps: int = 1
    least: float = 0.0
    needs: Needs = ""
    timeout: float = 120.0


_LINGUA = "texts are the prompt's contexts, the question is not repeated in the output, trust_remote_code is off"
_ALL = (
    PeerSpec(
        "headroom",
        "headroom-ai",
        "headroom",
        "headroom_worker.py",
        frozenset(("rag", "chat", "tools")),
        "headroom-ai",
        "compress() with its defaults and HEADROOM_OFFLINE=1. Chats: compress_system_messages=False, the four newest "
        "messages are protected (its default). Tool output: the question is the user's message, the output a tool "
        "message, protect_recent=0. Chunks: user messages with compress_user_messages=True, protect_recent=0 and "
        "target_ratio. It has no budget: target_ratio is read by Kompress alone, its text model, which has to be "
        "downloaded and is not run. It is made for JSON, logs and search results of coding agents: prose comes out as "
        "it went in, and what it takes out of lists can be fetched back by a tool that is not counted here.",
        ("headroom-ai",),
    ),
    PeerSpec(
        "contextpilot",
        "contextpilot-ai",
        "contextpilot",
        "contextpilot_worker.py",
        frozenset(("rag", "chat")),
        "contextpilot-ai",
        "compress(), telemetry off. Chats: the system prompt as its own parameter; its levels conservative, balanced "
        "and aggressive as they are, then aggressive with quality_threshold=0, then also history_window=1 and "
        "history_epoch=1: the gentlest that fits. Its quality gate returns the input untouched where it expects a "
        "loss, "
        "which is over the budget. Chunks: one user message, the question before chunks behind marks that it knows, "
        "rag_relevance_min as the budget needs, intent_override=unknown (another intent sets a floor of its own under "
        "that), quality_threshold=0. It is made for long, repetitive conversations; its words are those of languages "
        "that write spaces.",
        ("contextpilot-ai", "scikit-learn"),
        "level (chat), rag_relevance_min (rag)",
        7,
    ),
    PeerSpec(
        "trim-messages",
        "langchain",
        "langchain_core",
        "langchain_worker.py",
        frozenset(("chat",)),
        "langchain-core",
        "trim_messages with the settings its documentation recommends for chat models: strategy=last, start_on=human, "
        "include_system=True, allow_partial=False, count_tokens_approximately; without end_on=(human, tool), since "
        "some "
        "conversations here end with the assistant. Whole messages from the end.",
        ("langchain-core",),
        "max_tokens",
        8,
    ),
    PeerSpec(
        "clear-tool-uses",
        "langchain",
        "langchain",
        "langchain_worker.py",
        frozenset(("chat",)),
        "langchain",
        "ClearToolUsesEdit(trigger=1, keep=as the budget needs), else its defaults: the oldest tool results become "
        "[cleared]. It touches tool results alone, so that a chat without them comes out as it went in.",
        ("langchain", "langchain-core"),
        "keep",
        6,
    ),
    PeerSpec(
        "embeddings-filter",
        "langchain",
        "langchain_classic",
        "langchain_worker.py",
        frozenset(("rag",)),
        "langchain-classic langchain-community numpy",
        "EmbeddingsFilter(k=as the budget needs) over the encoder of the bench: whole chunks, the most similar first; "
        "none where the most similar alone does not fit.",
        ("langchain-classic", "langchain-community", "langchain-core"),
        "k",
        6,
        needs="encoder",
    ),
    PeerSpec(
        "sentence-optimizer",
        "llama-index",
        "llama_index.core",
        "llama_index_worker.py",
        frozenset(("rag",)),
        "llama-index-core",
        "SentenceEmbeddingOptimizer with its defaults (a sentence of context on either side of each hit) over the "
        "encoder of the bench, one threshold_cutoff for all chunks: percentile_cutoff keeps every sentence below one "
        "and cannot meet small budgets. A chunk of which no sentence passes is left out (the class raises then), one "
        "that would come out longer stays as it was; repeated sentences are counted as they come. It is made for "
        "prose: most JSON and logs are one sentence to it.",
        ("llama-index-core",),
        "threshold_cutoff",
        9,
        needs="encoder",
    ),
    PeerSpec(
        "llmlingua",
        "llmlingua",
        "llmlingua",
        "llmlingua_worker.py",
        frozenset(("rag", "tools")),
        "llmlingua accelerate",
        f"LLMLingua-1, compress_prompt(rate=as the budget needs); {_LINGUA}. It is meant for a language model of 7 "
        "billion parameters and for prose. On transformers 5 the model is wrapped so that it gets keys and values in "
        "the form that it was written for.",
        ("llmlingua", "transformers", "torch"),
        "rate",
        3,
        0.02,
        needs="causal",
        timeout=300.0,
    ),
    PeerSpec(
        "longllmlingua",
        "llmlingua",
        "llmlingua",
        "llmlingua_worker.py",
        frozenset(("rag",)),
        "llmlingua accelerate",
        "LongLLMLingua with the settings of its documentation (rank_method=longllmlingua, condition_compare, "
        "condition_in_question=after_condition, reorder_context=sort, dynamic_context_compression_ratio=0.3, "
        f"context_budget=+100), rate as the budget needs; {_LINGUA}. It is meant for a language model of 7 billion "
        "parameters.",
        ("llmlingua", "transformers", "torch"),
        "rate",
        3,
        0.02,
        needs="causal",
        timeout=300.0,
    ),
    PeerSpec(
        "llmlingua-2",
        "llmlingua",
        "llmlingua",
        "llmlingua_worker.py",
        frozenset(("rag", "tools")),
        "llmlingua accelerate",
        f"LLMLingua-2, compress_prompt(rate=as the budget needs, force_tokens=[newline, ?]); {_LINGUA}. It does not "
        "read "
        "the question and is trained on meeting transcripts.",
        ("llmlingua", "transformers", "torch"),
        "rate",
        3,
        0.02,
        needs="classifier",
        timeout=300.0,
    ),
)
PEERS: Mapping[str, PeerSpec] = MappingProxyType({spec.method: spec for spec in _ALL})
"""Methods of other packages by name."""
