from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ctxshrink.economics import PRICES, Economics, Prices, load_prices, prices_of
from ctxshrink.errors import ConfigError
from ctxshrink.providers import RULES


def test_rows_say_when_they_were_read_and_how_their_model_caches() -> None:
    for name, row in PRICES.items():
        assert row.as_of, name
        assert row.source, name
        rules = RULES[row.provider]
        assert (row.cache_write, row.cache_read) == pytest.approx((rules.write * row.input, rules.read * row.input))


def test_a_mapping_comes_before_the_built_in_table() -> None:
    mine = Prices(1.0, 2.0, 1.0, 0.1)
    assert prices_of("gpt-5", {"gpt-5": mine}) is mine
    assert prices_of("own", {"own": {"input": 2.0}}) == Prices(2.0, 0.0, 2.0, 2.0)
    assert prices_of("gpt-5", {"own": mine}) is PRICES["gpt-5"]
    derived = prices_of("own", {"own": {"input": 2.0, "output": 9.0, "provider": "anthropic"}})
    assert derived == Prices(2.0, 9.0, 2.5, 0.2, provider="anthropic")


@pytest.mark.parametrize("name", RULES)
def test_prices_made_of_a_providers_rules_are_cached_by_them(name: str) -> None:
    made = Prices.of(RULES[name], 3.0, 15.0)
    assert made.provider == name
    assert Economics(prices=made).cache == RULES[name]


def test_rules_of_the_callers_own_have_no_name() -> None:
    own = replace(RULES["anthropic"], min_prefix=100)
    made = Prices.of(own, 3.0, 15.0)
    assert made.provider == ""
    assert Economics(prices=made).cache is None
    assert Economics(prices=made, rules=own).cache == own


def test_tables_in_files(tmp_path: Path) -> None:
    toml = tmp_path / "prices.toml"
    toml.write_text('["my-model.2"]\ninput = 4\noutput = 8.5\ncache_read = 0.4\nas_of = 2026-11-01\n')
    row = prices_of("my-model.2", toml)
    assert row == Prices(4, 8.5, 4.0, 0.4, "2026-11-01")
    js = tmp_path / "prices.json"
    js.write_text(json.dumps({"m": {"input": 1, "output": 2}}))
    assert load_prices(str(js)) == {"m": Prices(1, 2, 1.0, 1.0)}


def test_a_model_that_no_table_has_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"'gpt-5\.5'; did you mean 'gpt-5\.4'\?.*prices=Prices.*table") as caught:
        prices_of("gpt-5.5")
    assert "claude-sonnet-4.6" in str(caught.value)
    with pytest.raises(ConfigError, match=r"'zzz'\. Give prices"):
        prices_of("zzz")
    with pytest.raises(ConfigError, match="name of a model"):
        prices_of("")


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"output": 1.0}, "no input price"),
        ({"input": -1}, "input"),
        ({"input": float("nan")}, "input"),
        ({"input": "3"}, "input"),
        ({"input": 1, "output": float("inf")}, "output"),
        ({"input": 1, "cache_read": None}, "cache_read"),
        ({"input": 1, "provider": "nobody"}, "provider"),
        ({"input": 1, "in": 3}, "'in'"),
        ([1, 2], "must hold prices"),
    ],
)
def test_wrong_rows_are_named(row: Any, match: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        load_prices({"my model": row})
    assert "'my model'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("p.yaml", "", "toml or .json"),
        ("p.toml", "=", "TOML"),
        ("p.json", "{", "JSON"),
        ("p.json", "[" * 100_000, "JSON"),
        ("p.json", "[]", "one row per model"),
    ],
)
def test_wrong_files_are_named(name: str, text: str, match: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=match):
        load_prices(tmp_path / name)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_prices(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="mapping"):
        load_prices(3)  # type: ignore[arg-type]


def test_a_price_beyond_every_float(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text('{"m": {"input": 1' + "0" * 400 + "}}")
    with pytest.raises(ConfigError, match="the row of 'm': input must be a number"):
        load_prices(file)
