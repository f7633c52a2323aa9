"""The real packages of this environment, each in a process of its own."""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ctxshrink.bench.data import ChatRecord, Probe, RagRecord, ToolRecord
from ctxshrink.bench.methods import build
from ctxshrink.bench.peer_methods import PeerRunner, measure_peer
from ctxshrink.bench.run import Observation
from ctxshrink.bench.tasks import TASKS

SENTENCES = (
    "The hall was painted grey in March.",
    "A pump was replaced in May, which took four days.",
    "It had run dry because nobody had opened the valve.",
    "The valve was ordered in Turin and was late by nine days.",
    "Soup is served on Fridays, and visitors like the view.",
    "Many colleagues come by bicycle when the gate is open.",
)
DOCS = tuple({"text": " ".join(SENTENCES[i:] + SENTENCES[:i]), "title": ""} for i in range(0, 6, 2))
STORY = " ".join(SENTENCES)
RAG = RagRecord("r", "r", "en", "When was the pump replaced?", DOCS, ("May",), (), ())


def conversation() -> ChatRecord:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief and kind."}]
    for i in range(6):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "find", "arguments": f'{{"n": {i}}}'}}
        messages += [
            {"role": "user", "content": f"Where is crate {i}?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {
                "role": "tool",
                "tool_call_id": f"c{i}",
                "content": f"Crate {i} stands in hall {i * 11}. " + " ".join(SENTENCES),
            },
            {"role": "assistant", "content": f"In hall {i * 11}."},
        ]
    messages.append({"role": "user", "content": "And the next one?"})
    return ChatRecord(
        "c", "c", "en", tuple(messages), (Probe(("hall 0",), (3,), False), Probe(("hall 55",), (23,), False))
    )


def peer(name: str, task: str, **more: Any) -> PeerRunner:
    [made] = build([name], guardrail=False, asks=TASKS[task].asks, task=task, **more)
    assert isinstance(made, PeerRunner)
    return made


def twice(runner: PeerRunner, task: str, record: Any, keep: float) -> Observation:
    """What is measured, and that it is measured again."""
    one, two = (measure_peer(TASKS[task], "s", runner, record, keep) for _ in range(2))
    assert dataclasses.replace(one, seconds=0) == dataclasses.replace(two, seconds=0)
    assert one.seconds > 0
    assert one.failure == ""
    return one


def test_trim_messages_keeps_the_system_message_and_the_newest_ones() -> None:
    pytest.importorskip("langchain_core")
    with peer("trim-messages", "chat") as runner:
        seen = twice(runner, "chat", conversation(), 0.5)
    assert seen.over == 0
    assert seen.free_after > 0.3 * seen.free_before
    assert (seen.scores["probes"], seen.lost) == (0.5, 1)
    assert seen.broken > 0  # the calls of what it left out
    assert seen.setting.startswith("max_tokens=")
    assert "langchain-core" in runner.versions


def test_clear_tool_uses_touches_tool_results_alone() -> None:
    pytest.importorskip("langchain")
    with peer("clear-tool-uses", "chat") as runner:
        seen = twice(runner, "chat", conversation(), 0.5)
        everything = twice(runner, "chat", conversation(), 0.05)
    assert (seen.over, seen.broken, seen.scores["probes"]) == (0, 0, 1.0)
    assert seen.setting.startswith("keep=3")
    assert everything.setting.startswith("keep=0")
    assert everything.broken == 1  # the newest result, which the others leave alone


def test_sentence_optimizer_keeps_a_sentence_with_its_neighbours(encoder_folder: Path) -> None:
    pytest.importorskip("llama_index.core")
    with peer("sentence-optimizer", "rag", encoder=encoder_folder) as runner:
        seen = twice(runner, "rag", RAG, 0.5)
        tight = twice(runner, "rag", RAG, 0.02)
    assert (seen.over, tight.over, tight.free_after) == (0, 0, 0)
    assert seen.free_after > 0
    assert seen.setting.startswith("threshold_cutoff=")


@pytest.fixture(scope="module")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from ctxshrink.training.scorer_llama import scorer_as_llama

    folder = tmp_path_factory.mktemp("llama")
    _, tokenizer = scorer_as_llama()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=512, **shape)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_llmlingua_leaves_words_out_of_texts_longer_than_its_window(tiny_llama: Path) -> None:
    # LLMLingua-1 is the same code with fewer of its parts.
    name = "longllmlingua"
    if find_spec("llmlingua") is None:
        pytest.skip("llmlingua is not installed")
    docs = tuple({"text": " ".join(SENTENCES * 4), "title": ""} for _ in range(2))
    record = dataclasses.replace(RAG, docs=docs)
    with peer(name, "rag", models={name: tiny_llama}) as runner:
        assert tiny_llama.name in runner.note
        seen = twice(runner, "rag", record, 0.5)
    assert seen.over == 0
    assert 0.1 * seen.free_before < seen.free_after
    assert seen.setting.startswith("rate=")


def test_llmlingua_2_reads_no_question(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    if find_spec("llmlingua") is None:
        pytest.skip("llmlingua is not installed")
    words = sorted({w for s in SENTENCES for w in s.lower().replace(".", " .").replace(",", " ,").split()})
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (tmp_path / "vocab.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    transformers.BertTokenizerFast(vocab=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    torch.manual_seed(5)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=len(names), num_labels=2, **shape)
    transformers.BertForTokenClassification(config).save_pretrained(tmp_path)
    with peer("llmlingua-2", "tools", models={"llmlingua-2": tmp_path}) as runner:
        seen = twice(runner, "tools", ToolRecord("t", "t", "en", "q", " ".join(SENTENCES * 3), (("May",),)), 0.5)
        other = twice(runner, "tools", ToolRecord("t", "t", "en", "Why?", " ".join(SENTENCES * 3), (("May",),)), 0.5)
    assert seen.over == 0
    assert seen.free_after == other.free_after > 0


def test_embeddings_filter_keeps_whole_chunks(encoder_folder: Path) -> None:
    pytest.importorskip("langchain_classic")
    pytest.importorskip("langchain_community")
    with peer("embeddings-filter", "rag", encoder=encoder_folder) as runner:
        seen = twice(runner, "rag", RAG, 0.7)
    assert seen.setting.startswith("k=2")
    assert seen.over == 0
