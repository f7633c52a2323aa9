"""Links between pages lead somewhere, and every page can be reached."""

from __future__ import annotations

import os.path
from pathlib import Path
from urllib.parse import unquote

import pytest

from .pages import DOCS, PAGES, ROOT, anchors, links

INDEX = "docs/index.md"
GENERATED = "docs/reference/"
"""Pages whose anchors the site generator makes from docstrings: its strict build checks them."""


def targets(page: str) -> list[tuple[str, str]]:
    """File, relative to the checkout, and anchor of each relative link of a page."""
    found: list[tuple[str, str]] = []
    for link in links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, anchor = unquote(link).partition("#")
        path = os.path.normpath(Path(page).parent / file) if file else page
        found.append((path, anchor))
    return found


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for file, anchor in targets(page):
        assert (ROOT / file).exists(), f"{page} links to {file}, which does not exist"
        if anchor and file.endswith(".md") and not file.startswith(GENERATED):
            assert anchor in anchors(file), f"{page} links to {file}#{anchor}; it has {sorted(anchors(file))}"
        if page.startswith("docs/"):
            assert file.startswith("docs/"), f"{page} links to {file}, which is not part of the site"


def test_every_page_is_reached_from_the_first() -> None:
    reached, waiting = {INDEX}, [INDEX]
    while waiting:
        for file, _ in targets(waiting.pop()):
            if file.startswith("docs/") and file not in reached:
                reached.add(file)
                if file.endswith(".md"):
                    waiting.append(file)
    pages = {str(f.relative_to(ROOT)) for f in DOCS.rglob("*") if f.suffix in (".md", ".ipynb")}
    hidden = {page for page in pages if ".ipynb_checkpoints" in page}
    assert pages - hidden - reached == set()


def test_one_title_a_page() -> None:
    for page in PAGES:
        lines = (ROOT / page).read_text("utf-8").splitlines()
        assert lines[0].startswith("# "), f"{page} must start with its title"
