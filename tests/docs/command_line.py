"""Makes `docs/reference/command-line.md` from the commands themselves.

python -m tests.docs.command_line
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from ctxshrink.cli import app

from .pages import DOCS

PAGE = DOCS / "reference" / "command-line.md"
HEAD = """# Command line

`ctxshrink COMMAND --help` says the same. Every command ends with status 0 when it did its work, and with one line on
standard error and status 2 when it could not.
"""


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its full name, in the order of `--help`."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for part, below in command.commands.items():
        if not below.hidden:
            yield from commands(below, f"{name} {part}")


def page() -> str:
    """The page."""
    sections = [_section(name, command) for name, command in commands(get_command(app), "ctxshrink")]
    return "\n".join([HEAD, *sections])


def _section(name: str, command: Any) -> str:
    told = " ".join(inspect.cleandoc(command.help or "").partition("\n\n")[0].split())
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help" and not p.hidden]
    usage = " ".join([name, *(_place(a) for a in arguments), *(["[OPTIONS]"] if options else [])])
    lines = [f"## {name}", "", _escaped(told), "", "```text", usage, "```", ""]
    if arguments or options:
        lines += ["| | Meaning | Default |", "|---|---|---|"]
        lines += [f"| `{_place(a)}` | {_escaped(a.help or '')} | {_default(a)} |" for a in arguments]
        lines += [f"| {_names(o)} | {_escaped(o.help or '')} | {_default(o)} |" for o in options]
        lines.append("")
    return "\n".join(lines)


def _place(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).strip("[]")
    name = name.rstrip(".…")
    many = "..." if argument.nargs == -1 else ""
    return f"{name}{many}" if argument.required else f"[{name}{many}]"


def _names(option: Any) -> str:
    return ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value is False or value == () or callable(value):
        return ""
    if value is True and parameter.secondary_opts:
        return f"`{parameter.opts[0]}`"
    shown = ",".join(str(v) for v in value) if isinstance(value, list | tuple) else str(getattr(value, "value", value))
    return f"`{shown}`" if shown else ""


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
