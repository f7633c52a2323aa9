"""Definitions in source code, found by tree-sitter where the extra ``code`` is installed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ctxshrink.structure._outline import Definition
from ctxshrink.structure._source import Language

if TYPE_CHECKING:
    from tree_sitter import Language as Grammar
    from tree_sitter import Node

MAX_CHARS = 400_000
"""Longer texts are outlined by keywords."""
MAX_WORK = 0.025
"""Most steps of the parser per byte, in hundreds (it reports each hundred), beyond the first `FREE`.

Source code, minified or not, took 0.002 to 0.015; ambiguous nonsense, whose steps get slower as it gets longer, 0.028
and more."""
FREE = 30
MAX_ERRORS = 0.3
"""A tree in which a larger share of the lines lies in errors is not trusted: another language, or a cut that hurts."""

_GRAMMARS: dict[Language, tuple[str, str]] = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "java": ("tree_sitter_java", "language"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
}
_DEFINITIONS = frozenset((
    "class_definition", "function_definition", "class_declaration", "function_declaration",
    "generator_function_declaration", "method_definition", "method_declaration", "constructor_declaration",
    "interface_declaration", "enum_declaration", "record_declaration", "annotation_type_declaration",
    "abstract_class_declaration", "type_alias_declaration", "internal_module", "function_item", "impl_item",
    "struct_item", "enum_item", "trait_item", "mod_item", "macro_definition", "type_spec", "struct_specifier",
    "class_specifier", "enum_specifier", "union_specifier", "namespace_definition",
))  # fmt: skip
_VALUES = frozenset(("arrow_function", "function_expression", "class"))


def definitions(lines: Sequence[str], language: Language) -> list[Definition] | None:
    """The definitions in order of their heads; None where no grammar is at hand or the tree makes no sense."""
    if sum(map(len, lines)) > MAX_CHARS:
        return None
    root = _parse("\n".join(lines).encode("utf-8", "replace"), language)
    if root is None:
        return None
    found: list[Definition] = []
    wrong = 0
    stack: list[Node] = [root]
    while stack:
        node = stack.pop()
        if node.is_error:
            wrong += node.end_point[0] - node.start_point[0] + 1
        made = _definition(node)
        if made is not None:
            found.append(made)
        # Nothing is defined inside a line that holds nothing but an expression.
        stack.extend(c for c in reversed(node.children) if c.end_point[0] > c.start_point[0])
    if wrong > MAX_ERRORS * len(lines):
        return None
    return _nested(found)


def _parse(source: bytes, language: Language) -> Node | None:
    """The root of the syntax tree; None without a grammar, and where parsing would cost too much."""
    grammar = _grammar(language)
    if grammar is None:
        return None
    steps = 0

    def read(at: int, _point: Any) -> bytes:
        return source[at : at + 65_536]

    def stop(at: int, _failed: bool) -> bool:
        nonlocal steps
        steps += 1
        return steps > FREE + MAX_WORK * at  # counted, not timed: the same text gives the same layout everywhere

    try:
        return import_module("tree_sitter").Parser(grammar).parse(read, progress_callback=stop).root_node
    except ValueError:  # stopped
        return None


@lru_cache(maxsize=16)
def _grammar(language: Language) -> Grammar | None:
    names = _GRAMMARS.get(language)
    if names is None:
        return None
    try:
        grammar = import_module("tree_sitter").Language
        return grammar(getattr(import_module(names[0]), names[1])())
    except ImportError:
        return None


def _definition(node: Node) -> Definition | None:
    if node.type not in _DEFINITIONS:
        if node.type != "variable_declarator":
            return None
        value = node.child_by_field_name("value")
        if value is None or value.type not in _VALUES:
            return None
        body = value.child_by_field_name("body")
    else:
        body = node.child_by_field_name("body")
    if body is None and node.type == "type_spec":  # Go
        body = node.child_by_field_name("type")
    name = (
        node.child_by_field_name("name") or node.child_by_field_name("declarator") or node.child_by_field_name("type")
    )
    while name is not None and (inner := name.child_by_field_name("declarator")) is not None:
        name = inner
    label = (name.text or b"").decode("utf-8", "replace")[:200] if name is not None else ""
    head, end = node.start_point[0], node.end_point[0] + 1
    if body is None or end - head < 2:
        return None
    first = body.start_point[0]
    opened = body.type in ("block", "compound_statement", "statement_block", "class_body", "declaration_list") or (
        body.children and body.children[0].type == "{"
    )
    if opened and body.children and body.children[0].type == "{":
        first += 1
    return Definition(head, max(head + 1, min(first, end)), end, label or "?")


def _nested(found: list[Definition]) -> list[Definition]:
    """One definition for each head line, none that overlaps another without lying in it."""
    out: list[Definition] = []
    stack: list[Definition] = []
    for d in sorted(found, key=lambda d: (d.head, -d.end)):
        while stack and stack[-1].end <= d.head:
            stack.pop()
        if stack and (d.head < stack[-1].body or d.end > stack[-1].end):
            continue
        out.append(d)
        stack.append(d)
    return out
