"""The runtime of the encoder: same bits in any company, bounded memory, clear errors."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxshrink import models
from ctxshrink.errors import ConfigError, ModelError
from ctxshrink.models import _vectors, encoder
from ctxshrink.models.encoder import Encoded, Encoder
from tests.models.tiny_bert import CLS, LOGITS, POSITIONS, SEP, UNK, VOCABULARY, WIDTH, random_rows

CACHE = _vectors.CACHE
IDS = st.lists(st.integers(4, len(VOCABULARY) - 1), max_size=POSITIONS - 2).map(lambda ids: [CLS, *ids, SEP])
SHARED = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    CACHE.clear()


@pytest.fixture
def tiny(pruner_folder: Path) -> Encoder:
    return Encoder(pruner_folder, threads=2)


def same(a: Encoded, b: Encoded) -> bool:
    return a.vectors.tobytes() == b.vectors.tobytes() and a.logits.tobytes() == b.logits.tobytes()


def fresh(model: Encoder, rows: list[list[int]]) -> list[Encoded]:
    CACHE.clear()
    return model.encode(rows)


def test_it_describes_itself(tiny: Encoder) -> None:
    assert (tiny.name, tiny.window, tiny.width, tiny.heads) == ("tiny", POSITIONS, WIDTH, LOGITS)
    assert (tiny.cls, tiny.sep, tiny.unk) == (CLS, SEP, UNK)
    assert tiny.config["mix"] == [1, 2]
    assert repr(tiny) == "Encoder('tiny')"


def test_tokens_have_no_special_ids_and_no_padding(tiny: Encoder) -> None:
    text = "The north gate opens at six, the keeper writes at six."
    ids, none, long = tiny.tokenize([text, "", "gate " * 500])
    assert [VOCABULARY[i] for i in ids[:3]] == ["the", "north", "gate"]
    assert none == []
    assert len(long) == 500
    assert not {CLS, SEP, 0} & set(ids)


@pytest.mark.parametrize("text", ["\ud800", "gate \udfff\udfff", "\x00\x01\x1b", "x" * 10_000, "\u200b", "水位"])
def test_any_text_gives_known_tokens(tiny: Encoder, text: str) -> None:
    [ids] = tiny.tokenize([text])
    [found] = tiny.encode([[CLS, *ids[: POSITIONS - 2], SEP]])
    assert np.isfinite(found.vectors).all()


def test_shapes_and_kinds(tiny: Encoder) -> None:
    [a, b, c] = tiny.encode([[CLS, SEP], [], [CLS, 5, SEP]])
    for found, tokens in ((a, 2), (b, 0), (c, 3)):
        assert (found.vectors.shape, found.vectors.dtype) == ((tokens, WIDTH), np.float16)
        assert (found.logits.shape, found.logits.dtype) == ((tokens, LOGITS), np.float32)
    assert tiny.encode([]) == []


@SHARED
@given(st.lists(IDS, min_size=1, max_size=8), st.data())
def test_a_row_is_the_same_in_any_company(pruner_folder: Path, rows: list[list[int]], data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(rows))
    twins = [[CLS, *reversed(row[1:-1]), SEP]] * 3 + [[CLS, *(4 + i % 7 for i in row[1:-1]), SEP]]
    [alone] = fresh(Encoder(pruner_folder, threads=1), [row])
    for threads in (1, 3):
        together = fresh(Encoder(pruner_folder, threads=threads), [*twins, *rows, row])
        assert same(together[len(twins) + rows.index(row)], alone)
        assert same(together[-1], alone)


def test_order_matters_to_the_model(tiny: Encoder) -> None:
    a, b = tiny.encode([[CLS, 4, 5, 6, SEP], [CLS, 6, 5, 4, SEP]])
    assert not same(a, b)


def test_cached_rows_are_the_same_bits_and_are_not_computed_again(
    tiny: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = random_rows(12, seed=3)
    first = tiny.encode(rows)
    monkeypatch.setattr(Encoder, "_outputs", lambda *_: pytest.fail("computed again"))
    assert all(same(a, b) for a, b in zip(tiny.encode(rows), first, strict=True))
    monkeypatch.undo()
    assert all(same(a, b) for a, b in zip(fresh(tiny, rows), first, strict=True))


def test_results_cannot_be_changed(tiny: Encoder) -> None:
    [found] = tiny.encode([[CLS, 5, SEP]])
    with pytest.raises(ValueError, match="read-only"):
        found.vectors[0, 0] = 0
    with pytest.raises(ValueError, match="read-only"):
        found.logits[0, 0] = 0


def test_streaming_reads_ahead_by_a_group_only(tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "_GROUP", 30)
    rows = [[CLS, *([5] * 8), SEP]] * 20
    taken: list[int] = []

    def source() -> Any:
        for i, row in enumerate(rows):
            taken.append(i)
            yield row

    results = tiny.stream(source())
    first = next(results)
    assert len(taken) == 3
    assert all(same(first, other) for other in results)
    assert len(taken) == 20


def test_many_threads_share_one_session_and_agree(pruner_folder: Path) -> None:
    rows = random_rows(10, seed=4)
    expected = fresh(Encoder(pruner_folder, threads=1), rows)
    CACHE.clear()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda i: Encoder(pruner_folder, threads=1 + i % 3).encode(rows), range(6)))
    assert all(same(a, b) for answer in answers for a, b in zip(answer, expected, strict=True))


def test_processors_without_vnni_get_the_same_bits(tiny: Encoder, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_rows(6, seed=8)
    expected = fresh(tiny, rows)
    monkeypatch.setattr("ctxshrink.models._products_overflow", lambda: True)
    found = fresh(Encoder(copy), rows)  # another folder, so another session
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("machine", "flags", "overflow"),
    [
        ("x86_64", "fma avx2 avx512f", True),
        ("x86_64", "avx2 avx512_vnni", False),
        ("AMD64", "avx2 avx_vnni", False),
        ("AMD64", None, True),
        ("arm64", None, False),
    ],
)
def test_which_processors_need_exact_kernels(
    monkeypatch: pytest.MonkeyPatch, machine: str, flags: str | None, overflow: bool
) -> None:
    def read(*_: object, **__: object) -> str:
        if flags is None:
            raise FileNotFoundError
        return f"flags : {flags}"

    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(Path, "read_text", read)
    assert models._products_overflow() is overflow


@pytest.mark.parametrize(
    ("row", "message"),
    [([5] * (POSITIONS + 1), "window"), ([CLS, len(VOCABULARY)], "token ids"), ([-1], "token ids")],
)
def test_rows_that_cannot_be_read(tiny: Encoder, row: list[int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny.encode([[CLS, SEP], row])


def test_threads_cannot_be_negative(pruner_folder: Path) -> None:
    with pytest.raises(ConfigError, match="threads"):
        Encoder(pruner_folder, threads=-1)
    assert Encoder(pruner_folder)._threads >= 1


def changed(folder: Path, **entries: object) -> Path:
    """Rewrites ``config.json``, with the sums of the files as they now are."""
    config = json.loads((folder / "config.json").read_text()) | entries
    config["sha256"] = {f: hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in config["sha256"]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def copy(pruner_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pruner_folder, tmp_path / "copy"))


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:-9])])
def test_missing_and_truncated_files_are_one_error(copy: Path, name: str, damage: Callable[[Path], Any]) -> None:
    damage(copy / name)
    model = Encoder(copy)
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        model.encode([[CLS, SEP]]) if name == "model.onnx" else model.tokenize(["gate"])


def test_a_missing_folder_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        Encoder(tmp_path / "nowhere")


@pytest.mark.parametrize("entries", [{"format": "ctxshrink-scorer"}, {"version": 2}, {"window": None}, {"cls": "x"}])
def test_foreign_configurations_are_refused(copy: Path, entries: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="not the configuration of a pruner"):
        Encoder(changed(copy, **entries))


def test_a_graph_of_another_model_is_refused(copy: Path, tiny_graph: Callable[[str, float], bytes]) -> None:
    (copy / "model.onnx").write_bytes(tiny_graph("something", 0.0))
    with pytest.raises(ModelError, match="not the graph of a pruner"):
        Encoder(changed(copy)).encode([[CLS, SEP]])


def test_other_sizes_are_refused(copy: Path) -> None:
    with pytest.raises(ModelError, match="the model gave"):
        Encoder(changed(copy, width=WIDTH + 1)).encode([[CLS, SEP]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e6])
def test_numbers_that_are_not_finite_are_an_error(
    copy: Path, tiny_graph: Callable[[str, float], bytes], value: float
) -> None:
    (copy / "model.onnx").write_bytes(tiny_graph("input_ids", value))
    with pytest.raises(ModelError, match="not finite"):
        Encoder(changed(copy)).encode([[CLS, SEP]])
    assert len(CACHE) == 0


@pytest.fixture
def tiny_graph() -> Callable[[str, float], bytes]:
    """Makes a graph that gives 1s and one other value for every token."""
    onnx: Any = pytest.importorskip("onnx")

    def make(name: str, value: float) -> bytes:
        from onnx import TensorProto, helper

        from ctxshrink.training.graph import Graph

        g = Graph()
        zeros = g.op("Unsqueeze", g.op("Mul", g.op("Cast", name, to=TensorProto.FLOAT), g.scalar(0, "zero")), g.ints(2))
        row = np.ones(WIDTH, np.float32)
        row[3] = value
        g.name(g.op("Add", zeros, g.const(row, "row")), "vectors")
        g.name(g.op("Add", zeros, g.const(np.ones(LOGITS, np.float32), "ones")), "logits")
        outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("vectors", "logits")]
        ids = helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "S"])
        graph = helper.make_graph(g.nodes, "tiny", [ids], outputs, g.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return bytes(model.SerializeToString())

    assert onnx
    return make
