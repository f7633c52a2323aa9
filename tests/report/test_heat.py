"""Heat covers a text, token by token, within a bound."""

import pytest

from ctxshrink.report.heat import LEVELS, heats
from ctxshrink.report.model import report_data
from ctxshrink.scorers import EmbeddedScorer
from tests.report.traffic import CHUNKS, HOSTILE, shrinker

SENTENCE = "The gate is shut. "
REPEATED = SENTENCE * 6 + "The gate is zebra. "


def tiles(heat: list[list[int]], text: str) -> bool:
    starts, ends = [a for a, _, _ in heat], [b for _, b, _ in heat]
    return starts == [0, *ends[:-1]] and ends[-1] == len(text) and all(0 <= level < LEVELS for *_, level in heat)


@pytest.mark.parametrize("text", [*CHUNKS, *HOSTILE], ids=range(len(CHUNKS) + len(HOSTILE)))
def test_tokens_tile_the_text(text: str) -> None:
    [heat] = heats([text]).found
    assert heat is not None
    assert tiles(heat, text)


def test_what_surprises_is_hotter() -> None:
    [heat] = heats([REPEATED]).found
    assert heat is not None
    known, new = len(SENTENCE) * 5, len(SENTENCE) * 6
    assert max(v for a, _, v in heat if a >= new) > max(v for a, b, v in heat if known <= a and b <= new)


def test_work_is_bounded() -> None:
    texts = [CHUNKS[0], CHUNKS[1], "", "The last."]
    sizes = [len(spans) for spans in EmbeddedScorer().token_spans(texts)]
    done: list[float] = []
    found = heats(texts, most=20, progress=done.append)  # five for each text
    assert (found.read, found.cut) == (5 + 5 + sizes[3], 2)
    first, second, empty, last = (len(heat or ()) for heat in found.found)
    assert (first, second, empty, last) == (5, 5, 0, sizes[3])
    assert done[-1] == 1.0
    many = heats([f"Text {i}." for i in range(40)], most=30)
    assert many.read <= 30
    assert many.cut == sum(heat is None or heat[-1][1] < len(f"Text {i}.") for i, heat in enumerate(many.found))
    assert heats(texts).cut == 0
    assert heats([]).found == []


def test_a_report_reads_changed_texts_first() -> None:
    result = shrinker().shrink_documents(["Short.", *CHUNKS], keep=0.5)
    whole = report_data(result, heat=True)
    assert [s["heat"] is None for s in whole["segments"]] == [False] * 3
    for segment in whole["segments"]:
        basis = segment["in"] if segment["source"] is None else segment["source"]
        assert tiles(whole["heats"][segment["heat"]], whole["texts"][basis])
    assert "embedded" in whole["heat_by"] or "surprisal" in whole["heat_by"]
    part = report_data(result, heat=True, heat_tokens=2)
    changed = [s["in"] != s["out"] for s in part["segments"]]
    assert not all(changed)
    assert [s["heat"] is not None for s in part["segments"]] == changed
    assert any("without it, or in part" in note for note in part["savings"]["notes"])
