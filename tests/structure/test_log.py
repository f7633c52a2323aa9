"""Logs: the short form comes back, what matters ranks first, and every omission shows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.structure.log import layout, unfold

STAMPS = ["2024-05-01 08:{:02d}:07", "2024-05-02 08:01:{:02d},123", "May  1 08:01:{:02d}"]
SHAPES = [
    *(stamp + " web-1 sshd[17]: Failed password for root from 10.0.0.{} port {}" for stamp in STAMPS),
    *(stamp + " web-1 app: GET /health answered {} in {} ms" for stamp in STAMPS),
    "test_case_{} (shop.tests.Cart{}) ... ok",
    '  File "/srv/shop/build/lib/cart/part{}.py", line {}, in run',
    *(
        "",
        "   ",
        "ValueError: bad row",
        "=====",
        "PASSED a/b.py::test_c",
        "§a 1",
        "§1=/x",
        "§×3",
        "[… 3 lines omitted]",
    ),
]
LINES = st.one_of(
    st.builds(lambda shape, n: shape.format(n % 60, n, n % 7), st.sampled_from(SHAPES), st.integers(0, 99_999)),
    st.text(max_size=20),
)
LOGS = st.lists(st.tuples(LINES, st.integers(1, 4)), max_size=25).map(
    lambda runs: "\n".join(line for line, n in runs for _ in range(n))
)
HOSTILE = st.text(alphabet=st.sampled_from("§¤aT=1:./ \t\n\r\x00\u2028\x85\ud800\x1b[×"), max_size=200)


def numbered(template: str, n: int) -> str:
    return "".join(template.format(i=i, j=(i * 7919) % 1000) + "\n" for i in range(n))


HEALTH = "2024-05-01 08:{i:02d}:07 web-1 app[811]: GET /health answered in {j} ms\n"


@settings(deadline=None, max_examples=60)
@given(LOGS)
def test_the_short_form_comes_back(text: str) -> None:
    made = layout(text)
    if made is not None:
        assert (unfold(made.text) if made.form else made.text) == text


@settings(deadline=None, max_examples=60)
@given(HOSTILE)
def test_hostile_text_comes_back(text: str) -> None:
    made = layout(text * 5)
    if made is not None:
        assert (unfold(made.text) if made.form else made.text) == text * 5


@settings(deadline=None, max_examples=60)
@given(LOGS, st.data())
def test_what_is_kept_is_in_order_and_every_omission_shows(text: str, data: st.DataObject) -> None:
    made = layout(text.replace("…", "").replace("omitted", ""))
    if made is None:
        return
    assert made.renderer is not None
    units = list(range(len(made.spans)))
    assert made.renderer(units, False) == made.text
    kept = sorted(data.draw(st.sets(st.sampled_from(units))))
    lines = [u for u in units if made.parents[u] != -1 or made.weights[u] > 0]
    out = made.renderer(kept, False)
    if made.form == "":
        at = 0
        for u in kept:
            at = out.index(made.text[slice(*made.spans[u])], at)
        assert ("omitted]" in out) == (len(kept) < len(units))
    elif set(lines) - set(kept):
        assert "omitted]" in out
    assert "…" in made.renderer(kept, True) or len(kept) == len(units) or not set(lines) - set(kept)


@settings(deadline=None, max_examples=60)
@given(LOGS)
def test_the_parts_of_a_layout_fit(text: str) -> None:
    made = layout(text)
    if made is None:
        assert not text.strip()
        return
    n = len(made.spans)
    assert len(made.parents) == len(made.weights) == len(made.groups) == n
    assert len(made.labels) in (0, n)
    assert all(-1 <= p < u for u, p in enumerate(made.parents))
    assert list(made.groups) == sorted(made.groups)
    assert all(w >= 0 for w in made.weights)
    ends = [0, *(e for _, e in made.spans)]
    assert all(before <= s < e for before, (s, e) in zip(ends, made.spans, strict=False))


def test_repeated_lines_are_shared_by_a_template() -> None:
    text = numbered(HEALTH.rstrip("\n"), 50)
    made = layout(text)
    assert made is not None
    assert made.text.count("GET /health") == 1
    assert len(made.text) < 0.4 * len(text)
    assert "by 1 templates" in made.form
    assert unfold(made.text) == text


def test_equal_lines_are_counted() -> None:
    text = "start of the job\n" + "still waiting for the lock of the database\n" * 30 + "done\n"
    made = layout(text)
    assert made is not None
    assert "still waiting for the lock of the database §×30" in made.text
    assert unfold(made.text) == text


def test_times_are_shortened_only_against_the_time_before_in_the_rendering() -> None:
    text = numbered(HEALTH.rstrip("\n"), 30)
    made = layout(text)
    assert made is not None
    assert made.renderer is not None
    last = len(made.spans) - 5
    out = made.renderer([last, last + 1, last + 2, last + 3, last + 4], False)
    restored = unfold(re.sub(r"\[… .*omitted\]\n?", "", out))
    assert restored.splitlines() == text.splitlines()[-5:]


def test_failing_lines_stay_verbatim() -> None:
    failing = [f"FAILED tests/test_cart.py::test_price[{i}] - assert {i} == 90" for i in range(20)]
    passing = [f"PASSED tests/test_cart.py::test_name[{i}]" for i in range(60)]
    made = layout("\n".join(passing + failing))
    assert made is not None
    assert made.form
    assert all(line in made.text.splitlines() for line in failing)


def test_a_rare_event_outweighs_a_frequent_one_and_a_failure_both() -> None:
    rare = "2024-05-01 08:59:59 web-1 app[811]: pool resized to 40 connections"
    failure = "ValueError: bad row 7"
    text = (
        numbered(HEALTH.rstrip("\n"), 59) + rare + "\n" + failure + "\n" + "2024-05-01 09:00:00 web-1 app[811]: end\n"
    )
    made = layout(text)
    assert made is not None
    worth = {made.text[s:e]: w for (s, e), w in zip(made.spans, made.weights, strict=True)}
    of_rare = next(w for t, w in worth.items() if "pool resized" in t)
    usual = sorted(made.weights)[len(made.weights) // 2]
    assert worth[failure] > of_rare > 5 * usual


def test_a_stack_trace_is_one_group() -> None:
    trace = [
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in <module>',
        "    main()",
        "ValueError: bad row",
    ]
    made = layout("\n".join(["start", *trace, "end"]))
    assert made is not None
    numbers = made.groups
    assert len(set(numbers[1:5])) == 1
    assert numbers[0] < numbers[1] == numbers[4] < numbers[5]


@pytest.mark.parametrize(
    ("text", "kept", "marker"),
    [
        (
            numbered("test_{i} (shop.Tests) ... ok", 9) + "Ran 9 tests",
            -1,
            "[… 9 lines of passed or started tests omitted]",
        ),
        (
            numbered("opening file number {i} of the batch", 9) + "done",
            -1,
            '[… 9 lines like "opening file number <n> of the batch" omitted]',
        ),
        ("first\nsecond\nthird\n\nlast", -1, "[… 3 lines omitted]"),
    ],
)
def test_markers_say_what_was_left_out(text: str, kept: int, marker: str) -> None:
    made = layout(text)
    assert made is not None
    assert made.renderer is not None
    assert marker in made.renderer([len(made.spans) + kept], False)


def test_a_progress_bar_is_worth_its_last_state() -> None:
    made = layout("\r".join(f"downloading {i}%" for i in range(0, 101, 5)) + "\nsaved to disk\n")
    assert made is not None
    assert made.form == ""
    assert made.weights[-2] > 5 * max(made.weights[1:-2])


@pytest.mark.parametrize("text", ["", "\n\n", "   \n\t\n"])
def test_nothing_to_lay_out(text: str) -> None:
    assert layout(text) is None


@pytest.mark.parametrize("text", ["plain\ntext", "", "[log, but no short form", "§a 1 2"])
def test_unfold_leaves_other_text_alone(text: str) -> None:
    assert unfold(text) == text


@pytest.mark.parametrize(
    "piece",
    ["a", " ", "/", "1:", "/a/b", "\n", "\r", "§", "(", "x=1 ", "12:00:00 ", "E", "\ud800", "::", "a\n", "at a.b(c)\n"],
)
def test_monotonous_text_of_any_size_is_laid_out(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    made = layout(text)
    if made is not None:
        assert (unfold(made.text) if made.form else made.text) == text
