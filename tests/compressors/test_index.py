import numpy as np
import pytest

from ctxshrink.compressors._index import index
from ctxshrink.compressors.pruner import PrunerCompressor, ranking
from ctxshrink.errors import ModelError
from ctxshrink.testing import SAMPLES, call_for

PROSE = ["The canteen opens at noon. Soup is served first.", "The bridge was closed. Lorries take the ring road."]
ROWS = "[" + ", ".join(f'{{"city": "C{i}", "visitors": {i * 37}, "open": true}}' for i in range(12)) + "]"


def test_texts_without_a_layout_of_their_own_are_indexed_once() -> None:
    call = call_for(PROSE)
    laid = index(call)
    assert index(call, False) is laid
    assert index(call) is laid


def test_a_rendered_text_is_indexed_both_ways() -> None:
    call = call_for([*PROSE, ROWS], content_type="json")
    laid, plain = index(call), index(call, False)
    assert (laid.structured, plain.structured) == (True, False)
    assert laid.layouts[2].form
    assert plain.layouts[2].text == ROWS
    assert index(call, False) is plain


@pytest.mark.parametrize("structured", [True, False])
@pytest.mark.parametrize("query", [None, "Who serves soup?"])
def test_a_ranking_has_a_place_and_a_share_for_each_unit(query: str | None, structured: bool) -> None:
    for texts in (SAMPLES, PROSE, [ROWS], [""], []):
        call = call_for(texts, query)
        found, size = ranking(call, structured), index(call, structured).size
        assert found.shares.shape == found.key.shape == (size,)
        assert np.isfinite(found.shares).all()
        assert np.isfinite(found.key).all()
        assert ((found.shares >= 0) & (found.shares <= 1 + 1e-9)).all()
        assert ranking(call, structured) is found
        again = ranking(call_for(texts, query), structured)
        assert np.array_equal(again.shares, found.shares)
        assert np.array_equal(again.key, found.key)


def test_the_ranking_is_that_of_the_pruner_that_ranked() -> None:
    call = call_for(PROSE, "Who serves soup?")
    key = PrunerCompressor().key(index(call), call)
    assert np.array_equal(ranking(call).key, key)


def test_without_a_model_words_rank(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(self: object, *_: object) -> None:
        raise ModelError("no weights")

    monkeypatch.setattr(PrunerCompressor, "key", broken)
    found = ranking(call_for(PROSE, "Who serves soup?"))
    assert int(np.argmax(found.shares)) == 1
    assert "relevance by words alone: no weights" in caplog.text
    assert "canteen" not in caplog.text
