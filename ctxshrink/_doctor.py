"""``ctxshrink doctor``: what is installed, what works, and a short self-test."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ._environment import BASE, OPTIONAL, version
from .errors import ConfigError
from .models import PRUNER, SCORER, read_config, read_file

_TEXT: Final = (
    "The pump in hall 7 was replaced on 4 May 2023. It had been running since the opening of the plant. "
    "The new one cost 1,840 euros and came from a supplier in Turin. Visitors like the view from the roof. "
    "The canteen serves soup on Fridays, and on other days there is a choice of three dishes. "
    "Many colleagues come by bicycle in summer, and the inner yard is full of them by nine."
)
_QUESTION: Final = "When was the pump in hall 7 replaced?"
_NEEDED: Final = "4 May 2023"
_BUDGET: Final = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        topic: Its section.
        name: What was looked at.
        ok: True when it works, False when it does not, None when it is optional and absent.
        detail: What was found, or what to do.
    """

    topic: str
    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """True when nothing that must work is broken."""
        return all(f.ok is not False for f in self.findings)


def examine() -> Report:
    """Look at packages, models, counters and compressors, and run the self-test. Never raises for what it finds."""
    return Report(
        (
            Finding("package", "python", True, platform.python_version()),
            *(_package(name, None) for name in BASE),
            *(_package(name, extra) for name, extra in OPTIONAL.items()),
            _attempt("model", "pruner files", lambda: _files(PRUNER)),
            _attempt("model", "pruner", _pruner),
            _attempt("model", "scorer files", lambda: _files(SCORER)),
            _attempt("model", "scorer", _scorer),
            _attempt("model", "guardrail", _guardrail),
            _attempt("counter", "embedded", lambda: _counter("embedded")),
            _counter_if("tiktoken", "o200k_base and other encodings, model names"),
            _counter_if("transformers", "any Hugging Face tokenizer, by name or folder"),
            _attempt("compressor", "available", _compressors),
            _attempt("self-test", "shrink", _self_test),
        )
    )


def show(report: Report, console: Console) -> None:
    """Print the report as a table and a verdict."""
    table = Table(title="ctxshrink doctor", title_justify="left", title_style="bold")
    for column in ("", "what", "", "found"):
        table.add_column(column, no_wrap=column != "found", overflow="fold")
    topic = ""
    marks = {True: "[green]ok[/green]", False: "[bold red]failed[/bold red]", None: "[dim]absent[/dim]"}
    for i, f in enumerate(report.findings):
        last = i + 1 == len(report.findings) or report.findings[i + 1].topic != f.topic
        table.add_row(f.topic if f.topic != topic else "", f.name, marks[f.ok], escape(f.detail), end_section=last)
        topic = f.topic
    console.print(table)
    verdict = "[green]everything that is needed works[/green]" if report.healthy else "[bold red]not healthy[/bold red]"
    console.print(verdict)


def _attempt(topic: str, name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(topic, name, True, look())
    except Exception as error:  # noqa: BLE001  a broken installation may raise anything; the report is where it is shown
        return Finding(topic, name, False, f"{type(error).__name__}: {error}")


def _package(name: str, extra: str | None) -> Finding:
    found = version(name)
    if found is not None:
        return Finding("package", name, True, found)
    if name == "ctxshrink":
        return Finding("package", name, None, "running from a source tree that is not installed")
    if extra is None:
        return Finding("package", name, False, f"missing: pip install {name}")
    return Finding("package", name, None, f'pip install "ctxshrink[{extra}]"')


def _counter_if(package: str, counts: str) -> Finding:
    if version(package) is None:
        return Finding("counter", package, None, f'{counts}: pip install "ctxshrink[{OPTIONAL[package]}]"')
    return Finding("counter", package, True, counts)


def _counter(name: str) -> str:
    from .tokens import resolve_counter

    counter = resolve_counter(name)
    [tokens] = counter.count([_TEXT])
    return f"{counter.name}: {tokens} tokens for {len(_TEXT)} characters"


def _files(folder: Path) -> str:
    files = {name: len(read_file(folder, name)) for name in sorted(read_config(folder)["sha256"])}
    sizes = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in files.items())
    return f"{folder}: {sizes}; SHA-256 as in config.json"


def _pruner() -> str:
    from .models.encoder import Encoder

    encoder = Encoder()
    [ids] = encoder.tokenize([_TEXT])
    [seen] = encoder.encode([[encoder.cls, *ids, encoder.sep]])
    return f"{encoder.name}, window {encoder.window} tokens, {len(seen.vectors)} vectors for a test text"


def _scorer() -> str:
    from .scorers import EmbeddedScorer

    scorer = EmbeddedScorer()
    [nats] = scorer.nll([("", _TEXT)])
    return f"{scorer.name}, window {scorer.max_context} tokens, {float(nats.mean()):.2f} nats per token on a test text"


def _guardrail() -> str:
    from .guardrails import PerplexityGuardrail

    guardrail = PerplexityGuardrail()
    limits = ", ".join(f"{mode} {guardrail.limit(mode):.3f}" for mode in sorted(guardrail.detector.output))
    return f"highest accepted risk at a miss rate of {guardrail.max_miss_rate:g}: {limits}"


def _compressors() -> str:
    from .compressors import BUILT_IN, available, get_compressor

    def told(name: str) -> str:
        try:
            return get_compressor(name).name
        except ConfigError:
            if name not in BUILT_IN:
                raise
            return f"{name} (made with a model of yours)"

    return ", ".join(told(name) for name in available())


def _self_test() -> str:
    from .guardrails import PerplexityGuardrail
    from .shrinker import Shrinker

    # A shrinker falls back when its guardrail fails; asked directly, the guardrail raises.
    PerplexityGuardrail().judge(_TEXT, _TEXT[: len(_TEXT) // 2], _QUESTION)
    result = Shrinker().shrink_text(_TEXT, _QUESTION, max_tokens=_BUDGET)
    sizes = f"{result.tokens_before} → {result.tokens_after} tokens in {result.seconds:.2f} s"
    if result.tokens_after > _BUDGET:
        raise RuntimeError(f"{sizes}: over the budget of {_BUDGET}")
    if _NEEDED not in result.output:
        raise RuntimeError(f"{sizes}: the answer was lost")
    return f"{sizes}, budget {_BUDGET} met, answer kept"
