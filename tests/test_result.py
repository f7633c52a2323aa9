import pytest

from ctxshrink import KeepFacts, Shrinker, ShrinkResult
from ctxshrink.types import Goal

DOCS = ["The canal freezes in January. <script>alert(1)</script> Skaters come. The lock keeper sells soup. It is good."]


def test_an_empty_result_divides_by_nothing() -> None:
    result = ShrinkResult("", (), 0, 0, "words", True, Goal())
    assert (result.saved, result.kept_share, result.risk, result.fallbacks) == (0, 1.0, 0.0, ())
    assert result.with_output(3).output == 3
    assert "<section" in result._repr_html_()
    assert result.to_html().lower().startswith("<!doctype html>")


@pytest.fixture(scope="module")
def result() -> ShrinkResult[list[str]]:
    return Shrinker(compressors=["extractive"], guardrail=KeepFacts()).shrink_documents(DOCS, "Who sells?", keep=0.6)


def test_as_html(result: ShrinkResult[list[str]]) -> None:
    page, part = result.to_html(title="Canal"), result._repr_html_()
    assert "<title>Canal</title>" in page
    assert page == result.to_html(title="Canal")
    assert "<script>alert" not in page + part
    assert "<script" not in part
    assert "The lock keeper sells soup" in part
    assert len(part) < len(page)


def test_heat_is_read_where_asked(result: ShrinkResult[list[str]]) -> None:
    assert '"heats":[]' in result.to_html()
    assert '"heats":[[[' in result.to_html(heat=True)


def test_texts_are_only_written_where_asked(result: ShrinkResult[list[str]]) -> None:
    plain, full = result.to_dict(), result.to_dict(text=True)
    assert "canal" not in str(plain)
    assert "Who sells" not in str(plain)
    [decision] = full["decisions"]
    assert (decision["before"], decision["after"]) == (DOCS[0], result.output[0])
    assert plain["goal"] == {"keep": 0.6, "max_tokens": None, "lossless": False}
