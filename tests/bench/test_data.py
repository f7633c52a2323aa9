from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ctxshrink.bench.data import chat_record, load_sets, on_dev_side, rag_record, tool_record
from ctxshrink.errors import ConfigError

RAG = {"id": "a", "query": "q", "docs": [{"text": "t"}], "answers": ["t"]}
CHAT = {"id": "a", "messages": [{"role": "user", "content": "hi"}], "probes": [{"answers": ["hi"]}]}
TOOL = {"id": "a", "query": "q", "content": "c", "needles": [{"answers": ["c"]}]}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


def without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k != key}


@pytest.mark.parametrize(
    ("parse", "row", "field"),
    [
        (rag_record, without(RAG, "query"), '"query" is missing'),
        (rag_record, without(RAG, "docs"), '"docs" is missing'),
        (rag_record, without(RAG, "answers"), 'one of "answers"'),
        (rag_record, RAG | {"docs": [{"text": "t"}, {"txt": "t"}]}, r'docs\[1\]: the field "text" is missing'),
        (rag_record, RAG | {"docs": ["t"]}, r"docs\[0\]: expected a JSON object; got str"),
        (rag_record, RAG | {"answers": "t"}, '"answers" must be a list; got str'),
        (rag_record, RAG | {"answers": [None]}, '"answers" must hold strings'),
        (rag_record, [RAG], "expected a JSON object; got list"),
        (chat_record, without(CHAT, "messages"), '"messages" is missing'),
        (chat_record, without(CHAT, "probes"), '"probes" is missing'),
        (chat_record, CHAT | {"probes": [{"evidence_message_idx": [1]}]}, "holds 1, which is no position among 1"),
        (tool_record, without(TOOL, "content"), '"content" is missing'),
        (tool_record, TOOL | {"needles": [{"answers": []}]}, "at least one needle"),
    ],
)
def test_bad_lines_name_file_line_and_field(tmp_path: Path, parse: Any, row: Any, field: str) -> None:
    good = {rag_record: RAG, chat_record: CHAT, tool_record: TOOL}[parse]
    file = write(tmp_path / "own.jsonl", good, row)
    with pytest.raises(ConfigError, match=f"own.jsonl:2.*{field}"):
        load_sets(file, parse)


def test_a_line_that_is_not_json(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps(RAG) + "\n\n{oops\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"own.jsonl:3: not a line of JSON"):
        load_sets(file, rag_record)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no \.jsonl file"):
        load_sets(tmp_path, rag_record)
    with pytest.raises(ConfigError, match="no such file"):
        load_sets(tmp_path / "none.jsonl", rag_record)
    (tmp_path / "raw.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8"):
        load_sets(tmp_path, rag_record)


def test_a_folder_is_one_set_per_file(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", RAG)
    write(tmp_path / "a.jsonl", RAG, RAG | {"id": "b", "docs": [{"text": "x", "title": "T", "id": 1}]})
    sets = load_sets(tmp_path, rag_record)
    assert list(sets) == ["a", "b"]
    assert [r.id for r in sets["a"]] == ["a", "b"]
    assert sets["a"][1].docs == ({"text": "x", "title": "T"},)
    assert (sets["a"][0].lang, sets["a"][0].group) == ("en", "a")


def test_split_keeps_groups_together_and_covers_everything(tmp_path: Path) -> None:
    rows = [RAG | {"id": str(i), "group": f"g{i // 2}"} for i in range(60)]
    file = write(tmp_path / "own.jsonl", *rows)
    dev = [r.group for r in load_sets(file, rag_record, split="dev")["own"]]
    test = [r.group for r in load_sets(file, rag_record, split="test")["own"]]
    assert len(dev) + len(test) == 60
    assert not set(dev) & set(test)
    assert dev
    assert test
    # sha256("abc") begins with 0xba, sha256("") with 0xe3, sha256("hello") with 0x2c.
    assert [on_dev_side(g) for g in ("abc", "", "hello")] == [False, False, True]


def test_limit_draws_the_same_records_for_the_same_seed(tmp_path: Path) -> None:
    file = write(tmp_path / "own.jsonl", *(RAG | {"id": str(i)} for i in range(50)))
    drawn = [[r.id for r in load_sets(file, rag_record, limit=5, seed=s)["own"]] for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 5


def test_probes_that_are_not_extractive_have_no_answers(tmp_path: Path) -> None:
    probes = [
        {"answers": ["hi"], "extractive": False, "evidence_message_idx": [0]},
        {"answers": [7], "in_recent4": False},
    ]
    [record] = load_sets(write(tmp_path / "c.jsonl", CHAT | {"probes": probes}), chat_record)["c"]
    assert [p.answers for p in record.probes] == [(), ("7",)]
    assert [p.evidence for p in record.probes] == [(0,), ()]
    assert [p.in_recent4 for p in record.probes] == [None, False]


def test_multi_hop_is_told_by_the_source_or_said(tmp_path: Path) -> None:
    rows = [
        RAG,
        RAG | {"source": "musique"},
        RAG | {"source": "musique", "multi_hop": False},
        RAG | {"multi_hop": True},
    ]
    records = load_sets(write(tmp_path / "own.jsonl", *rows), rag_record)["own"]
    assert [r.multi_hop for r in records] == [False, True, False, True]


@pytest.mark.benchmark_data
def test_the_multi_hop_sets_are_known_by_their_records(benchmark_data: Path) -> None:
    sets = load_sets(benchmark_data / "rag", rag_record)
    shares = {name: sum(r.multi_hop for r in records) / len(records) for name, records in sets.items()}
    assert {name for name, share in shares.items() if share == 1.0} == {"hotpotqa", "musique", "2wikimultihop"}
    assert set(shares.values()) == {0.0, 1.0}
