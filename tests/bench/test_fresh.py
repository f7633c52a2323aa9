from __future__ import annotations

import pytest

from ctxshrink.bench.fresh import cold_starts, in_fresh_process, measure, model_files, peak_mib

CONTEXT = (
    "Which pump was replaced?",
    ["The pump was replaced in May. The valve was not. Nobody knew why that was so."],
)


def test_the_scorer_is_among_the_model_files() -> None:
    assert any(file.endswith("scorer/model.onnx") for file in model_files())


def test_a_fresh_process_reports_time_and_memory_of_its_own() -> None:
    ballast = bytearray(300 * 1024**2)  # not to be seen in the child
    ballast[::4096] = b"x" * len(ballast[::4096])
    found = in_fresh_process({"what": "shrink", "contexts": [CONTEXT] * 2, "keep": 0.5, "guardrail": False})
    assert found["seconds"] > 0
    assert 10 < found["peak_mib"] < 250 < peak_mib()


def test_cold_starts_come_in_pairs() -> None:
    found = cold_starts([CONTEXT], 0.5)
    assert {name: len(seconds) for name, seconds in found.items()} == {"files": 1, "shrink": 1}


def test_a_failing_process_says_why() -> None:
    with pytest.raises(RuntimeError, match="keep must be a number"):
        in_fresh_process({"what": "shrink", "contexts": [CONTEXT], "keep": 7, "guardrail": False})


def test_measuring_in_this_process() -> None:
    found = measure({"what": "shrink", "contexts": [CONTEXT], "keep": 0.5, "guardrail": False})
    assert set(found) == {"seconds", "peak_mib"}
