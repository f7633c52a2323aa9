from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ctxshrink.errors import ConfigError
from ctxshrink.providers import RULES, CacheRules, cache_rules


@pytest.mark.parametrize("name", RULES)
def test_every_row_says_when_and_where_it_was_read(name: str) -> None:
    row = RULES[name]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", row.as_of)
    assert row.source
    assert name.startswith(row.provider)
    assert 0 < row.read < 1 <= row.write
    assert row.automatic or row.max_breakpoints


def test_rules_by_name_by_value_or_none() -> None:
    mine = replace(RULES["openai"], read=0.2)
    assert cache_rules("openai") is RULES["openai"]
    assert cache_rules(mine) is mine
    assert cache_rules(None) is None


@pytest.mark.parametrize("name", ["nobody", "", 3])
def test_an_unknown_provider_is_refused_with_the_known_ones(name: object) -> None:
    with pytest.raises(ConfigError, match="anthropic"):
        cache_rules(name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [{"write": -1.0}, {"read": float("nan")}, {"lifetime": 0}, {"min_prefix": -1}, {"step": 0}]
)
def test_impossible_rules_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        replace(RULES["anthropic"], **change)


def test_rules_of_ones_own_need_no_date() -> None:
    assert CacheRules("own", "all", 0, 1.0, 0.0, 60).as_of == ""
