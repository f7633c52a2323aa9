"""``ctxshrink train kv-needle`` and ``ctxshrink train kv-distill``, one after the other."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from ctxshrink.cli import app

NEEDLE = """
output = "{folder}/needle"
[task]
length = 66
facts = 2
distractors = 8
questions = 2
topics = 4
words = 8
[train]
lengths = [66]
batches = [2]
steps = [2]
"""
DISTILL = """
model = "{folder}/needle"
output = "{folder}/adapter"
keep = [0.2]
[needle]
use = true
batch = 2
[task]
length = 66
facts = 2
distractors = 8
questions = 2
topics = 4
words = 8
[train]
steps = 2
width = 8
rank = 2
"""


def run(folder: Path, command: str, recipe: str) -> tuple[int, str]:
    file = folder / f"{command}.toml"
    file.write_text(recipe.format(folder=folder), encoding="utf-8")
    done = CliRunner().invoke(app, ["train", command, "--config", str(file)])
    return done.exit_code, done.output


def test_a_model_and_its_adapter_are_trained_from_recipes(tmp_path: Path) -> None:
    code, said = run(tmp_path, "kv-needle", NEEDLE)
    assert code == 0, said
    assert (tmp_path / "needle" / "needle.json").is_file()
    code, said = run(tmp_path, "kv-distill", DISTILL)
    assert code == 0, said
    assert (tmp_path / "adapter" / "adapter.safetensors").is_file()
    assert (tmp_path / "adapter" / "card.json").is_file()


def test_a_bad_recipe_is_named(tmp_path: Path) -> None:
    code, said = run(tmp_path, "kv-distill", DISTILL.replace("[0.2]", "[2.0]"))
    assert code != 0
    assert "cannot be loaded" in said.replace("\n", " ")
    code, said = run(tmp_path, "kv-needle", NEEDLE.replace("facts = 2", "facts = 9"))
    assert code != 0
    assert "facts" in said
