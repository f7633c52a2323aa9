"""What a `Shrinker` is made of: the parts that cost, measure and watch."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from ctxshrink import ConfigError, PerplexityGuardrail, Shrinker
from ctxshrink.drift import DriftMonitor, Expected
from ctxshrink.economics import Economics
from ctxshrink.guardrails import Adjustment
from ctxshrink.policyfile import AdjustmentSettings, GuardrailSettings, PolicySettings, Settings, write_policy_file
from ctxshrink.testing import ScriptedGuardrail, WordCounter

DOCS = [
    "The canteen opens at noon. Soup is served first. The cook is called Irma.",
    "The bridge was closed on 3 May. Lorries take the ring road. Cyclists may pass.",
]


class Hook:
    """Notes the calls that are run through it."""

    def __init__(self) -> None:
        self.results: list[Any] = []

    def call(self, work: Any, engine: Any, /) -> Any:
        self.results.append(work())
        return self.results[-1]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"economics": "cheap"}, r"economics must be None or Economics"),
        ({"economics": Economics}, r"economics must be None or Economics"),
        ({"telemetry": "on"}, r"telemetry must be None or have a call method"),
        ({"monitor": 0.9}, r"monitor must be None or have an observe method"),
        ({"store": {}}, r"store must be None or have save and load"),
        ({"guardrail": "perplexed"}, r"guardrail must be"),
    ],
)
def test_wrong_parts_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Shrinker(**settings)


def test_calls_are_run_through_the_telemetry() -> None:
    hook = Hook()
    shrinker = Shrinker(guardrail=None, counter=WordCounter(), telemetry=hook)
    result = shrinker.shrink_documents(DOCS, "Who cooks?", keep=0.4)
    [seen] = hook.results
    assert seen.decisions == result.decisions


def test_what_does_not_pay_is_left_alone() -> None:
    economics = Economics(minimum_tokens=10_000)
    shrinker = Shrinker(guardrail=None, counter=WordCounter(), economics=economics)
    assert shrinker.economics is economics
    assert "economics=Economics(" in repr(shrinker)
    result = shrinker.shrink_documents(DOCS, "Who cooks?", keep=0.4)
    assert result.output == DOCS
    assert {d.action for d in result.decisions} == {"kept"}


def test_the_monitor_warns_where_the_guardrail_accepts_less_than_it_did() -> None:
    monitor = DriftMonitor({"query": Expected((0.4,), (0.99,), 10_000)}, window=10)
    rejecting = ScriptedGuardrail([False] * 1000)
    shrinker = Shrinker(guardrail=rejecting, counter=WordCounter(), monitor=monitor)
    warnings = [w for _ in range(12) for w in shrinker.shrink_documents(DOCS, "Who cooks?", keep=0.4).warnings]
    told = [w for w in warnings if "calibrat" in w]
    assert len(told) == 1


def test_a_policy_file_makes_the_same_shrinker_as_its_settings(tmp_path: Path) -> None:
    file = tmp_path / "ctxshrink.toml"
    adjusted = AdjustmentSettings(0.9, -0.25, 0.15)
    write_policy_file(file, Settings(PolicySettings(keep=0.3), GuardrailSettings(0.01, query=adjusted)))
    hook = Hook()
    shrinker = Shrinker.from_file(file, counter=WordCounter(), telemetry=hook, compressors=["extractive"])
    assert "max_miss_rate=0.01" in repr(shrinker)
    made = PerplexityGuardrail(max_miss_rate=0.01, adjustments={"query": Adjustment(0.9, -0.25, 0.15)})
    plain = Shrinker(policy=shrinker.policy, guardrail=made, counter=WordCounter(), compressors=["extractive"])
    for chosen in (str(file), file):
        again = Shrinker.from_file(chosen, counter=WordCounter(), compressors=["extractive"])
        assert repr(again) == repr(shrinker)
    result = shrinker.shrink_documents(DOCS, "Who cooks?")
    assert result.goal.keep == 0.3
    assert result.output == plain.shrink_documents(DOCS, "Who cooks?").output
    assert len(hook.results) == 1


def test_a_policy_file_that_is_missing_or_newer_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        Shrinker.from_file(tmp_path / "none.toml")
    newer = tmp_path / "ctxshrink.toml"
    newer.write_text("version = 99\n")
    with pytest.raises(ConfigError, match="99"):
        Shrinker.from_file(newer)


def test_from_file_takes_every_setting_that_the_file_does_not_hold() -> None:
    own = set(inspect.signature(Shrinker.from_file).parameters) - {"path"}
    assert own == set(inspect.signature(Shrinker).parameters) - {"policy", "guardrail", "monitor"}
