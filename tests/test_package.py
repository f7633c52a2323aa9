"""What is built and installed."""

import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_one_wheel_has_three_import_roots_each_typed(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    roots = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert roots == {"ctxshrink", "langchain_ctxshrink", "llama_index_ctxshrink"}
    assert all(f"{root}/py.typed" in names for root in roots)


def test_the_wheel_carries_its_models_and_nothing_large(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for model in ("pruner", "scorer"):
        for name in ("model.onnx", "tokenizer.json", "config.json", "CARD.md"):
            assert f"ctxshrink/models/{model}/{name}" in names
    assert "ctxshrink/models/scorer/ngrams.npz" in names
    for name in ("guardrail/config.json", "guardrail/CARD.md"):
        assert f"ctxshrink/models/{name}" in names
    for model, most in (("pruner", 25_000_000), ("scorer", 15_000_000)):
        files = [i for i in wheel.infolist() if i.filename.startswith(f"ctxshrink/models/{model}/")]
        assert sum(i.file_size for i in files) <= most


def test_the_base_install_needs_no_torch_and_no_framework() -> None:
    base = [r for r in distribution("ctxshrink").requires or [] if "extra ==" not in r]
    names = {r.split(">")[0].split("=")[0].split("[")[0].strip() for r in base}
    assert names == {"numpy", "onnxruntime", "tokenizers", "typer", "rich"}


def test_python_files_stay_small() -> None:
    large = {
        str(f.relative_to(ROOT)): n
        for folder in ("ctxshrink", "integrations")
        for f in (ROOT / folder).rglob("*.py")
        if (n := len(f.read_text("utf-8").splitlines())) > 300
    }
    # types.py holds every word and protocol on one page on purpose.
    assert large.keys() <= {"ctxshrink/types.py"}
    assert all(n <= 400 for n in large.values())
