from __future__ import annotations

import xml.etree.ElementTree as ET

from ctxshrink.bench.plots import GROUPS, quality_plot, speed_plot, time_plot
from ctxshrink.bench.run import Observation
from ctxshrink.bench.summary import summarize

SVG = "{http://www.w3.org/2000/svg}"


def seen(method: str, keep: float, score: float, size: int) -> Observation:
    scores = {"score": score, "answers": score}
    return Observation("s", "en", method, keep, scores, size, size // 2, size, int(size * keep), 0, 0, size / 1000)


def test_pictures_of_quality_and_time() -> None:
    rows = [
        seen(method, keep, score, 100 * (i + 1))
        for i in range(9)
        for method, score in (("ours", 1.0), ("bm25", 0.5))
        for keep in (0.5, 0.25)
    ]
    root = ET.fromstring(quality_plot("rag", summarize(rows)))
    assert "ours: 100 % at 25 %, 100 % at 50 %; bm25: 50 % at 25 %, 50 % at 50 %" in (root[1].text or "")
    assert any("9 records of 1 set" in (e.text or "") for e in root.iter(f"{SVG}text"))
    root = ET.fromstring(time_plot("rag", rows, beside=True))
    said = (root[1].text or "").partition("ours: ")[2].partition(";")[0]
    assert said.count(" at ") == min(GROUPS, 9) - 1  # groups of three: medians of 100 to 300, 400 to 600, 700 to 900
    assert said.startswith("0.2 at 200")
    assert any("they say little" in (e.text or "") for e in root.iter(f"{SVG}text"))


def test_picture_of_speed() -> None:
    timings = [
        {"shape": "chunks", "guardrail": guardrail, "tokens": tokens, "kept": 0.5, "seconds": tokens / 1000}
        for guardrail in (False, True)
        for tokens in (1000, 10_000)
    ]
    root = ET.fromstring(speed_plot(timings))
    assert "chunks, checked: 1 at 1k, 10 at 10k" in (root[1].text or "")
