"""The report as one self-contained HTML text: data, style and script inside, nothing loaded from anywhere.

What the data holds comes from prompts and is hostile. It is carried as JSON in a script element that no browser runs,
the page's own script only ever writes it as text, and a content security policy allows nothing but that one script and
style sheet, by their hashes: markup that came through all the same could neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any, Final, cast

from .fragment import fragment

__all__ = ["fragment", "page"]

_SCRIPTS: Final = (
    "base", "model", "search", "list", "align", "text", "detail", "history", "timeline", "summary", "controls",
    "app",
)  # fmt: skip
"""In this order: later parts use what earlier ones define."""

_PAIR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")
"""Two lone surrogates in a row, which JavaScript would read as one character: every range after them would shift."""

_ESCAPED: Final = re.compile("[<>&\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""What ends a script element or a line of script, cannot be encoded, or reorders and hides what a reader of the source
sees."""


def page(data: Mapping[str, Any]) -> str:
    """A report as one HTML text, to be written as UTF-8.

    Args:
        data: What `report_data` returns. Its texts may hold anything.

    Returns:
        The page: the same bytes for the same data. It needs no network, and allows none.
    """
    style, script = _assets()
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    title = _printable(str(data.get("title") or "Report"))
    return Template(_asset("report.html")).substitute(
        policy=policy, title=html.escape(title), style=style, script=script, data=embedded_json(data)
    )


def embedded_json(data: Mapping[str, Any]) -> str:
    """JSON that can stand in a script element of an HTML page encoded as UTF-8.

    NaN and infinities, which JSON does not have, become null.
    """
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", _PAIR.sub("\ufffd\ufffd", text))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in cast("list[Any]", value)]
    return value


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    # Line ends as the browser's parser makes them: the hash of the policy is over what it sees.
    return files("ctxshrink.report").joinpath("assets", *name.split("/")).read_text("utf-8").replace("\r\n", "\n")


@cache
def _assets() -> tuple[str, str]:
    """The style sheet and the script, as they stand in the page."""
    parts = "\n".join(_asset(f"js/{name}.js") for name in _SCRIPTS)
    style = "\n".join(_asset(f"{name}.css") for name in ("report", "views"))
    return style, f'(() => {{\n"use strict";\n{parts}\n}})();\n'
