"""What only the Hugging Face scorer does: its arguments and their errors, and what it shares between pairs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctxshrink.errors import ConfigError, MissingExtraError, ModelError
from ctxshrink.scorers import TransformersScorer
from ctxshrink.scorers._encoding import LocalEncoder
from tests.scorers.conftest import TEXT, Tiny, loaded


def test_loads_from_a_folder(tiny: Tiny, tmp_path: Path) -> None:
    model, tokenizer = loaded(tiny)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    scorer = TransformersScorer(str(tmp_path), device="cpu")
    [a], [b] = scorer.nll([("", TEXT)]), TransformersScorer(model, tokenizer).nll([("", TEXT)])
    np.testing.assert_allclose(a, b, atol=1e-4)
    assert repr(scorer) == f"TransformersScorer({str(tmp_path)!r})"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_a_folder_is_loaded_in_the_type_that_is_asked_for(tiny: Tiny, tmp_path: Path, dtype: Any) -> None:
    model, tokenizer = loaded(tiny)
    model.save_pretrained(tmp_path)
    scorer: Any = TransformersScorer(str(tmp_path), tokenizer, dtype=dtype)
    assert str(scorer._model._model.dtype) == f"torch.{dtype}"


def test_a_loaded_model_needs_its_tokenizer(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="tokenizer"):
        TransformersScorer(loaded(tiny)[0])


def test_a_tokenizer_without_a_start(tiny: Tiny) -> None:
    model, tokenizer = loaded(tiny)
    tokenizer.bos_token = None
    with pytest.raises(ConfigError, match="bos"):
        TransformersScorer(model, tokenizer)


def test_a_tokenizer_that_is_none(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="tokenizer"):
        TransformersScorer(loaded(tiny)[0], 7)


@pytest.mark.parametrize("size", [0, 7, 100_000])
def test_the_window_must_fit_the_model(tiny: Tiny, size: int) -> None:
    with pytest.raises(ConfigError, match="max_context"):
        TransformersScorer(*loaded(tiny), max_context=size)


def test_an_unknown_type(tiny: Tiny) -> None:
    wrong: Any = "int3"
    with pytest.raises(ConfigError, match="dtype"):
        TransformersScorer(*loaded(tiny), dtype=wrong)


def test_an_unknown_device(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="device"):
        TransformersScorer(*loaded(tiny), device="abacus")


def test_an_unknown_folder(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(ModelError, match="cannot load"):
        TransformersScorer(str(tmp_path))


def test_a_truncated_file(tiny: Tiny, tmp_path: Path) -> None:
    loaded(tiny)[0].save_pretrained(tmp_path)
    [weights] = tmp_path.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="cannot load"):
        TransformersScorer(str(tmp_path), loaded(tiny)[1])


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match="transformers"):
        TransformersScorer("any")


def test_a_model_that_gives_no_numbers_is_an_error(tiny: Tiny) -> None:
    model, tokenizer = loaded(tiny)
    model.model.norm.weight.data[0] = float("nan")
    with pytest.raises(ModelError, match="not finite"):
        TransformersScorer(model, tokenizer).nll([("", "gate")])


def tokens_read(scorer: Any, pairs: list[tuple[str, str]]) -> int:
    """Tokens that the model reads for the pairs, padding left out."""
    seen: list[int] = []
    run = scorer._model._run

    def counted(batch: Any, *rest: Any, **named: Any) -> None:
        seen.extend(len(node.ids) for node in batch)
        run(batch, *rest, **named)

    scorer._model._run = counted
    scorer.nll(pairs)
    scorer._model._run = run
    return sum(seen)


def test_a_shared_context_is_read_once(tiny: Tiny) -> None:
    scorer = TransformersScorer(*loaded(tiny))
    assert scorer.reuses_prefixes
    context, targets = TEXT[:200], ["north", "level", "gate", "412"]
    shared = 1 + len(tiny.ids(context))
    extra = sum(len(tiny.ids(t)) - 1 for t in targets)
    assert tokens_read(scorer, [(context, t) for t in targets]) == shared + extra


def test_a_shared_beginning_of_two_contexts_is_read_once(tiny: Tiny) -> None:
    scorer = TransformersScorer(*loaded(tiny))
    pairs = [(TEXT[:200] + end, "north") for end in ("", " jasper", " flint and 7")]
    lengths = [len(tiny.ids(c)) + len(tiny.ids(t)) for c, t in pairs]
    common = 1 + len(tiny.ids(TEXT[:200]))
    assert tokens_read(scorer, pairs) < sum(lengths) - 2 * (common - 3)


def test_the_same_pair_twice_costs_once(tiny: Tiny) -> None:
    scorer = TransformersScorer(*loaded(tiny), reuse=False)
    assert not scorer.reuses_prefixes
    once = tokens_read(scorer, [(TEXT, "x")])
    assert once > 0
    assert tokens_read(scorer, [(TEXT, "x")] * 5) == once


def test_results_of_the_same_pair_are_not_one_array(tiny: Tiny) -> None:
    one, other = TransformersScorer(*loaded(tiny)).nll([("", "gate")] * 2)
    one[:] = -1
    assert (other >= 0).all()


def test_a_damaged_tokenizer_is_one_error(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "BPE"}}')
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(ModelError, match="cannot load the tokenizer"):
        LocalEncoder(str(tmp_path))
