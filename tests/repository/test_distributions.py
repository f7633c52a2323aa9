"""What is uploaded: the wheel and the sdist."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOTS = ("ctxshrink", "langchain_ctxshrink", "llama_index_ctxshrink")
SUFFIXES = {".py", ".typed", ".onnx", ".npz", ".json", ".md", ".toml", ".css", ".js", ".html"}
WHEEL_BYTES, SDIST_BYTES = 40_000_000, 45_000_000
"""The index's own limit is 100 MB; a base install should stay a matter of seconds."""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(dist.glob("*.whl")))


@pytest.fixture(scope="module")
def sdist(dist: Path) -> list[str]:
    """Paths below the archive's one folder."""
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        names = archive.getnames()
    tops = {name.partition("/")[0] for name in names}
    assert len(tops) == 1
    return [name.partition("/")[2] for name in names]


def packaged(wheel: zipfile.ZipFile) -> set[str]:
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


def test_one_wheel_has_three_import_roots_each_typed(wheel: zipfile.ZipFile) -> None:
    assert {name.split("/")[0] for name in packaged(wheel)} == set(ROOTS)
    assert {f"{root}/py.typed" for root in ROOTS} <= packaged(wheel)


def test_the_wheel_has_every_file_of_the_packages_and_no_other(wheel: zipfile.ZipFile) -> None:
    sources = {
        path.relative_to(base).as_posix()
        for base, folder in ((ROOT, "ctxshrink"), *((ROOT / "integrations", root) for root in ROOTS[1:]))
        for path in (base / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packaged(wheel) == sources


def test_the_wheel_has_no_tests_data_or_caches(wheel: zipfile.ZipFile) -> None:
    strange = [name for name in packaged(wheel) if Path(name).suffix not in SUFFIXES]
    assert strange == [], "a new kind of file: is it needed at run time? Then add its suffix here"
    parts = {part for name in packaged(wheel) for part in Path(name).parts}
    assert not parts & {"tests", "test", "conftest.py", "examples", "docs", "shared", "data", "__pycache__"}


def test_the_wheel_carries_its_models_and_nothing_large(wheel: zipfile.ZipFile, dist: Path) -> None:
    names = packaged(wheel)
    for model in ("pruner", "scorer"):
        for name in ("model.onnx", "tokenizer.json", "config.json", "CARD.md"):
            assert f"ctxshrink/models/{model}/{name}" in names
    assert "ctxshrink/models/scorer/ngrams.npz" in names
    for name in ("guardrail/config.json", "guardrail/CARD.md"):
        assert f"ctxshrink/models/{name}" in names
    for model, most in (("pruner", 25_000_000), ("scorer", 15_000_000)):
        files = [i for i in wheel.infolist() if i.filename.startswith(f"ctxshrink/models/{model}/")]
        assert sum(i.file_size for i in files) <= most
    assert next(dist.glob("*.whl")).stat().st_size <= WHEEL_BYTES
    assert next(dist.glob("*.tar.gz")).stat().st_size <= SDIST_BYTES


def test_the_metadata_say_what_pyproject_says(wheel: zipfile.ZipFile) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = message_from_bytes(wheel.read(name))
    assert (metadata["Name"], metadata["Version"]) == (project["name"], project["version"])
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra") or []) == set(project["optional-dependencies"])
    entries = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "ctxshrink = ctxshrink.cli:app" in wheel.read(entries).decode()


def test_the_sdist_can_be_built_and_tested_from(sdist: list[str]) -> None:
    needed = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", "PKG-INFO"}
    assert needed <= set(sdist)
    folders = {name.partition("/")[0] for name in sdist if "/" in name}
    assert folders == {"ctxshrink", "integrations", "examples", "tests", "docs", ".ci", ".github"}
    assert not [name for name in sdist if "__pycache__" in name or name.endswith((".pyc", ".db"))]
