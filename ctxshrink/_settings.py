"""The settings of a `Shrinker`, checked when it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from .compressors import get_compressor
from .drift import DriftMonitor
from .economics import Economics
from .engine import Engine
from .errors import ConfigError
from .guardrails import PerplexityGuardrail
from .policies import Adaptive
from .tokens import resolve_counter
from .types import Compressor, Guardrail, OriginalStore, Policy, TokenCounter


def build_engine(
    policy: Policy | None,
    compressors: Sequence[Compressor | str],
    guardrail: Guardrail | Literal["perplexity"] | None,
    counter: str | Callable[[str], int] | TokenCounter,
    mode: Literal["apply", "observe"],
    deadline: float | None,
    store: OriginalStore | None,
    economics: Economics | None,
    monitor: DriftMonitor | None,
) -> Engine:
    """The engine of a `Shrinker` with these arguments.

    Raises:
        ConfigError: A setting is wrong.
        MissingExtraError: The counter needs a package that is not installed.
    """
    if policy is not None and not callable(policy):
        raise ConfigError(f"policy must be callable, like Adaptive(); got {policy!r}")
    if mode not in ("apply", "observe"):
        raise ConfigError(f'mode must be "apply" or "observe"; got {mode!r}')
    if deadline is not None and not deadline > 0:
        raise ConfigError(f"deadline must be a positive number of seconds or None; got {deadline!r}")
    if isinstance(compressors, str) or not compressors:
        raise ConfigError('compressors must be a non-empty list of names or instances, like ["pruner"]')
    if isinstance(guardrail, str):
        if guardrail != "perplexity":
            raise ConfigError(f'guardrail must be "perplexity", None or a Guardrail; got {guardrail!r}')
        guardrail = PerplexityGuardrail()
    elif guardrail is not None and not hasattr(guardrail, "check"):
        raise ConfigError(f'guardrail must be "perplexity", None or have a check method; got {guardrail!r}')
    if store is not None and not (hasattr(store, "save") and hasattr(store, "load")):
        raise ConfigError(
            f'store must be None or have save and load, like Store("sqlite:///context.db"); got {store!r}'
        )
    if economics is not None and not isinstance(economics, Economics):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f'economics must be None or Economics(model="…"); got {economics!r}')
    if monitor is not None and not hasattr(monitor, "observe"):
        raise ConfigError(f"monitor must be None or have an observe method, like DriftMonitor(); got {monitor!r}")
    found = tuple(get_compressor(c) for c in compressors)
    policy = policy if policy is not None else Adaptive()
    return Engine(policy, found, guardrail, resolve_counter(counter), mode, deadline, store, economics, monitor)


class Configured:
    """The settings of a `Shrinker`, as they were given."""

    _engine: Engine

    @property
    def mode(self) -> Literal["apply", "observe"]:
        """``apply`` or ``observe``."""
        return self._engine.mode

    @property
    def policy(self) -> Policy:
        """What decides each segment's keep."""
        return self._engine.policy

    @property
    def store(self) -> OriginalStore | None:
        """Where originals are kept."""
        return self._engine.store

    @property
    def economics(self) -> Economics | None:
        """What decides whether compressing a segment pays."""
        return self._engine.economics

    @property
    def counter(self) -> TokenCounter:
        """The token counter in use."""
        return self._engine.counter

    @property
    def compressors(self) -> tuple[Compressor, ...]:
        """What compresses, in the order in which they are tried."""
        return self._engine.compressors

    @property
    def guardrail(self) -> Guardrail | None:
        """What accepts or rejects each compression."""
        return self._engine.guardrail
