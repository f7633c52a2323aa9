from __future__ import annotations

import io
import json

from rich.console import Console

from ctxshrink.pipeline import Figures, Report, Skipped
from ctxshrink.pipeline.report import NAMED, show


def shown(report: Report) -> str:
    out = io.StringIO()
    show(report, Console(file=out, width=120, highlight=False))
    return out.getvalue()


def report(figures: Figures, **others) -> Report:
    return Report(figures, "facts", "f" * 32, "words", 2.0, **others)


def test_a_table_says_what_happened() -> None:
    figures = Figures(
        documents=1200,
        bytes=3_400_000,
        skipped={"empty": 2, "binary data": 3},
        unchanged=100,
        duplicates=7,
        distilled=1090,
        fallen_back=9,
        unfinished=4,
        failed=3,
        methods={"facts": 1081, "extractive": 9},
        tokens_before=1000,
        tokens_after=250,
        calls=1100,
        input_tokens=5000,
        output_tokens=600,
        problems=(Skipped("a[b].txt", "empty"), Skipped("c.txt", "failed", "ValueError: no")),
    )
    text = shown(report(figures, stopped="interrupted"))
    for part in (
        "3.4 MB; 2.0 s, 600.0 documents/s",
        "binary data: 3, empty: 2",
        "extractive: 9, facts: 1,081",
        "25% of 1,000, counted by words",
        "5,000 tokens in, 600 out at most",
        "a[b].txt: empty",
        "c.txt: failed (ValueError: no)",
        "… and 6 more",
        "stopped: interrupted",
        "made by another method, or kept whole",
    ):
        assert part in text, part


def test_a_plan_says_what_there_is_to_do() -> None:
    text = shown(report(Figures(documents=5, pending=3, pending_bytes=8_000_000, unchanged=2), planned=True))
    assert "8.0 MB, about 2,000,000 tokens; nothing was written" in text
    assert "failed" not in text


def test_nothing_is_no_division_by_zero() -> None:
    empty = Report(Figures(), "facts", "f" * 32, "words", 0.0)
    assert empty.documents_per_second == 0.0
    assert "0" in shown(empty)


def test_it_is_json_whatever_names_hold() -> None:
    figures = Figures(problems=(Skipped("a\ud800\x1b[31m", "failed", "line\none"),))
    found = json.loads(json.dumps(report(figures).to_dict(), ensure_ascii=False).encode())
    assert found["problems"] == [{"uri": "a\\ud800\\x1b[31m", "reason": "failed", "detail": "line\\none"}]
    assert "\x1b" not in shown(report(figures))
    assert found["documents"] == 0
    assert found["distiller"] == "facts"


def test_the_number_of_problems_that_are_named_is_bounded() -> None:
    part = Figures.read([Skipped(str(i), "empty") for i in range(600)])
    both = part + part
    assert len(both.problems) == NAMED
    assert both.skipped == {"empty": 1200}
