"""The report in small: static HTML without script, for notebooks."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

__all__ = ["fragment"]

_ROWS: Final = 20
_CHARACTERS: Final = 400
_WARNINGS: Final = 10

_RANK: Final = ("forced", "fallback", "emptied", "compressed", "frozen", "kept", "locked")

_STYLE: Final = """<style>
.ctxshrink{font:14px/1.5 system-ui,sans-serif;color-scheme:light dark}
.ctxshrink div{overflow-x:auto}.ctxshrink table{border-collapse:collapse}
.ctxshrink td:nth-child(4){white-space:nowrap}
.ctxshrink td,.ctxshrink th{border:1px solid #8886;padding:.2em .6em;text-align:left;vertical-align:top}
.ctxshrink pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.2em 0;unicode-bidi:isolate;text-align:left}
.ctxshrink bdi{overflow-wrap:break-word}
.ctxshrink del{opacity:.8}
</style>"""


def fragment(data: Mapping[str, Any]) -> str:
    """A small static HTML text: the figures, the warnings, and the segments of the last call.

    It has no script and loads nothing. Rows and texts are bounded, for notebooks keep every output they show; what is
    not shown is counted. Segments that need attention come first.

    Args:
        data: What `report_data` returns.
    """
    calls: Sequence[Mapping[str, Any]] = data.get("calls") or ()
    if not calls:
        return f'<section class="ctxshrink">{_STYLE}<p>No calls.</p></section>\n'
    last = calls[-1]
    before, after = sum(int(c["before"]) for c in calls), sum(int(c["after"]) for c in calls)
    share = f"{after / before:.0%}" if before else "100%"
    exact = all(c["exact"] for c in calls)
    counters = ", ".join(dict.fromkeys(str(c["counter"]) for c in calls))
    observed = " Observed only: nothing was changed." if last["mode"] == "observe" else ""
    several = f" in {len(calls)} calls; the segments are those of the last one" if len(calls) > 1 else ""
    summary = (
        f"{before:,} → {after:,} tokens ({share} kept{several}; "
        f"counted by {counters}{'' if exact else ', an estimate'}; "
        f"highest estimated risk {max(float(c['risk'] or 0) for c in calls):.2g}).{observed}"
    )
    warnings = list(dict.fromkeys(str(w) for c in calls for w in c["warnings"]))
    shown = [f'<p role="alert"><strong>Warning:</strong> {_text(w)}</p>' for w in warnings[:_WARNINGS]]
    if len(warnings) > _WARNINGS:
        shown.append(f"<p>{len(warnings) - _WARNINGS} more warnings.</p>")
    return "\n".join(
        [f'<section class="ctxshrink">{_STYLE}', f"<p>{_text(summary)}</p>", *shown, _table(data, last)]
    ) + ("\n</section>\n")


def _table(data: Mapping[str, Any], call: Mapping[str, Any]) -> str:
    segments: list[Mapping[str, Any]] = [data["segments"][index] for index, _ in call["segments"]]
    segments.sort(key=lambda s: _RANK.index(s["action"]) if s["action"] in _RANK else len(_RANK))
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("segment", "kind", "action", "tokens", "why", "texts"))
    rows = "\n".join(_row(data["texts"], segment) for segment in segments[:_ROWS])
    rest = len(segments) - _ROWS
    more = f"\n<p>{rest} more segments: <code>result.to_html()</code> shows all of them.</p>" if rest > 0 else ""
    return f"<div><table><thead><tr>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table></div>{more}"


def _row(texts: list[str], segment: Mapping[str, Any]) -> str:
    base = segment["in"] if segment["source"] is None else segment["source"]
    original = texts[int(base)]
    output = texts[int(segment["out"])]
    if original == output:
        shown = f'<pre dir="auto">{_clipped(output)}</pre>'
    else:
        shown = f'<pre dir="auto">{_struck(original, segment["spans"])}</pre>'
        shown += f'Output:<pre dir="auto">{_clipped(output)}</pre>'
    what = "as it was" if original == output else "original and output"
    cells = (segment["kind"], segment["action"], f"{segment['before']:,} → {segment['after']:,}", segment["reason"])
    return (
        f'<tr><th scope="row">{_text(segment["id"])}</th>{"".join(f"<td>{_text(cell)}</td>" for cell in cells)}'
        f"<td><details><summary>{what}</summary>{shown}</details></td></tr>"
    )


def _struck(text: str, spans: Sequence[Sequence[int]] | None) -> str:
    """The head of a text, with what was left out of it struck through where that is known."""
    if spans is None:
        return _clipped(text)
    head = text[:_CHARACTERS]
    spans = [span for span in spans if span[0] < len(head)]
    edges = sorted({0, len(head), *(min(max(edge, 0), len(head)) for span in spans for edge in span)})
    parts = [(a, b, any(start <= a and b <= end for start, end in spans)) for a, b in pairwise(edges)]
    found = "".join(_escaped(head[a:b]) if kept else f"<del>{_escaped(head[a:b])}</del>" for a, b, kept in parts)
    return found + _rest(text)


def _clipped(text: str) -> str:
    return _escaped(text[:_CHARACTERS]) + _rest(text)


def _rest(text: str) -> str:
    return f" … {len(text) - _CHARACTERS:,} more characters" if len(text) > _CHARACTERS else ""


def _text(value: object) -> str:
    return f'<bdi dir="auto">{_clipped(str(value))}</bdi>'


def _escaped(text: str) -> str:
    """Inert and visible: what cannot be printed, or reorders what can, is named by its number."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else f"⟨U+{ord(c):04X}⟩" for c in text)
    return html.escape(shown)
