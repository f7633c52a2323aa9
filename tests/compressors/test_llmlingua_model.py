"""Loading a model does nothing behind one's back and refuses what is none; texts reach it whole."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctxshrink.errors import ConfigError, MissingExtraError, ModelError
from ctxshrink.testing import call_for, jobs_for
from ctxshrink.tokens import resolve_counter

from .test_wordfit import prose
from .token_models import Family, build

pytest.importorskip("llmlingua")

from ctxshrink.compressors._llmlingua_model import TokenClassifier, chunks
from ctxshrink.compressors.llmlingua import LLMLingua2Compressor

COUNTER = resolve_counter("embedded")


def test_what_looks_like_a_special_token_is_text(compressor: LLMLingua2Compressor, folder: Path) -> None:
    text = "Use [SEP] here, [PAD] there, </s> or <pad> or <mask> or [UNK] or 🎉 at the end of the day. " * 3
    reader = TokenClassifier(folder, device="cpu", trust_remote_code=False)
    [read] = reader.tokenize([text])
    assert read.spans[-1][1] >= len(text.rstrip())
    assert not {"[SEP]", "[PAD]", "</s>", "<pad>", "<mask>", "<s>"} & set(read.tokens)
    [kept] = reader.probabilities([read.tokens])
    assert kept.shape == (len(read.tokens),)
    call = call_for([text], counter=COUNTER)
    [(words, scores)] = compressor._scored([text], call)
    told = {text[s:e]: score for (s, e), score in zip(words.spans, scores, strict=True)}
    assert all(told[word] > 0 for word in ("[SEP]", "[PAD]", "</s>", "<pad>", "<mask>", "[UNK]", "🎉"))


def test_chunks_hold_every_token_once() -> None:
    draw = np.random.default_rng(0)
    for room in (1, 2, 7, 50):
        words = np.sort(draw.integers(0, 60, 200))
        sentences = words // 9
        found = chunks(words, sentences, room)
        assert [i for s, e in found for i in range(s, e)] == list(range(200))
        assert all(0 < e - s <= room for s, e in found)
    assert chunks(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 5) == []
    even = np.arange(100) // 4
    assert chunks(even, even // 5, 30) == [(i, i + 20) for i in range(0, 100, 20)]
    assert chunks(even, np.zeros(100, dtype=np.int64), 30)[0] == (0, 28)
    assert chunks(np.zeros(100, dtype=np.int64), np.zeros(100, dtype=np.int64), 30)[0] == (0, 30)


PLAIN = prose(60, seed=3).replace("\n", " ")


PROBE = """
import json, os, random, sys
calls = []
sys.addaudithook(lambda event, args: calls.append(event) if event.startswith("socket.") else None)
import numpy, torch
import ctxshrink, ctxshrink.compressors
before = sorted({"llmlingua", "transformers", "tiktoken", "nltk"} & set(sys.modules))
random.seed(7); numpy.random.seed(7); torch.manual_seed(7)
states = repr(random.getstate()), repr(numpy.random.get_state()), torch.get_rng_state().tolist()
environment = dict(os.environ)
from ctxshrink.compressors.llmlingua import LLMLingua2Compressor
from ctxshrink.testing import call_for, jobs_for
made = LLMLingua2Compressor(sys.argv[1])
call = call_for([sys.argv[2]])
[out] = made.compress(jobs_for(call, 0.5), call)
after = repr(random.getstate()), repr(numpy.random.get_state()), torch.get_rng_state().tolist()
print(json.dumps({
    "imported": before, "calls": calls, "text": out.text, "states": states == after,
    "environment": {k for k, v in os.environ.items() if environment.get(k) != v} == set(),
    "flags": [torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark],
}))
"""


def test_nothing_is_done_behind_ones_back(tmp_path: Path) -> None:
    folder = build("bert", tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(folder), PLAIN], capture_output=True, text=True, check=True, timeout=300
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["imported"] == []
    assert told["calls"] == []
    assert told["states"]
    assert told["environment"]
    assert told["flags"] == [False, False]
    call = call_for([PLAIN])
    assert (
        told["text"] == LLMLingua2Compressor(folder).compress(jobs_for(call, 0.5), call)[0].text
    )  # another process, the same bytes


def test_code_that_comes_with_a_model_does_not_run(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "with code"
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "own.Own", "AutoModelForTokenClassification": "own.Own"}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    assert LLMLingua2Compressor(copy).compress([], call_for([])) == []
    assert not (tmp_path / "ran").exists()


def test_a_model_must_be_given() -> None:
    with pytest.raises(ConfigError, match=r"LLMLingua2Compressor\(model="):
        LLMLingua2Compressor()


def test_the_extra(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "llmlingua.utils", None)
    with pytest.raises(MissingExtraError, match=r"ctxshrink\[llmlingua\]"):
        LLMLingua2Compressor(folder)


@pytest.mark.parametrize("given", ["./nowhere", "/nowhere/at/all", Path("nowhere")])
def test_a_folder_that_is_not_there(given: str | Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a path is no name on the hub")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(ConfigError, match="not a folder"):
        LLMLingua2Compressor(given)


@pytest.mark.parametrize("given", [{"device": "abacus"}, {"batch_size": 0}])
def test_settings_out_of_range(folder: Path, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        LLMLingua2Compressor(folder, **given)


def changed(folder: Path, to: Path, **settings: object) -> Path:
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({**config, **settings}))
    return to


def test_models_of_another_kind(folder: Path, family: Family, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no token-classification"):
        LLMLingua2Compressor(changed(folder, tmp_path / "a", architectures=["BertModel"]))
    with pytest.raises(ConfigError, match="3 labels"):
        LLMLingua2Compressor(build(family, tmp_path / "b", labels=3))
    with pytest.raises(ConfigError, match="distilbert"):
        LLMLingua2Compressor(changed(folder, tmp_path / "c", model_type="distilbert"))


def test_damaged_models(folder: Path, tmp_path: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        copy = tmp_path / name
        shutil.copytree(folder, copy)
        (copy / name).write_bytes((copy / name).read_bytes()[:-100])
        with pytest.raises(ModelError, match="cannot load"):
            LLMLingua2Compressor(copy)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot load"):
        LLMLingua2Compressor(tmp_path / "empty")


def test_a_model_without_a_head(family: Family, tmp_path: Path) -> None:
    import transformers

    copy = build(family, tmp_path / "body")
    auto: Any = transformers.AutoModel
    auto.from_pretrained(copy).save_pretrained(copy)
    changed(copy, tmp_path / "claims", architectures=["XForTokenClassification"])
    with pytest.raises(ModelError, match="lacks weights"):
        LLMLingua2Compressor(tmp_path / "claims")


def test_a_window_smaller_than_usual(family: Family, tmp_path: Path) -> None:
    small = LLMLingua2Compressor(build(family, tmp_path / "small", window=64))
    call = call_for([prose(500)], counter=COUNTER)
    [made] = small.compress(jobs_for(call, 0.5), call)
    assert made.error is None
    assert COUNTER.count([made.text])[0] <= call.tokens["0"] // 2
    with pytest.raises(ConfigError, match="too few"):
        LLMLingua2Compressor(build(family, tmp_path / "smaller", window=8))
