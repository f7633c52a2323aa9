"""Links of the pages outside `docs`, which the tests of the documentation do not look at, and all external ones."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, links
from tests.docs.test_links import targets

OTHERS = sorted(
    page
    for pattern in ("CHANGELOG.md", ".github/**/*.md", "ctxshrink/**/*.md")
    for page in (path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))
    if page not in PAGES
)


@pytest.mark.parametrize("page", OTHERS)
def test_relative_links_lead_somewhere(page: str) -> None:
    for file, anchor in targets(page):
        assert (ROOT / file).exists(), f"{page} links to {file}, which does not exist"
        assert not anchor or anchor in anchors(file), f"{page} links to {file}#{anchor}; it has {sorted(anchors(file))}"


@pytest.mark.parametrize("page", [*OTHERS, *PAGES])
def test_external_links_are_whole_and_encrypted(page: str) -> None:
    """No request is made: a page somewhere else that is down is no failure of this project."""
    for link in (link for link in links(page) if "://" in link):
        parts = urlsplit(link)
        local = parts.hostname in ("localhost", "127.0.0.1")
        assert parts.scheme == "https" or local, f"{page}: {link}"
        assert local or "." in parts.netloc, f"{page}: {link}"
        assert parts.username is None, f"{page}: {link}"
