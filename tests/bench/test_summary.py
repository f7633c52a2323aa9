from __future__ import annotations

import json
import math
from typing import Any

import pytest
from rich.console import Console

from ctxshrink.bench.report import show
from ctxshrink.bench.run import Judged, Observation
from ctxshrink.bench.summary import summarize


def seen(set_name: str, method: str, scores: dict[str, float], *, keep: float = 0.5, **more: Any) -> Observation:
    given: dict[str, Any] = {
        "lang": "en",
        "tokens_before": 100,
        "tokens_after": 60,
        "free_before": 80,
        "free_after": 40,
        "over": 0,
        "broken": 0,
        "seconds": 0.5,
    }
    return Observation(set_name, method=method, keep=keep, scores=scores, **(given | more))


def hit(value: float) -> dict[str, float]:
    return {"score": value, "answers": value}


def test_means_weigh_sets_equally_and_languages_apart() -> None:
    rows = [
        *(seen("big", "ours", hit(1.0)) for _ in range(8)),
        *(seen("small", "ours", hit(x)) for x in (0.0, 0.5)),
        seen("german", "ours", hit(0.75), lang="de"),
    ]
    [method] = summarize(rows).methods
    assert method.english == pytest.approx((1.0 + 0.25) / 2)
    assert method.other == 0.75
    assert method.all_sets == pytest.approx((1.0 + 0.25 + 0.75) / 3)
    assert method.kept == 0.5
    assert method.tokens_per_second == 200
    assert method.records == 11
    assert math.isnan(method.evidence)


def test_gain_is_the_first_methods_lead_in_pairs() -> None:
    values = {"a": {"ours": (1.0, 0.0), "bm25": (0.5, 0.0)}, "z": {"ours": (1.0,), "bm25": (1.0,)}}
    rows = [seen(s, m, hit(x)) for s, by_method in values.items() for m, xs in by_method.items() for x in xs]
    first, second = summarize(rows).methods
    assert math.isnan(first.english_gain[0])
    assert second.english_gain[0] == 0.125
    assert second.english_gain[1:] == (0.0, 0.25)  # resampled pairs: both, one, or none of them the first record
    assert second.all_gain == second.english_gain


def test_evidence_sets_stay_out_of_the_means() -> None:
    rows = [
        seen("probed", "ours", {"score": 0.8, "probes": 0.8}),
        seen("told", "ours", {"score": 0.2, "evidence": 0.2}),
    ]
    [method] = summarize(rows).methods
    assert (method.all_sets, method.evidence) == (0.8, 0.2)


def test_records_of_one_set_may_be_scored_differently() -> None:
    rows = [seen("s", "ours", hit(1.0)), seen("s", "ours", {"score": 0.5, "facts": 0.5, "support": 0.1})]
    [row] = summarize(rows).sets
    assert row.scored_by == ("answers", "facts")
    assert row.score == 0.75
    assert row.scores == {"answers": 1.0, "facts": 0.5, "support": 0.1}


def test_violations_are_counted() -> None:
    rows = [
        seen("s", "ours", hit(1.0), over=3),
        seen("s", "ours", hit(1.0), over=1, broken=2),
        seen("s", "ours", hit(1.0)),
    ]
    [method] = summarize(rows).methods
    assert (method.over_budget, method.broken) == (2, 2)


def test_guardrail_account() -> None:
    def judged(risk: float, lost: bool | None, keep: float) -> Observation:
        record = Judged(risk, lost, ((risk, bool(lost)), (0.0, False)))
        actions = {"fallback": 1, "compressed": 1}
        return seen("s", "ours", hit(1.0), keep=keep, accepted=1, rejected=2, actions=actions, judged=record)

    rows = [judged(0.9, True, 0.5), judged(0.2, False, 0.5), judged(0.1, True, 0.1), judged(0.3, None, 0.1)]
    half, tenth, both = summarize([*rows, *(seen("s", "bm25", hit(1.0), keep=r.keep) for r in rows)]).guardrail
    assert (half.keep, half.calls, half.lost, half.auroc) == (0.5, 2, 1, 1.0)
    assert (tenth.calls, tenth.lost) == (1, 1)
    assert math.isnan(tenth.auroc)
    assert both.keep is None
    assert (both.accepted, both.rejected, both.fallback, both.forced) == (4, 8, 4, 0)
    assert (both.calls, both.lost, both.auroc) == (3, 2, 0.5)  # 0.9 and 0.1 against 0.2
    assert (both.segments, both.segments_lost) == (8, 2)


def test_lost_is_the_first_methods_share_of_each_others_loss() -> None:
    values = {"ours": 0.75, "bm25": 0.5, "lead": 0.25, "full": 1.0}
    ours, bm25, lead, full = summarize([seen("s", m, hit(x)) for m, x in values.items()]).methods
    assert math.isnan(ours.lost_ratio)
    assert (bm25.lost_ratio, lead.lost_ratio) == (0.5, pytest.approx(1 / 3))
    assert math.isnan(full.lost_ratio)


def test_failed_attempts_are_counted() -> None:
    [method] = summarize([seen("s", "ours", hit(1.0), failed=2), seen("s", "ours", hit(1.0))]).methods
    assert (method.failed, method.seconds_per_record) == (2, 0.5)


def test_tables_and_json_hold_every_row() -> None:
    rows = [
        seen(
            s,
            m,
            hit(x) | {"support": 0.25},
            keep=k,
            judged=Judged(x, x < 0.5, ()) if m == "ours" else None,
            over=m == "ours",
        )
        for s in ("alpha", "beta")
        for m, x in (("ours", 0.75 if s == "alpha" else 0.25), ("bm25", 0.5))
        for k in (0.5, 0.25)
    ]
    summary = summarize(rows)
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    show(summary, console)
    text = console.export_text()
    for word in (
        "keep 0.5",
        "keep 0.25",
        "alpha",
        "beta",
        "0.750",
        "support (ours)",
        "guardrail",
        "-0.250",
        "lost vs best baseline 1.00",
    ):
        assert word in text, word
    plain = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert len(plain["sets"]) == 8
    assert len(plain["methods"]) == 4
    assert plain["methods"][0]["other"] is None
    assert [(s["baseline"], s["ratio"]) for s in plain["standings"]] == [("bm25", 1.0)] * 2
    assert [s["difference"] for s in plain["set_standings"]] == [0.25, -0.25] * 2
