"""Values of a text, and what a fact may not invent."""

import pytest

from ctxshrink.distill import _values
from ctxshrink.distill._values import Values, occurs


def test_a_value_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a text and an answer made for it take the product of their lengths."""
    looked: list[str] = []
    monkeypatch.setattr(_values, "occurs", lambda value, text: looked.append(value) or occurs(value, text))
    values = Values("1" * 50 + " 1")
    assert values.invented("1 " * 200) is None
    assert values.invented("1 2 " * 200) == "'2'"
    assert looked == ["1", "2"]
