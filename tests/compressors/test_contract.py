"""One suite for all compressors: verbatim, in order, visible omissions, budget met, never larger, repeatable."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.compressors import get_compressor
from ctxshrink.text import content_type, protected_spans
from ctxshrink.types import Call, Candidate, Compressor, Job, Kind, Ranker, Segment
from tests.strategies import ODD

NAMES = (
    "pruner",
    "extractive",
    "bm25",
    "lead",
    "random",
    "truncate",
)


class Words:
    """Counts words and marks."""

    name = "words"
    exact = False

    def count(self, texts: Sequence[str], /) -> list[int]:
        return [len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]


COUNTER = Words()
MARKER = re.compile(r"\[…[^\]\n]*\]|…\d*")


def make_call(segments: Sequence[Segment], query: str | None = None) -> Call:
    counts = COUNTER.count([s.text for s in segments])
    return Call(tuple(segments), dict(zip((s.id for s in segments), counts, strict=True)), COUNTER, query=query)


def make_segment(number: int, text: str, kind: Kind = "document") -> Segment:
    return Segment(str(number), text, kind, content_type=content_type(text), empty="" if kind == "document" else "…")


def job(call: Call, segment: Segment, keep: float) -> Job:
    return Job(segment, keep, int(keep * call.tokens[segment.id]))


PROSE = (
    "The harbour office opened in 1931. Its first director was Ann Lindt, who kept a diary. The diary is lost. "
    "Payments are due on 3 May 2024 and must never exceed $4,500.00. See https://port.example/a?b=1 for details. "
    "Boats over 12 m need permit INV-2291. Visitors like the small café. It sells cake."
)
LOG = "\n".join(
    [f"2024-05-03 10:00:{i:02d} INFO worker {i} did step {i * 7}" for i in range(30)]
    + ["2024-05-03 10:01:00 ERROR disk /dev/sda1 is full", "2024-05-03 10:01:01 INFO done"]
)
RECORDS = json.dumps(
    {"user": {"id": "u-77", "tags": ["a", "b"]}, "rows": [{"n": i, "town": f"T{i}"} for i in range(40)]}
)
CHINESE = "港口办公室于1931年成立。第一任主任是林安。她写日记。日记已经丢失。费用必须在2024年5月3日之前支付。"
TABLE = "| name | age |\n|---|---|\n" + "\n".join(f"| P{i} | {20 + i} |" for i in range(20))


def samples() -> list[Segment]:
    return [
        make_segment(0, PROSE),
        make_segment(1, LOG, "tool_result"),
        make_segment(2, RECORDS, "tool_result"),
        make_segment(3, CHINESE),
        make_segment(4, TABLE),
        make_segment(5, PROSE.replace("harbour", "airport"), "user"),
    ]


def check(candidate: Candidate, segment: Segment) -> None:
    """Spans are ranges of the source in order, and the text is made of them and nothing else but markers.

    A source with a renderer of its own (a table, say) may say a span's surroundings in another way, its words not.
    """
    assert candidate.error is None
    assert candidate.spans is not None
    if candidate.source is not None:
        said = set(re.findall(r"\w+", candidate.source))
        assert set(re.findall(r"\w+", MARKER.sub(" ", candidate.text))) <= said
        assert [s for s, _ in candidate.spans] == sorted(s for s, _ in candidate.spans)
        return
    end = 0
    position = 0
    for s, e in candidate.spans:
        assert end <= s < e <= len(segment.text) or segment.text == ""
        found = candidate.text.find(segment.text[s:e], position)
        assert found >= 0
        between = candidate.text[position:found]
        assert re.fullmatch(r"\s*(?:…|\[… \d+ [a-z]+ omitted\])?\s*", between), between
        position = found + (e - s)
        end = e
    rest = candidate.text[position:]
    assert re.fullmatch(r"\s*(?:…|\[… \d+ [a-z]+ omitted\])?\s*", rest), rest


def check_batch(compressor: Compressor, segments: Sequence[Segment], keep: float, query: str | None) -> list[Candidate]:
    call = make_call(segments, query)
    jobs = [job(call, s, keep) for s in segments]
    out = list(compressor.compress(jobs, call))
    assert len(out) == len(jobs)
    sizes = COUNTER.count([c.text for c in out])
    floor = sum(COUNTER.count([s.empty for s in segments]))
    assert sum(sizes) <= max(sum(j.max_tokens for j in jobs), floor)
    for candidate, segment, size in zip(out, segments, sizes, strict=True):
        assert size <= call.tokens[segment.id]
        check(candidate, segment)
    return out


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.33, 0.5, 0.9])
@pytest.mark.parametrize("query", [None, "Which disk is full, and when are payments due?"])
def test_contract(name: str, keep: float, query: str | None) -> None:
    compressor = get_compressor(name)
    out = check_batch(compressor, samples(), keep, query)
    assert out == check_batch(get_compressor(name), samples(), keep, query)
    if keep == 0.0:
        assert [c.text for c in out] == [s.empty for s in samples()]
    if keep >= 0.33:
        assert any(c.text not in ("", "…") for c in out)


@pytest.mark.parametrize("name", NAMES)
def test_budget_is_used(name: str) -> None:
    call = make_call(samples(), "director")
    jobs = [job(call, s, 0.5) for s in call.segments]
    used = sum(COUNTER.count([c.text for c in get_compressor(name).compress(jobs, call)]))
    assert used >= 0.85 * sum(j.max_tokens for j in jobs)


@pytest.mark.parametrize("name", NAMES)
def test_protected_spans_are_never_cut(name: str) -> None:
    for segment in samples():
        for keep in (0.2, 0.5, 0.8):
            call = make_call([segment], "permit")
            (candidate,) = get_compressor(name).compress([job(call, segment, keep)], call)
            assert candidate.spans is not None
            if candidate.source is not None:
                continue  # its units are values, whose own protected spans tests/structure looks at
            cuts = {edge for span in candidate.spans for edge in span}
            assert not [1 for s, e in protected_spans(segment.text) for cut in cuts if s < cut < e]


@pytest.mark.parametrize("name", NAMES)
def test_omissions_are_visible_in_tool_output_and_messages(name: str) -> None:
    segments = samples()
    for candidate, segment in zip(check_batch(get_compressor(name), segments, 0.5, "step"), segments, strict=True):
        if candidate.text not in ("", segment.text, candidate.source) and segment.id in ("1", "2", "4", "5"):
            assert "…" in candidate.text


@pytest.mark.parametrize("name", NAMES)
def test_relevance_is_a_share_and_is_reproduced(name: str) -> None:
    compressor = get_compressor(name)
    assert isinstance(compressor, Ranker)
    segments = [make_segment(i, PROSE.replace("1931", str(1931 + i))) for i in range(4)] + [make_segment(9, CHINESE)]
    call = make_call(segments, "Who was the first director of 1932?")
    shares = compressor.relevance(segments, 0.3, call)
    total = sum(call.tokens.values())
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert sum(share * call.tokens[s.id] for share, s in zip(shares, segments, strict=True)) <= 0.3 * total + 1
    jobs = [Job(s, x, round(x * call.tokens[s.id])) for x, s in zip(shares, segments, strict=True) if x > 0]
    for candidate, j in zip(compressor.compress(jobs, call), jobs, strict=True):
        assert abs(COUNTER.count([candidate.text])[0] - j.max_tokens) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_a_retry_of_one_segment_repeats_itself(name: str) -> None:
    """The rank of a unit comes from the call: what a job keeps alone, it keeps in a batch that trades tokens too."""
    compressor = get_compressor(name)
    call = make_call(samples(), "director")
    jobs = [job(call, s, 0.4) for s in call.segments]
    assert list(compressor.compress(jobs, call)) == list(compressor.compress(jobs, make_call(samples(), "director")))
    for one in jobs:
        alone = compressor.compress([one], call)
        compressor.compress(jobs, call)
        assert compressor.compress([one], make_call(samples(), "director")) == alone


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", [*ODD, "a" * 200_000, ". " * 3000, "x " * 20_000], ids=lambda t: ascii(t[:12]))
def test_odd_texts(name: str, text: str) -> None:
    for kind in ("document", "user", "tool_result"):
        check_batch(
            get_compressor(name), [make_segment(0, text, kind), make_segment(1, PROSE)], 0.5, "a query that is longer"
        )
        check_batch(get_compressor(name), [make_segment(0, text, kind)], 0.5, None)


@pytest.mark.parametrize("name", NAMES)
def test_no_jobs(name: str) -> None:
    call = make_call([])
    compressor = get_compressor(name)
    assert list(compressor.compress([], call)) == []
    assert isinstance(compressor, Ranker)
    assert list(compressor.relevance([], 0.5, call)) == []


TEXTS = st.lists(
    st.sampled_from(
        [
            "Ann paid $4.50. ",
            "It rained. ",
            "\n",
            "- item\n",
            '{"a": 1}, ',
            "ERROR x=1\n",
            "| a | b |\n",
            "他来了。",
            "```\n",
            "\x00",
            "…",
            "[… 3 lines omitted]",
        ]
    ),
    max_size=25,
).map("".join)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(TEXTS, st.sampled_from(["document", "user", "tool_result"])), min_size=1, max_size=5),
    st.floats(0, 0.99),
    st.sampled_from([None, "", "Who paid $4.50?", "他"]),
    st.sampled_from(NAMES),
)
def test_any_batch(parts: list[tuple[str, Kind]], keep: float, query: str | None, name: str) -> None:
    segments = [make_segment(i, text, kind) for i, (text, kind) in enumerate(parts)]
    call = make_call(segments, query)
    jobs = [job(call, s, keep) for s in segments]
    out = get_compressor(name).compress(jobs, call)
    sizes = COUNTER.count([c.text for c in out])
    assert sum(sizes) <= max(sum(j.max_tokens for j in jobs), sum(COUNTER.count([s.empty for s in segments])))
    for candidate, segment, size in zip(out, segments, sizes, strict=True):
        assert size <= call.tokens[segment.id]
        assert candidate.spans is not None
        assert all(segment.text[s:e] in candidate.text for s, e in candidate.spans)
