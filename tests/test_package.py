"""What is built and installed."""

from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]


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
