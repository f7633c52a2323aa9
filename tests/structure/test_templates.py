"""Templates of lines."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.structure._log_templates import Template, cost, mine, tokens

STAMP = "§T"


def mined(lines: list[str], verbatim: bool = False) -> list[tuple[Template, tuple[str, ...]] | None]:
    return mine([tokens(line) for line in lines], STAMP, [verbatim] * len(lines))


@given(st.text(max_size=200))
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(tokens(text)) == text


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.sampled_from(["get", "put", "/a/b", "17", "18", "(x)", "a@b.de", "§T", "of the order number"]), max_size=12
    )
)
def test_values_fill_the_gaps_of_their_template(words: list[str]) -> None:
    lines = [f"job {w} was answered by the server {i % 3} within {i} ms" for i, w in enumerate(words * 3)]
    for line, found in zip(lines, mined(lines), strict=True):
        if found is not None:
            template, values = found
            assert template.fill(values, STAMP) == line


def test_what_differs_is_a_gap_and_what_is_common_is_not() -> None:
    found = mined([f"user {name} logged in from the office network" for name in ("ann", "bob", "cy", "dee")])
    assert {f[0].parts for f in found if f is not None} == {("user ", " logged in from the office network")}
    assert [f[1] for f in found if f is not None] == [("ann",), ("bob",), ("cy",), ("dee",)]


def test_names_and_numbers_are_never_cut() -> None:
    hosts = ["10.0.0.7:4711", "10.0.9.8:4712", "10.1.0.9:4713", "11.0.0.1:4714"]
    found = mined([f"connection from {host} was closed by the remote peer" for host in hosts])
    assert [f[1] for f in found if f is not None] == [(host,) for host in hosts]
    macs = ["00:11:43:e3:ba:c3", "00:11:43:e3:ba:c4", "00:11:43:e3:ba:d5"]
    found = mined([f"address {mac} was given to a new network interface" for mac in macs])
    assert [f[1] for f in found if f is not None] == [(mac,) for mac in macs]


def test_lines_that_share_only_their_beginning_share_that() -> None:
    ends = ["resized", "is full and will not take any more", "says hello", "was closed (by the user)"]
    found = mined([f"web-1.example.org shop.payments.worker[811]: {end}" for end in ends])
    assert all(f is not None and f[0].tail for f in found)
    assert [f[1] for f in found if f is not None] == [(end,) for end in ends]


def test_failing_lines_are_templates_only_as_a_whole() -> None:
    same = "ValueError: the row number 7 of the table cannot be read at all"
    other = [same.replace("7", str(i)) for i in range(10, 14)]
    found = mined([same] * 5 + other, verbatim=True)
    assert all(f is not None and f[1] == () for f in found[:5])
    assert found[5:] == [None] * 4


def test_lines_as_short_as_their_reference_have_no_template() -> None:
    assert mined([f"step {i}" for i in range(20)]) == [None] * 20


def test_mining_does_not_depend_on_the_process() -> None:
    lines = [f"host-{i % 7} answered the request of client {i} with status {i % 5}" for i in range(100)]
    assert mined(lines) == mined(list(lines))


def test_costs_grow_with_the_text() -> None:
    assert cost("") == 0
    assert cost("a b") < cost("a b c d")
    assert cost("0123456789") > cost("01")
