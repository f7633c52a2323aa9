"""HTML as a stream of tags and texts. Any text is accepted; time is linear in its length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

RAW = frozenset(("script", "style", "textarea", "title", "xmp", "noembed", "noframes"))
"""Elements whose content holds no tags (HTML standard, 13.2.6.4: raw text and escapable raw text)."""

_NAME = re.compile(r"/?[A-Za-z][^\s/>\0]{0,100}")
_ATTRIBUTE = re.compile(
    r"[\s/]*+([^\s/>][^\s/>=]{0,200})(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>\"'][^\s>]*+|)))?"
)


@dataclass(frozen=True, slots=True)
class Tag:
    """A start or an end tag.

    Attributes:
        name: Lower-case name of the element.
        closing: An end tag.
        attributes: By lower-case name, values decoded; {} for end tags.
    """

    name: str
    closing: bool
    attributes: dict[str, str]


def tokens(html: str) -> Iterator[Tag | str]:
    """Tags, and between them decoded texts, in order. Comments, doctypes and processing instructions are left out."""
    place = 0
    ends: dict[str, int] = {}  # where no further end of a kind is to be found, it is not looked for again
    while place < len(html):
        at = html.find("<", place)
        if at < 0:
            at = len(html)
        if at > place:
            yield unescape(html[place:at])
        if at >= len(html):
            return
        if html.startswith(("<!", "<?"), at):
            closer = "-->" if html.startswith("<!--", at) else "]]>" if html.startswith("<![CDATA[", at) else ">"
            place = _find(html, closer, at + 2, ends)
            if closer == "]]>":
                yield html[at + 9 : max(at + 9, place - (3 if place < len(html) or html.endswith("]]>") else 0))]
            continue
        found = _NAME.match(html, at + 1)
        if not found:
            yield "<"
            place = at + 1
            continue
        made = _tag(html, found)
        if made is None:  # a tag that never ends: no markup any more
            yield unescape(html[at:])
            return
        tag, place = made
        yield tag
        if tag.name in RAW and not tag.closing:
            end = _end_of(html, tag.name, place)
            if end > place:
                body = html[place:end]
                yield unescape(body) if tag.name in ("textarea", "title") else body
            place = end


def _find(html: str, closer: str, start: int, ends: dict[str, int]) -> int:
    if ends.get(closer, len(html) + 1) <= start:
        return len(html)
    at = html.find(closer, start)
    if at < 0:
        ends[closer] = start
        return len(html)
    return at + len(closer)


def _end_of(html: str, name: str, start: int) -> int:
    """Start of the end tag of an element of raw text, or the end of the text."""
    m = re.compile(rf"</{re.escape(name)}(?=[\s/>])", re.I).search(html, start)
    return m.start() if m else len(html)


def _tag(html: str, found: re.Match[str]) -> tuple[Tag, int] | None:
    """The tag whose name was found, and where it ends; None when it does not."""
    name = found.group(0).lower()
    closing = name.startswith("/")
    attributes: dict[str, str] = {}
    place = found.end()
    while (m := _ATTRIBUTE.match(html, place)) is not None:
        if not closing:
            value = next((v for v in (m.group(2), m.group(3), m.group(4)) if v is not None), "")
            attributes.setdefault(m.group(1).lower(), unescape(value))
        place = m.end()
    end = html.find(">", place)
    return (Tag(name[1:] if closing else name, closing, attributes), end + 1) if end >= 0 else None
