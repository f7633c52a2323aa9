"""Prices and bills: what a request's tokens cost."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from ctxshrink.economics._checks import check_number
from ctxshrink.errors import ConfigError
from ctxshrink.providers import RULES, CacheRules, cache_rules

MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """A model's prices, in any one currency per million tokens.

    Attributes:
        input: A plain input token.
        output: An output token.
        cache_write: An input token that is written to the provider's cache.
        cache_read: An input token that is read from it.
        as_of: Day the prices were read, ISO 8601; "" for the caller's own.
        source: Where they were read.
        provider: The model's row of `ctxshrink.providers.RULES`; "" where nobody said how it caches.

    Raises:
        ConfigError: A price is negative, not finite or not a number, or no row has the name ``provider``.
    """

    input: float
    output: float
    cache_write: float
    cache_read: float
    as_of: str = ""
    source: str = ""
    provider: str = ""

    def __post_init__(self) -> None:
        for name in ("input", "output", "cache_write", "cache_read"):
            check_number(getattr(self, name), name, "a price per million tokens")
        if self.provider:
            cache_rules(self.provider)

    @classmethod
    def of(cls, rules: CacheRules, input: float, output: float) -> Prices:
        """Prices whose cache factors are those of a provider.

        Args:
            rules: How the provider caches. Rows of `ctxshrink.providers.RULES` are named as ``provider``; rules of the
                caller's own have no name there: give them to `Economics` as ``rules`` too.
            input: Of a plain input token.
            output: Of an output token.
        """
        name = next((name for name, row in RULES.items() if row == rules), "")
        return cls(input, output, rules.write * input, rules.read * input, rules.as_of, rules.source, name)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more requests; every input token is in exactly one of the first three.

    Attributes:
        uncached: Input tokens billed plainly.
        written: Input tokens written to the provider's cache.
        read: Input tokens read from it.
        output: Output tokens.
    """

    uncached: int = 0
    written: int = 0
    read: int = 0
    output: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.uncached + other.uncached,
            self.written + other.written,
            self.read + other.read,
            self.output + other.output,
        )

    @property
    def input(self) -> int:
        """All input tokens."""
        return self.uncached + self.written + self.read


_READ: Final = "2026-11-22"
_RESELLERS: Final = "resellers' price tables that name Anthropic's"
_ADK: Final = "adk-model 0.6.0, pricing.rs (March 2026)"
_COST: Final = "openai-cost 0.1.0, pricing.rs (second quarter of 2026)"
PRICES: Final[dict[str, Prices]] = {
    "claude-sonnet-4.6": Prices(3.0, 15.0, 3.75, 0.30, _READ, _RESELLERS, "anthropic"),
    "claude-opus-4.6": Prices(5.0, 25.0, 6.25, 0.50, _READ, _RESELLERS, "anthropic-4096"),
    "claude-haiku-4.5": Prices(1.0, 5.0, 1.25, 0.10, _READ, _RESELLERS, "anthropic-4096"),
    "gpt-5.4": Prices(2.50, 15.0, 2.50, 0.25, _READ, _ADK, "openai-gpt-5"),
    "gpt-5.4-mini": Prices(0.75, 4.50, 0.75, 0.075, _READ, _ADK, "openai-gpt-5"),
    "gpt-5": Prices(1.25, 10.0, 1.25, 0.125, _READ, _COST, "openai-gpt-5"),
}
"""US dollars per million tokens by model. They change: check them against your own contract."""

PriceTable: TypeAlias = Mapping[str, "Prices | Mapping[str, Any]"] | str | Path
"""Rows by model: `Prices`, or mappings with their fields (``input`` is needed); or a TOML or JSON file of such rows."""


def bill(usage: Usage, prices: Prices) -> float:
    """What the tokens cost, in the currency of the prices."""
    cost = (
        usage.uncached * prices.input
        + usage.written * prices.cache_write
        + usage.read * prices.cache_read
        + usage.output * prices.output
    )
    return cost / MILLION


def prices_of(model: str, table: PriceTable | None = None) -> Prices:
    """The prices of a model.

    Args:
        model: Its name, as in the table.
        table: Rows of the caller's own, which come before those of `PRICES`.

    Raises:
        ConfigError: No table has the model (the message says what to do), or the table cannot be read.
    """
    if not isinstance(model, str) or not model:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"model must be the name of a model, such as {next(iter(PRICES))!r}; got {model!r}")
    rows = {**PRICES, **(load_prices(table) if table is not None else {})}
    if model in rows:
        return rows[model]
    near = difflib.get_close_matches(model, rows, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else "."
    raise ConfigError(
        f"no prices are known for the model {model!r}{meant} Give prices=Prices(input=…, output=…, cache_write=…, "
        "cache_read=…) per million tokens, or a table with a row for it (a mapping, or a TOML or JSON file: "
        f"--prices on the command line). Known: {', '.join(rows)}"
    )


def load_prices(table: PriceTable) -> dict[str, Prices]:
    """A table of prices, checked.

    A file holds one table per model, in TOML for example ``[my-model]`` with ``input = 3.0``; names with a dot need
    quotes. Of a row's fields only ``input`` is needed. Where cache prices are missing they are the provider's factors
    times ``input`` (``provider = "anthropic"``), and without a provider ``input`` itself; ``output`` is then 0.

    Args:
        table: Rows by model, or the path of a file with them.

    Raises:
        ConfigError: The file cannot be read, or a row is wrong; the message names it.
    """
    if isinstance(table, str | Path):
        rows, where = _read(Path(table)), f"{table}: "
    elif isinstance(table, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        rows, where = cast("Mapping[str, object]", table), ""
    else:
        raise ConfigError(f"a price table must be a mapping of model to prices or the path of a file; got {table!r}")
    found: dict[str, Prices] = {}
    for model, row in rows.items():
        found[model] = row if isinstance(row, Prices) else _row(model, row, where)
    return found


def _row(model: str, row: object, where: str) -> Prices:
    if not isinstance(row, Mapping):
        raise ConfigError(f"{where}the row of {model!r} must hold prices, such as input = 3.0; got {row!r}")
    given = dict(cast("Mapping[str, Any]", row))
    known = [f.name for f in fields(Prices)]
    unknown = [key for key in given if key not in known]
    if unknown:
        raise ConfigError(f"{where}the row of {model!r} has {', '.join(map(repr, unknown))}; known: {', '.join(known)}")
    if "input" not in given:
        raise ConfigError(f"{where}the row of {model!r} has no input price")
    try:
        plain = check_number(given["input"], "input", "a price per million tokens")
        rules = cache_rules(given.get("provider") or None)
        given.setdefault("output", 0.0)
        given.setdefault("cache_write", plain * (1.0 if rules is None else rules.write))
        given.setdefault("cache_read", plain * (1.0 if rules is None else rules.read))
        for name in ("as_of", "source"):
            given[name] = str(given.get(name, ""))  # TOML has dates of its own.
        return Prices(**given)
    except ConfigError as error:
        raise ConfigError(f"{where}the row of {model!r}: {error}") from None


def _read(path: Path) -> Mapping[str, object]:
    kind = path.suffix.lower()
    if kind not in (".toml", ".json"):
        raise ConfigError(f"{path}: a price table is a .toml or .json file")
    try:
        text = path.read_text(encoding="utf-8")
        value: object = tomllib.loads(text) if kind == ".toml" else json.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid {kind[1:].upper()}: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: a price table must hold one row per model; got {type(value).__name__}")
    return cast("dict[str, object]", value)
