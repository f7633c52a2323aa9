import itertools

import pytest
from hypothesis import given

from ctxshrink.facts import fact_spans, facts
from tests.strategies import PROPERTY, texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Invoice INV-2291 is due on 2024-05-13.", {("id", "inv-2291"), ("date", "2024-05-13")}),
        ("They asked John Smith about Acme Corp.", {("name", "john smith"), ("name", "acme corp")}),
        ("It cost $1,234.50, or 12 % more.", {("number", "$1234.50"), ("number", "12 %")}),
        ("See src/app/main.py at 14:30.", {("id", "src/app/main.py"), ("date", "14:30")}),
        ("It does not work", {("negation", "not")}),
        ("2022年12月同比上涨6.5%", {("date", "2022年12月"), ("number", "6.5%")}),
        ("票价200元，不含早餐", {("number", "200"), ("negation", "不")}),
        ("Das geht nicht ohne 3 Zeugen", {("negation", "nicht"), ("negation", "ohne"), ("number", "3")}),
        ("The words and nothing of them", set()),
    ],
)
def test_finds(text: str, expected: set[tuple[str, str]]) -> None:
    assert facts(text) >= expected
    if not expected:
        assert not facts(text)


def test_separators_and_case_do_not_matter() -> None:
    assert facts("INV-9 12,500") == facts("inv-9 12500")


def test_kinds_narrow_the_search() -> None:
    assert facts("INV-2291 on 2024-05-13, not 7", frozenset({"number"})) == {("number", "7")}


@PROPERTY
@given(texts())
def test_any_text_has_facts_or_none_and_never_fails(text: str) -> None:
    assert all(value for _, value in facts(text))


@pytest.mark.parametrize("piece", ["a", "1", ".", "A ", "a1-", "1,", "(", " ", "$1", "-", "/", "年", "不"])
def test_a_long_run_of_anything_ends(piece: str) -> None:
    assert len(facts(piece * 50_000)) < 100_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Invoice INV-2291 is due on 2024-05-13, not later.", ["INV-2291", "2024-05-13"]),
        ("On 2 days Ada Holm paid $1,234.50.", ["2", "Ada Holm", "$1,234.50."]),
        ("It does not work", []),
        ("", []),
    ],
)
def test_spans_say_where_they_stand(text: str, expected: list[str]) -> None:
    assert [text[a:b].rstrip(".") for a, b in fact_spans(text)] == [e.rstrip(".") for e in expected]


@PROPERTY
@given(texts())
def test_spans_are_in_order_and_of_the_facts(text: str) -> None:
    spans = fact_spans(text)
    assert all(0 <= a < b <= len(text) for a, b in spans)
    assert all(b <= c for (_, b), (c, _) in itertools.pairwise(spans))
    assert len({value for kind, value in facts(text) if kind != "negation"}) <= len(spans)
