"""The pages of the documentation, taken apart."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt  # rich brings it
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OUTSIDE = ("README.md", ".github/CONTRIBUTING.md")
"""Pages that are not in `docs` and are held to the same rules."""
PAGES = (
    *sorted(str(f.relative_to(ROOT)) for f in DOCS.rglob("*.md")),
    *(name for name in OUTSIDE if (ROOT / name).is_file()),
)
"""Every page, relative to the checkout."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block of a page.

    Attributes:
        page: The page it stands in.
        line: Line of its first line of text, from 1.
        language: First word behind the opening fence.
        text: What it holds.
        output: Text of a ``text`` fence that follows with nothing between: what the block prints.
    """

    page: str
    line: int
    language: str
    text: str
    output: str | None = None

    @property
    def id(self) -> str:
        """Page and line."""
        return f"{self.page}:{self.line}"


@cache
def tokens(page: str) -> tuple[Token, ...]:
    """The page as Markdown tokens."""
    return tuple(MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text("utf-8")))


@cache
def fences(page: str, *languages: str) -> tuple[Fence, ...]:
    """The fenced blocks of a page in these languages, in order."""
    found = list(_fences(tokens(page), page))
    return tuple(f for f in found if f.language in languages)


def _fences(parsed: tuple[Token, ...], page: str) -> Iterator[Fence]:
    for at, token in enumerate(parsed):
        if token.type != "fence" or token.map is None:
            continue
        follower = parsed[at + 1] if at + 1 < len(parsed) else None
        shown = follower.content if follower and follower.type == "fence" and follower.info.strip() == "text" else None
        language = token.info.split()[0] if token.info.split() else ""
        yield Fence(page, token.map[0] + 2, language, token.content, shown)


def all_fences(*languages: str) -> list[Fence]:
    """The fenced blocks of all pages in these languages."""
    return [fence for page in PAGES for fence in fences(page, *languages)]


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and as Python-Markdown make them: those that both know."""
    parsed = tokens(page)
    titles = [parsed[i + 1] for i, token in enumerate(parsed) if token.type == "heading_open"]
    plain = ["".join(c.content for c in title.children or [] if c.type in ("text", "code_inline")) for title in titles]
    return {_github(title) for title in plain} & {_python_markdown(title) for title in plain}


def _github(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _python_markdown(title: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip().lower())


def links(page: str) -> list[str]:
    """Where the links and pictures of a page point to."""
    inside = [child for token in tokens(page) for child in token.children or []]
    targets = [
        child.attrGet("href") or child.attrGet("src") for child in inside if child.type in ("link_open", "image")
    ]
    return [str(target) for target in targets if target]


def inline_code(page: str) -> list[str]:
    """What stands between single backquotes in a page's text."""
    return [child.content for token in tokens(page) for child in token.children or [] if child.type == "code_inline"]


def matches(shown: str, printed: str) -> bool:
    """True when a page shows what was printed; ``…`` on the page stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in _tidy(shown).split("…"))
    return re.fullmatch(pattern, _tidy(printed), re.DOTALL) is not None


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
