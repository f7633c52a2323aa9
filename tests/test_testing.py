"""The checks for authors of plug-ins fail where a plug-in breaks its protocol."""

from collections.abc import Sequence

import pytest

from ctxshrink.testing import ScriptedGuardrail, check_guardrail
from ctxshrink.types import Call, Trial, Verdict


class Outputs(ScriptedGuardrail):
    """Accepts every segment, and outputs by their verdict."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def check_output(self, trials: Sequence[Trial], call: Call, /) -> Verdict:
        self.asked += 1
        changed = [t.segment.id for t in trials if t.text != t.segment.text]
        return self.verdict(changed)

    def verdict(self, changed: list[str]) -> Verdict:
        return Verdict(not changed, 0.5 if changed else 0.0, "as it says")


class Picky(Outputs):
    def verdict(self, changed: list[str]) -> Verdict:
        return Verdict(False, 0.5, "rejects everything")


class Ordered(Outputs):
    def verdict(self, changed: list[str]) -> Verdict:
        return Verdict(not changed, 0.1 * len(changed[0]) + 0.01 * int(changed[0]) if changed else 0.0, "by the first")


class Moody(Outputs):
    def verdict(self, changed: list[str]) -> Verdict:
        return Verdict(not changed, 1 / self.asked, "by how often it was asked")


class Loud(Outputs):
    def verdict(self, changed: list[str]) -> Verdict:
        return Verdict(not changed, 2.0, "too high")


class Silent(Outputs):
    def verdict(self, changed: list[str]) -> Verdict:
        return Verdict(not changed, 0.5, "")


def test_a_sound_guardrail_passes() -> None:
    check_guardrail(Outputs())
    check_guardrail(ScriptedGuardrail())


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Picky, "an unchanged output was rejected"),
        (Ordered, "the order of trials"),
        (Moody, "two verdicts on one output differ"),
        (Loud, r"the score of an output is outside \[0, 1\]"),
        (Silent, "the verdict on an output has no reason"),
    ],
)
def test_what_breaks_the_protocol_is_said(broken: type[Outputs], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_guardrail(broken())
