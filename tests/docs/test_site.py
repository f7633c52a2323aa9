"""The site is built without a warning, holds every public name, and loads nothing from elsewhere."""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import subprocess
import sys
import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .pages import DOCS, ROOT
from .sandbox import environment
from .test_reference import documented

CONFIG = ROOT / ".zensical.toml"


def build(folder: Path) -> Path:
    """Build the site from a copy, offline and strictly; the folder of its pages."""
    shutil.copytree(DOCS, folder / "docs")
    for name in ("ctxshrink", "integrations"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(CONFIG, folder / CONFIG.name)
    command = [sys.executable, "-m", "zensical", "build", "-f", CONFIG.name, "--strict"]
    env = environment(folder / "python")
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)[-6000:]
    return folder / "site"


def inventory(site: Path) -> set[str]:
    """The names that the reference has an anchor for."""
    packed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return {line.split(" ")[0] for line in zlib.decompress(packed).decode().splitlines()}


def test_the_site_is_built_whole(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason='needs the extra "docs"')
    pytest.importorskip("mkdocstrings", reason='needs the extra "docs"')
    site = build(tmp_path)
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS)).with_suffix(".html").is_file()
    names = inventory(site)
    for module in documented():
        home = importlib.import_module(module)
        public = [n for n in getattr(home, "__all__", []) if _is_shown(getattr(home, n))]
        missing = [f"{module}.{name}" for name in public if f"{module}.{name}" not in names]
        assert not missing, f"the reference lacks {missing}"
    for file in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?([^\s\">]+)", text := file.read_text("utf-8"))
        loaded += re.findall(r"<link[^>]*\srel=\"?(?:stylesheet|preload|preconnect)[^>]*href=\"?([^\s\">]+)", text)
        assert not [url for url in loaded if "//" in url], f"{file.name} loads from elsewhere"


def _is_shown(value: object) -> bool:
    return inspect.isclass(value) or inspect.isroutine(value)


def _files(nav: list[dict[str, Any]]) -> Iterator[str]:
    for entry in nav:
        for below in entry.values():
            if isinstance(below, str):
                yield below
            else:
                yield from _files(below)


def test_every_page_is_in_the_navigation_once() -> None:
    listed = list(_files(tomllib.loads(CONFIG.read_text("utf-8"))["project"]["nav"]))
    assert sorted(listed) == sorted(str(f.relative_to(DOCS)) for f in DOCS.rglob("*.md"))
