from ctxshrink import ShrinkResult
from ctxshrink.types import Goal


def test_an_empty_result_divides_by_nothing() -> None:
    result = ShrinkResult("", (), 0, 0, "words", True, Goal())
    assert (result.saved, result.kept_share, result.risk, result.fallbacks) == (0, 1.0, 0.0, ())
    assert result.with_output(3).output == 3
