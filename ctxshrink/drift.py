"""Has the traffic changed since the guardrail was calibrated? Its acceptance rate says so, without any label."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from .errors import ConfigError
from .types import Decision

_log = logging.getLogger("ctxshrink")

LOOKS = 10
"""Times per window that the rates are compared. Each look is a chance of a false warning, so that not every call is
one."""


@dataclass(frozen=True, slots=True)
class Expected:
    """In what share of the calls the guardrail rejected nothing when it was calibrated.

    Attributes:
        keeps: Kept shares, rising.
        acceptance: The share at each of them, in [0, 1].
        records: Calls at each keep that these shares were counted on; how far they can be trusted.
    """

    keeps: tuple[float, ...]
    acceptance: tuple[float, ...]
    records: int

    def __post_init__(self) -> None:
        if not self.keeps or len(self.keeps) != len(self.acceptance):
            raise ConfigError("keeps and acceptance must be of the same length, and not empty")
        if list(self.keeps) != sorted(set(self.keeps)) or not 0 < self.keeps[0] <= self.keeps[-1] < 1:
            raise ConfigError(f"keeps must rise within (0, 1); got {self.keeps}")
        if not all(0 <= a <= 1 for a in self.acceptance):
            raise ConfigError(f"acceptance must hold shares in [0, 1]; got {self.acceptance}")
        if self.records < 1:
            raise ConfigError(f"records must be 1 or more; got {self.records}")

    def at(self, keep: float) -> float:
        """The share expected at a keep: on the straight line between its neighbours, 1 at keep 1."""
        return float(np.interp(keep, [*self.keeps, 1.0], [*self.acceptance, 1.0]))


def rejected_nothing(decisions: Sequence[Decision]) -> bool | None:
    """Whether all of a call that the guardrail judged was accepted, the whole output too; None where it judged none."""
    verdicts = [a.verdict.ok for d in decisions for a in d.attempts if a.verdict is not None and a.error is None]
    return all(verdicts) if verdicts else None


class DriftMonitor:
    """Compares the acceptance rate of live calls with the calibrated one.

    Every call in which the guardrail judged anything is one observation, with the share that was expected at its keep.
    Drift is a difference that is both beyond chance (a normal approximation to the sum of the window's binomials, with
    the uncertainty of the calibrated rates in the variance) and at least ``least``. It is said once; after the
    difference has fallen to half of what it takes, it may be said again. Thread-safe; nothing of the text is kept.

    Args:
        expected: The calibrated rates by mode, ``query`` and ``blind``. Observations of other modes are not counted.
        window: Newest observations that are looked at; nothing is said before there are so many.
        least: Smallest difference of the rates that counts, in (0, 1).
        confidence: Of one look, in (0.5, 1).

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        expected: Mapping[str, Expected],
        *,
        window: int = 500,
        least: float = 0.05,
        confidence: float = 0.9999,
    ) -> None:
        if isinstance(window, bool) or not isinstance(window, int) or window < LOOKS:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"window must be a whole number of observations, {LOOKS} or more; got {window!r}")
        if not 0 < least < 1:
            raise ConfigError(f"least must be a difference of shares in (0, 1); got {least!r}")
        if not 0.5 < confidence < 1:
            raise ConfigError(f"confidence must be in (0.5, 1); got {confidence!r}")
        self.expected = dict(expected)
        self.window, self.least, self.confidence = window, least, confidence
        self._z = NormalDist().inv_cdf(0.5 + confidence / 2)
        self._seen = deque[tuple[bool, float, int]](maxlen=window)
        self._since = 0
        self._drifted = False
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"DriftMonitor({self.expected!r}, window={self.window}, least={self.least})"

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = {**self.__dict__, "_seen": self._seen.copy()}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    @property
    def drifted(self) -> bool:
        """True while the newest observations differ from what was calibrated."""
        return self._drifted

    def observe(self, accepted: bool, *, mode: str, keep: float) -> str | None:
        """Count a call.

        Args:
            accepted: Whether the guardrail rejected nothing, see `rejected_nothing`.
            mode: ``query`` where a query was known, ``blind`` where none was.
            keep: The share of the unlocked tokens that was asked for.

        Returns:
            A warning in one sentence when drift is first seen, else None; it is also logged.
        """
        known = self.expected.get(mode)
        if known is None or not math.isfinite(keep):
            return None
        with self._lock:
            self._seen.append((accepted, known.at(keep), known.records))
            self._since += 1
            if len(self._seen) < self.window or self._since < self.window // LOOKS:
                return None
            self._since = 0
            warning = self._look()
        if warning is not None:
            _log.warning("%s", warning)
        return warning

    def _look(self) -> str | None:
        n = len(self._seen)
        rate = sum(a for a, _, _ in self._seen) / n
        expected = sum(p for _, p, _ in self._seen) / n
        variances = [_variance(p, records) for _, p, records in self._seen]
        live = sum(variances) / n**2
        calibrated = sum(v / records for v, (_, _, records) in zip(variances, self._seen, strict=True)) / n
        limit = max(self.least, self._z * math.sqrt(live + calibrated))
        difference = abs(rate - expected)
        if self._drifted:
            self._drifted = difference >= limit / 2
            return None
        if difference < limit:
            return None
        self._drifted = True
        return (
            f"the guardrail rejected nothing in {rate:.0%} of the last {n} calls, and {expected:.0%} were expected "
            "from its calibration: the traffic has changed; run `ctxshrink calibrate` on recent data"
        )


def _variance(share: float, records: int) -> float:
    """Of one observation. Two of each are added: few records without a rejection do not say that there are none.

    Agresti and Coull, The American Statistician 52 (1998).
    """
    p = (share * records + 2) / (records + 4)
    return p * (1 - p)
