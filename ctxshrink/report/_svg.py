"""The pieces that charts are put together from: text, marks, and the picture around them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from html import escape
from typing import Final

INK: Final = "#1d2329"
MUTED: Final = "#59636e"
SIZE: Final = 17
"""Height of a line of labels in pixels."""
LINE: Final = ("#2b7bd0", "#c2600c", "#0e8a60", "#a355c9", "#cf4456", "#0a8ba3", "#96693a", "#6d7681")
"""Colours of lines: each has a contrast of at least 3 to 1 with white and with the dark ground."""
_GROUND: Final = "#ffffff"
_STYLE: Final = (
    "<style>@media (prefers-color-scheme:dark){.cx-ground{fill:#14181d}.cx-ink{fill:#e8ebee}.cx-muted{fill:#a9b3bd}"
    ".cx-rule{stroke:#e8ebee}}</style>"
)


def document(width: float, height: float, title: str, description: str, rows: Sequence[str]) -> str:
    """The whole picture: a title and a description for screen readers, the ground, and what is drawn on it."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="system-ui, sans-serif" role="img">'
    )
    about = f"<title>{_safe(title)}</title>\n<desc>{_safe(description)}</desc>"
    ground = f'<rect width="{width:.0f}" height="{height:.0f}" class="cx-ground" fill="{_GROUND}"/>'
    return "\n".join([head, about, _STYLE, ground, *rows, "</svg>"]) + "\n"


def text(
    x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal", size: int = 13, tone: str = INK
) -> str:
    """A line of text; nothing for no words."""
    if not words:
        return ""
    kind = "cx-ink" if tone == INK else "cx-muted"
    style = f'class="{kind}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}" fill="{tone}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{_safe(words)}</text>'


def color(index: int) -> str:
    """The colour of the line with this number."""
    return LINE[index % len(LINE)]


def mark(index: int, x: float, y: float, *, said: str = "") -> str:
    """The mark of a line, with words that show when the pointer rests on it."""
    turn = (index + index // len(LINE)) % 5  # Lines of one colour get other marks.
    fill = f'fill="{color(index)}"'
    if turn == 0:
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" {fill}'
    elif turn == 1:
        shape = f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" {fill}'
    else:
        corners = {
            2: ((0, -5.5), (5, 4), (-5, 4)),
            3: ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
            4: ((0, 5.5), (5, -4), (-5, -4)),
        }[turn]
        shape = f'<polygon points="{" ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners)}" {fill}'
    if not said:
        return f"{shape}/>"
    return f"{shape}><title>{_safe(said)}</title></{shape[1 : shape.index(' ')]}>"


def clipped(words: str, most: int) -> str:
    """Words of at most ``most`` characters."""
    return words if len(words) <= most else words[: most - 1] + "…"


def width_of(words: str) -> float:
    """About how many pixels a label needs: letters of East Asian scripts are twice as wide."""
    return sum(13.0 if unicodedata.east_asian_width(c) in "WF" else 7.4 for c in words)


def number_of(value: float) -> str:
    """A number in few digits: no trailing zeros, thousands as k, millions as M."""
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _safe(words: str) -> str:
    """Escaped; characters that XML does not allow or that turn the line around become U+FFFD."""
    return escape("".join("\ufffd" if _barred(c) else c for c in words))


def _barred(char: str) -> bool:
    code = ord(char)
    control = code < 32 and char not in "\t\n\r"
    turning = 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069
    return control or turning or 0xD800 <= code <= 0xDFFF or code in (0xFFFE, 0xFFFF)
