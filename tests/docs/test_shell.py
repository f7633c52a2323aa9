"""Every `ctxshrink` command of every page is one that the command line knows; small ones are run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from ctxshrink.cli import app

from .pages import PAGES, all_fences, fences, inline_code, matches
from .sandbox import run_shell

EXECUTED = tuple(page for page in ("docs/quickstart-command-line.md",) if page in PAGES)
"""Pages whose shell snippets are run too, all of a page in one folder. They make their own input."""


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of every call of `ctxshrink` in a shell snippet."""
    lexer = shlex.shlex(text.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.commenters, lexer.whitespace_split = "", True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();&|<>") and word:
            if words[:1] == ["ctxshrink"]:
                yield words[1:]
            words = ["(redirected)"] if set(word) & set("<>") else []
        else:
            words.append(word)


def without_comments(text: str) -> str:
    """The snippet without what stands behind `#` at the start of a word."""
    return "\n".join(line.partition(" #")[0] for line in text.splitlines() if not line.startswith("#"))


@cache
def _command() -> Any:
    return get_command(app)


def parse(arguments: Sequence[str]) -> None:
    """Parse arguments as the command line does, without doing anything; raises for what it does not know."""
    command: Any = _command()
    name, rest, context = "ctxshrink", list(arguments), None
    while True:
        context = command.make_context(name, rest, parent=context)
        if not hasattr(command, "resolve_command"):
            return
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])


CALLS = {
    f"{fence.id}#{number}": call
    for fence in all_fences("sh", "bash", "shell", "console")
    for number, call in enumerate(commands(without_comments(fence.text)))
}


@pytest.mark.parametrize("name", CALLS)
def test_the_command_is_known(name: str) -> None:
    parse(CALLS[name])


def test_there_are_commands() -> None:
    assert len(CALLS) >= 10


@pytest.mark.parametrize("page", EXECUTED)
def test_the_commands_run(page: str, tmp_path: Path) -> None:
    script = fences(page, "sh")
    for fence, printed in zip(script, run_shell(script, tmp_path), strict=True):
        assert fence.output is None or matches(fence.output, printed), f"{fence.id} prints:\n{printed}"


@pytest.mark.parametrize(
    "wrong", [["shrink", "x", "--nope"], ["nope"], ["bench", "nope"], ["shrink"], ["shrink", "x", "--keep", "much"]]
)
def test_a_wrong_command_is_found(wrong: list[str]) -> None:
    with pytest.raises(Exception, match=r".*") as caught:  # typer's, whose class is click's or its own
        parse(wrong)
    assert caught.value.exit_code == 2


def check_names(words: Sequence[str]) -> None:
    """Check the command and the options of a call in running text, which may leave out what it is not about."""
    command: Any = _command()
    rest = list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"no command {rest[0]!r} in {' '.join(words)!r}"
        command = command.commands[rest.pop(0)]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
    assert {word for word in rest if word.startswith("--")} <= known, f"unknown option in {' '.join(words)!r}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_running_text_exist(page: str) -> None:
    for code in inline_code(page):
        words = code.replace("|", " ").split()
        if words[:1] == ["ctxshrink"] and words[1:2] != ["COMMAND"]:
            check_names(words[1:])


@pytest.mark.parametrize("wrong", ["nope", "bench nope", "shrink --nope", "kv ask --nope"])
def test_a_wrong_command_in_running_text_is_found(wrong: str) -> None:
    with pytest.raises(AssertionError, match="nope"):
        check_names(wrong.split())


def test_commands_are_found_in_a_snippet() -> None:
    text = "pip install . && ctxshrink demo # shows it\n# ctxshrink nope\n"
    text += "cat x | ctxshrink shrink - \\\n  --keep 0.5 > out\n"
    assert list(commands(without_comments(text))) == [["demo"], ["shrink", "-", "--keep", "0.5"]]
