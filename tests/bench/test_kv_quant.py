"""The measurement of quantized caches: its figures on a tiny model, and what it refuses."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from ctxshrink.errors import ConfigError

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from ctxshrink.bench.kv_quant import (  # noqa: E402
    QuantCell,
    QuantSetting,
    bench_quant,
    held_out_rows,
    measure,
    show_quant,
)
from tests.kv.models import ids_of, model_of, tokenizer_of  # noqa: E402

_SETTINGS = (
    QuantSetting(),
    QuantSetting(8, 8),
    QuantSetting(8, 4),
    QuantSetting(4, 4),
    QuantSetting(4, 4, recent=32),
    QuantSetting(keep=0.25),
    QuantSetting(8, 8, keep=0.25),
)


@pytest.fixture(scope="module")
def cells() -> list[QuantCell]:
    return measure(model_of("llama-gqa"), ids_of(5, 144), context=128, settings=_SETTINGS)


def test_more_bits_cost_less_divergence_and_more_bytes(cells: list[QuantCell]) -> None:
    exact, eight, mixed, four, recent = cells[:5]
    assert abs(exact.kl) < 1e-6
    assert abs(exact.kl) < eight.kl < mixed.kl < four.kl
    assert exact.share > eight.share > mixed.share > four.share
    assert exact.share == pytest.approx(1 + 1 / 8)  # int32 positions beside 16 values of 16 bits
    assert four.share < recent.share < exact.share
    assert all(c.added == pytest.approx(c.kl) for c in cells[:5])


def test_what_quantizing_adds_to_a_selection_is_told_apart(cells: list[QuantCell]) -> None:
    alone, quantized = cells[5:]
    assert alone.added == pytest.approx(0, abs=1e-6)
    assert 0 < quantized.added < alone.kl
    assert quantized.share < alone.share == pytest.approx((1 + 1 / 8) / 4)


def test_documents_and_tokens_are_counted(cells: list[QuantCell]) -> None:
    assert {(c.documents, c.tokens) for c in cells} == {(5, 80)}
    assert all(c.worst >= c.kl for c in cells)
    [one] = measure(model_of("llama-gqa"), ids_of(1, 40), context=32, settings=[QuantSetting(8, 8)])
    assert math.isnan(one.error)


def test_the_table_names_every_setting(cells: list[QuantCell]) -> None:
    out = io.StringIO()
    show_quant(cells, Console(file=out, width=200))
    assert all(c.setting.name in out.getvalue() for c in cells)
    assert "int8 / int4" in out.getvalue()
    show_quant([], Console(file=out))


def _corpus(root: Path, documents: int = 250) -> Path:
    (root / "en").mkdir(parents=True)
    for name in ("tales.jsonl", "logs_RESEARCH_ONLY.jsonl"):
        lines = (
            json.dumps({"id": f"{i}", "text": f"{name} {i}: the harbour office opens. " * 20}) for i in range(documents)
        )
        (root / "en" / name).write_text("\n".join(lines), encoding="utf-8")
    return root


def test_rows_are_held_out_documents_of_files_that_may_be_used(tmp_path: Path) -> None:
    tokenizer = tokenizer_of()
    rows = held_out_rows(_corpus(tmp_path / "c"), tokenizer, 64, documents=100)
    assert rows.shape == (3, 64)  # 1 % of 250
    assert rows[:, 0].tolist() == [tokenizer.bos_token_id] * 3
    assert all(tokenizer.decode(row[1:]).startswith("tales") for row in rows)
    assert torch.equal(rows[:2], held_out_rows(tmp_path / "c", tokenizer, 64, documents=2))


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no held-out document"):
        held_out_rows(_corpus(tmp_path / "c", 5), tokenizer_of(), 10_000, documents=3)
    with pytest.raises(ConfigError, match="no file"):
        held_out_rows(tmp_path / "none", tokenizer_of(), 10, documents=3)
    pytest.importorskip("onnx")
    with pytest.raises(ConfigError, match="at most 1024"):
        bench_quant(tmp_path, context=1000, continuation=100)
