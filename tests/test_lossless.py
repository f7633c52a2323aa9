"""Nothing left out: the policy, the compressor, the command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from typer.testing import CliRunner

from ctxshrink import Adaptive, KeepRatio, Lossless, Shrinker, TokenBudget
from ctxshrink.cli import app
from ctxshrink.policies import policy_goal
from ctxshrink.structure.decode import decode
from ctxshrink.structure.log import unfold
from tests.strategies import PROPERTY, texts

ROWS = [{"id": f"A-{i:03}", "city": "Lyon", "seats": {"free": i, "all": 40}} for i in range(30)]
PAGE = "<!doctype html><html><body>" + "<p>The gate opens at nine.</p><div class='x'></div>" * 9 + "</body></html>"


def test_json_comes_out_shorter_and_whole() -> None:
    result = Shrinker(policy=Lossless()).shrink_text(json.dumps(ROWS))
    assert result.tokens_after < 0.6 * result.tokens_before
    assert decode(result.output) == ROWS
    [decision] = result.decisions
    assert decision.action == "compressed"
    assert decision.source == result.output
    assert "compact JSON" in decision.reason


@pytest.mark.parametrize("text", ["One sentence. And another one.", PAGE, "x = 1\ny = 2\nz = 3\n"])
def test_what_cannot_be_said_shorter_without_loss_stays(text: str) -> None:
    result = Shrinker(policy=Lossless()).shrink_text(text)
    assert result.output == text
    assert "nothing was compressed" in result.warnings[0]


@pytest.mark.parametrize("goal", [{"keep": 0.1}, {"max_tokens": 5}])
def test_a_goal_of_the_call_does_not_make_it_lossy(goal: dict[str, float]) -> None:
    result = Shrinker(policy=Lossless()).shrink_text(json.dumps(ROWS), **goal)
    assert decode(result.output) == ROWS
    assert any("over max_tokens" in w for w in result.warnings) == ("max_tokens" in goal)


@PROPERTY
@given(text=texts())
def test_every_text_can_be_told_back(text: str) -> None:
    result = Shrinker(policy=Lossless(), guardrail=None).shrink_text(text)
    [decision] = result.decisions
    assert result.tokens_after <= result.tokens_before
    assert decision.action in ("kept", "compressed")
    if result.output != text and decision.segment.content_type == "json":
        assert decode(result.output) == json.loads(text)
    elif decision.segment.content_type == "log":
        assert unfold(result.output) == text
    elif decision.segment.content_type == "table":
        assert _bare(result.output) == _bare(text)
    else:
        assert result.output == text


def _bare(table: str) -> str:
    return "".join(re.sub("-+", "-", table).split())


def test_it_composes() -> None:
    assert policy_goal(Lossless() & TokenBudget(50)).lossless is False
    assert policy_goal(Lossless() | KeepRatio(0.5)).lossless is True
    assert policy_goal(Adaptive() & KeepRatio(0.5)).lossless is False


def test_the_compressor_leaves_what_does_not_fit_to_the_next_one() -> None:
    shrinker = Shrinker(compressors=["structural", "extractive"], guardrail=None)
    [loose] = shrinker.shrink_text(json.dumps(ROWS), keep=0.8).decisions
    [tight] = shrinker.shrink_text(json.dumps(ROWS), keep=0.2).decisions
    assert [a.compressor for a in loose.attempts] == ["structural"]
    assert tight.attempts[-1].compressor == "extractive"
    assert tight.tokens_after <= 0.2 * tight.tokens_before


def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps({"rows": ROWS}))
    done = CliRunner().invoke(app, ["shrink", str(file), "--lossless"])
    assert done.exit_code == 0
    assert decode(done.stdout) == {"rows": ROWS}
    refused = CliRunner().invoke(app, ["shrink", str(file), "--lossless", "--keep", "0.5"])
    assert refused.exit_code != 0
    assert "--lossless leaves nothing out" in " ".join(refused.output.split())


def test_a_locked_text_stays() -> None:
    messages = [{"role": "user", "content": json.dumps(ROWS)}]
    assert Shrinker(policy=Lossless()).shrink_messages(messages).output == messages
