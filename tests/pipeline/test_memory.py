"""Memory is that of a batch, however large the corpus."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from ctxshrink.distill import Derived, Distillate, Source
from ctxshrink.pipeline import read, run

DOCUMENTS, MEGABYTE = 2000, 1_000_000


class Cutter:
    """Keeps the first half of each text, and no note of it."""

    name = counter_name = "cutter"
    recipe: ClassVar[dict[str, str]] = {"method": "cutter"}

    def distill(self, sources: Sequence[Source], /) -> list[Distillate]:
        return [Distillate(s.text[: len(s.text) // 2], self.name, "", 2, 1) for s in sources]


class Forgetful:
    """A store that keeps nothing."""

    def get(self, sources: Sequence[str], recipe: str, /) -> dict[str, Derived]:
        return {}

    def put(self, derived: Sequence[Derived], /, *, originals: Sequence[str] = ()) -> Sequence[Derived]:
        return derived


@pytest.mark.parametrize("form", ["lines", "list", "files"])
def test_a_corpus_is_not_held_in_memory(tmp_path: Path, form: str) -> None:
    texts = (f"{i} " + "word and more " * 350 for i in range(DOCUMENTS))
    if form == "lines":
        with (tmp_path / "a.jsonl").open("w") as out:
            out.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    elif form == "list":
        with (tmp_path / "a.json").open("w") as out:
            out.write("[" + ",".join(json.dumps({"text": text}) for text in texts) + "]")
    else:
        for i, text in enumerate(texts):
            (tmp_path / f"{i}.txt").write_text(text)
    tracemalloc.start()
    report = run(read([tmp_path]), Cutter(), Forgetful(), batch=1000, batch_bytes=MEGABYTE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.figures.distilled == DOCUMENTS
    assert report.figures.bytes > 9 * MEGABYTE
    assert peak < 6.5 * MEGABYTE
