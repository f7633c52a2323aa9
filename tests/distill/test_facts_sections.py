"""Long texts in sections."""

from __future__ import annotations

import re

from ctxshrink.distill import Limits, Source
from ctxshrink.distill.llms import OpenAIEndpoint
from tests.distill.chat import document, listed, model, said
from tests.distill.harbour import distilled, facts_of
from tests.scorers.loopback import Answer, Request


def many(count: int) -> str:
    return "\n\n".join(
        f"# Depot {i}\n\nDepot {i} holds {100 + i} crates of {9000 + i}. It is a wide hall near the river. "
        f"The keys of depot {i} are with Warden{i:02d} until {10 + i % 10}:30. The gate of depot {i} never opens early."
        for i in range(count)
    )


def depots(request: Request) -> Answer:
    text = document(request)
    found = [
        f"Depot {i}: {n} crates of {m}." for i, n, m in re.findall(r"Depot (\d+) holds (\d+) crates of (\d+)", text)
    ]
    found += [
        f"Keys of depot {i}: {w} until {t}."
        for i, w, t in re.findall(r"depot (\d+) are with (\w+) until ([\d:]+\d)", text)
    ]
    found += [f"Gate of depot {i}: never opens early." for i in re.findall(r"gate of depot (\d+) never", text)]
    return said(listed(found))


def test_long_texts_go_in_sections_and_no_fact_is_lost_or_told_twice() -> None:
    text = many(40)
    made, asked = distilled(depots, text, section_tokens=300, overlap_tokens=60)
    assert asked > 5
    assert made.method == "facts"
    lines = made.text.splitlines()
    assert len(lines) == len(set(lines)) == 120
    assert made.scores["sections"] == asked
    assert [line for line in lines if "crates" in line] == [
        f"Depot {i}: {100 + i} crates of {9000 + i}." for i in range(40)
    ]


def test_a_section_that_fails_stands_alone() -> None:
    def reply(request: Request) -> Answer:
        return said("no") if "Depot 17 holds" in document(request) else depots(request)

    made, _ = distilled(reply, many(40), section_tokens=300, overlap_tokens=0)
    assert made.method == "facts"
    assert made.final
    assert made.scores["sections_failed"] == 1
    assert "Depot 3: 103 crates of 9003." in made.text
    assert "1 sections stand as extracts" in made.reason


def test_order_and_content_do_not_depend_on_threads() -> None:
    sources = [Source(many(n)) for n in (3, 30, 1, 12)]
    with model(depots) as (url, _):
        made = [
            facts_of(OpenAIEndpoint(url, "m"), limits=Limits(concurrency=n), section_tokens=300).distill(sources)
            for n in (1, 8)
        ]
    assert made[0] == made[1]
