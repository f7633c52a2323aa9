"""What only the embedded scorer promises: shared prefixes, its errors, the shipped weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctxshrink.errors import ConfigError, ModelError
from ctxshrink.models import SCORER
from ctxshrink.scorers import EmbeddedScorer
from ctxshrink.scorers import embedded as module
from ctxshrink.scorers._copying import STEPS
from ctxshrink.scorers._mixture import WIDTH
from ctxshrink.training.export import write_model
from tests.scorers.conftest import CONFIG, TEXT, Tiny, random_weights


class Counting:
    """A session that counts the chunks it runs."""

    def __init__(self, session: Any) -> None:
        self.session, self.chunks = session, 0

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> Any:
        self.chunks += len(inputs["input_ids"])
        return self.session.run(outputs, inputs)


@pytest.fixture
def counting(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Counting:
    session = Counting(module.load_session(tiny.folder, 1))
    monkeypatch.setattr(module, "load_session", lambda *_: session)
    return session


def test_a_shared_context_is_computed_once(tiny: Tiny, counting: Counting) -> None:
    scorer = EmbeddedScorer(tiny.folder, threads=1, cache=False)
    context = "Quartz, jasper and flint: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29."
    targets = ["xyz", "zyx", "yxz", "zxy"]
    shared = (len(tiny.ids(context)) + 1) // 64
    assert shared >= 1
    scorer.nll([(context, t) for t in targets])
    assert counting.chunks == shared + len(targets)


def test_the_same_pair_twice_costs_once(tiny: Tiny, counting: Counting) -> None:
    scorer = EmbeddedScorer(tiny.folder, threads=1, cache=False)
    scorer.nll([(TEXT, "x")])
    once = counting.chunks
    scorer.nll([(TEXT, "x")] * 5)
    assert counting.chunks == 2 * once


def test_scores_are_kept_and_are_the_same(tiny: Tiny, counting: Counting) -> None:
    module._cache.clear()
    scorer, plain = EmbeddedScorer(tiny.folder, threads=1), EmbeddedScorer(tiny.folder, threads=1, cache=False)
    pairs = [(TEXT, "gate"), ("", TEXT), (TEXT, ""), (TEXT, "gate")]
    first = scorer.nll(pairs)
    chunks = counting.chunks
    first[0][0] = -1.0
    again = EmbeddedScorer(tiny.folder, threads=1).nll(pairs[::-1])[::-1]
    assert counting.chunks == chunks
    for kept, computed in zip(again, plain.nll(pairs), strict=True):
        np.testing.assert_array_equal(kept, computed)


def test_another_mixture_does_not_get_the_scores_of_this_one(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    weights = [[0.5] * WIDTH] * STEPS
    (folder / "config.json").write_text(json.dumps({**config, "mixture": {"weights": weights}}))
    plain, mixed = (EmbeddedScorer(f, threads=1).nll([("", TEXT * 3)])[0] for f in (tiny.folder, folder))
    assert mixed.sum() < plain.sum()


def test_likelihoods_are_rounded(tiny: Tiny) -> None:
    [nats] = EmbeddedScorer(tiny.folder, threads=1).nll([("", TEXT)])
    np.testing.assert_array_equal(nats, np.round(nats, 3))


def test_a_model_that_gives_no_numbers_is_an_error(tiny: Tiny, tmp_path: Path) -> None:
    weights = random_weights(CONFIG, len(tiny.weights["model.embed_tokens.weight"]), seed=1)
    weights["model.norm.weight"][0] = np.nan
    write_model(tmp_path, CONFIG, weights, tiny.folder / "tokenizer.json", "broken")
    with pytest.raises(ModelError, match="not finite"):
        EmbeddedScorer(tmp_path, threads=1).nll([("", "gate")])


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.onnx"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign"])
def test_a_damaged_folder_is_one_error_that_names_the_file(tiny: Tiny, tmp_path: Path, name: str, damage: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny.folder, folder)
    path = folder / name
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.write_text('{"model": "another"}')
    with pytest.raises(ModelError, match=name):
        EmbeddedScorer(folder, threads=1).nll([("", "gate")])


def test_a_file_with_the_right_sum_that_is_no_model(tiny: Tiny, tmp_path: Path) -> None:
    import hashlib

    folder = tmp_path / "model"
    shutil.copytree(tiny.folder, folder)
    (folder / "model.onnx").write_bytes(b"not a graph")
    config = json.loads((folder / "config.json").read_text())
    config["sha256"]["model.onnx"] = hashlib.sha256(b"not a graph").hexdigest()
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="onnxruntime cannot load it"):
        EmbeddedScorer(folder, threads=1).nll([("", "gate")])


def test_threads_must_not_be_negative() -> None:
    with pytest.raises(ConfigError, match="threads"):
        EmbeddedScorer(threads=-1)


def test_the_shipped_model_fits_its_limits() -> None:
    assert sum(p.stat().st_size for p in SCORER.iterdir()) <= 15_000_000
    assert EmbeddedScorer().max_context >= 1024


def test_the_shipped_model_knows_language_and_copies() -> None:
    scorer = EmbeddedScorer(threads=2)
    prose, noise = scorer.nll(
        [("", "The meeting is on the first day of the month."), ("", "qzx vvkj wq pltrx ggh zzb")]
    )
    assert prose.mean() < noise.mean()
    fact = "The spare key is with Ms. Okonkwo-Lindqvist in room 4417."
    told, untold = scorer.nll(
        [(f"Notes of the tenants.\n{fact}\nThe lift is fixed.\n\n", fact), ("The lift is fixed.\n\n", fact)]
    )
    assert told.mean() < untold.mean() - 0.5


def test_it_runs_without_torch() -> None:
    code = (
        "import sys; from ctxshrink.scorers import EmbeddedScorer; EmbeddedScorer(threads=1).nll([('', 'gate')]); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'onnx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
