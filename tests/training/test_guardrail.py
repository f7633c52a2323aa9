import json
from pathlib import Path

import pytest

from ctxshrink import ConfigError, PerplexityGuardrail
from ctxshrink.guardrails import load_calibrations
from ctxshrink.testing import FakeScorer
from ctxshrink.training.guardrail import Example, examples, fit, save


def record(i: int) -> dict[str, object]:
    docs = [
        {"id": "d0", "text": f"The gate of hall {i} has the code {7000 + i}. It is painted green. Nobody minds."},
        {"id": "d1", "text": "Lunch is served at noon. The soup is warm. The bread is fresh."},
    ]
    query = f"Which code does the gate of hall {i} have?"
    return {"id": f"r{i}", "query": query, "docs": docs, "answers": [str(7000 + i)], "group": f"g{i}"}


def test_compressions_are_labelled_by_what_the_whole_output_lost(tmp_path: Path) -> None:
    (tmp_path / "rag").mkdir()
    (tmp_path / "rag" / "halls.jsonl").write_text("\n".join(json.dumps(record(i)) for i in range(30)))
    guardrail = PerplexityGuardrail(FakeScorer())
    found = examples(tmp_path, keeps=(0.5, 0.1), methods=("extractive", "random"), guardrail=guardrail)
    assert {e.source for e in found} == {"halls"}
    assert {e.mode for e in found} == {"query"}
    assert {e.lost for e in found} == {True, False}
    lost = [e.features["best"] for e in found if e.lost]
    kept = [e.features["best"] for e in found if not e.lost]
    assert sum(lost) / len(lost) > sum(kept) / len(kept)


def made(source: str, n: int, shift: float = 0.0) -> list[Example]:
    """Losses have a high anchor term; one in ten of each class is on the wrong side."""
    out: list[Example] = []
    for i in range(n):
        lost = i % 2 == 0
        anchor = (1.0 if lost != (i % 10 == 0) else 0.0) + shift + (i % 7) / 70
        out.append(Example(source, "query", {"anchor": anchor, "best": 0.3, "cut": 0.3, "dropped": 0.5}, lost))
    return out


def test_the_fit_finds_the_feature_that_tells() -> None:
    fitted = fit(made("a", 200) + made("b", 200, 0.05), "query", false_fallbacks=0.2)
    assert fitted.calibration.weights["anchor"] > 1
    assert abs(fitted.calibration.weights["dropped"]) < 0.01
    assert 0.7 < fitted.auroc < 1
    assert fitted.auroc_by_source.keys() == {"a", "b"}
    assert fitted.false_fallbacks <= 0.2
    assert fitted.caught > 0.7
    assert (fitted.examples, fitted.losses) == (400, 200)


def test_what_is_saved_can_be_loaded(tmp_path: Path) -> None:
    fitted = fit(made("a", 100) + made("b", 100), "query")
    save({"query": fitted, "blind": fitted}, tmp_path / "new")
    assert load_calibrations(tmp_path / "new" / "config.json")["query"] == fitted.calibration


@pytest.mark.parametrize("lost", [True, False])
def test_one_class_alone_cannot_be_fitted(lost: bool) -> None:
    same = [e for e in made("a", 40) if e.lost is lost]
    with pytest.raises(ConfigError, match="both classes"):
        fit(same, "query")
