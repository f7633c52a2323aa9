"""Files that are not what they say: an error that names the file, or lines that are counted, and never a crash."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import ConfigError, Conversation, KeepFacts
from ctxshrink.report import Trace
from ctxshrink.report._reader import recording
from ctxshrink.report._results import read_results
from ctxshrink.report.model import report_data
from ctxshrink.report.page import page
from tests.report.traffic import CHUNKS, shrinker, turn
from tests.strategies import PROPERTY

ODD = st.sampled_from([None, True, -1, 7, 1e400, float("nan"), "", "x", [], {}, [1], [[0, 1]], {"a": 1}, "9" * 30])


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    maker = shrinker(guardrail=KeepFacts(), compressors=["extractive", "lead"])
    return maker.shrink_documents(CHUNKS, "Who has plot 14?").to_dict(text=True)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    path: Path = tmp_path_factory.mktemp("damage") / "t.jsonl"
    side = Conversation(shrinker(Trace(path), guardrail=KeepFacts(), compressors=["extractive", "lead"]))
    for n in range(3):
        side.extend(turn(n), keep=0.4)
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def damaged(value: Any, data: st.DataObject) -> Any:
    """A copy with one of its parts, at any depth, replaced or taken away."""
    value = copy.deepcopy(value)
    at = value
    while True:
        keys = sorted(at) if isinstance(at, dict) else range(len(at))
        key = data.draw(st.sampled_from(keys))
        if isinstance(at[key], dict | list) and at[key] and data.draw(st.booleans()):
            at = at[key]
        elif isinstance(at, dict) and data.draw(st.booleans()):
            del at[key]
            return value
        else:
            at[key] = data.draw(ODD)
            return value


@PROPERTY
@given(st.data())
def test_a_damaged_result_is_shown_or_named(result: dict[str, Any], data: st.DataObject) -> None:
    said = ""
    try:
        shown = page(report_data(read_results([damaged(result, data)], "r.json")))
    except ConfigError as error:
        shown, said = "", str(error)
    assert shown.startswith("<!") or said.startswith("r.json: ")


@PROPERTY
@given(st.data())
def test_a_damaged_trace_is_shown_as_far_as_it_goes(lines: list[Any], data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(lines) - 1))
    changed = [*lines[:place], damaged(lines[place], data), *lines[place + 1 :]]
    found = recording([json.dumps(line).encode() for line in changed], "t.jsonl")
    assert len(found.calls) <= 3
    assert page(report_data(found)).startswith("<!")
