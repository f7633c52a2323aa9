"""Every public name by module, read from the sources without importing them: an extra that is missing changes nothing.

A module is public when the API reference (``docs/reference``) has it. Its names are those of its ``__all__``, else what
it defines at its top level without a leading underscore.

``python -m tests.repository.names`` adds new names to the committed list. It takes none away: that is done by hand.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.docs.test_reference import documented

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("public_names.txt")


@cache
def public_names() -> frozenset[str]:
    """``module:name`` for every public name."""
    return frozenset(f"{module}:{name}" for module in documented() for name in _names(_source(module)))


def committed_names() -> frozenset[str]:
    """The names that were promised."""
    return frozenset(LIST.read_text("utf-8").split())


def _source(module: str) -> Path:
    path = Path(*module.split("."))
    places = [
        base / file
        for base in (ROOT, ROOT / "integrations")
        for file in (path.with_suffix(".py"), path / "__init__.py")
    ]
    return next(place for place in places if place.is_file())


def _names(path: Path) -> set[str]:
    found = set[str]()
    for node in ast.parse(path.read_text("utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return set(ast.literal_eval(value))
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case _:
                pass
    return {name for name in found if not name.startswith("_")}


if __name__ == "__main__":
    names = public_names() | (committed_names() if LIST.exists() else frozenset())
    LIST.write_text("\n".join(sorted(names)) + "\n", "utf-8")
