"""What the llmlingua package makes of the same model and text."""

from __future__ import annotations

import os
import random
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctxshrink.testing import call_for
from ctxshrink.tokens import resolve_counter

from .test_wordfit import prose
from .token_models import Family

pytest.importorskip("llmlingua")

from ctxshrink.compressors._llmlingua_model import TokenClassifier
from ctxshrink.compressors.llmlingua import LLMLingua2Compressor

COUNTER = resolve_counter("embedded")


PLAIN = prose(60, seed=3).replace("\n", " ")


@pytest.fixture
def package(folder: Path, family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package's own compressor: a folder with the name that it wants, no network, and the random state put back."""
    tiktoken, torch = pytest.importorskip("tiktoken"), pytest.importorskip("torch")
    llmlingua: Any = pytest.importorskip("llmlingua")

    class Encoding:
        def encode(self, text: str) -> list[str]:
            return text.split()

    monkeypatch.setattr(tiktoken, "encoding_for_model", lambda name: Encoding())
    monkeypatch.setenv("PYTHONHASHSEED", os.environ.get("PYTHONHASHSEED", "random"))
    named = tmp_path / {"bert": "bert-base-multilingual-cased", "xlm-roberta": "xlm-roberta-large"}[family]
    shutil.copytree(folder, named)
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        made = llmlingua.PromptCompressor(
            str(named), device_map="cpu", use_llmlingua2=True, model_config={"trust_remote_code": False}
        )
    random.setstate(states[0])
    np.random.set_state(states[1])
    # It gives every model BERT's special tokens (issue 181 of the package); its own data set knows better when told.
    inner = llmlingua.prompt_compressor
    monkeypatch.setattr(inner, "TokenClfDataset", partial(inner.TokenClfDataset, model_name=named.name))
    return made


def means_of(package: Any, text: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """The package's words and their mean probabilities, from its own merging of tokens."""
    seen: list[tuple[str, float]] = []
    original = package._PromptCompressor__merge_token_to_word

    def merge(*args: Any, **kwargs: Any) -> Any:
        words, probabilities, bare = original(*args, **kwargs)
        seen.extend((w.lstrip("▁"), float(np.mean(p))) for w, p in zip(words, probabilities, strict=True))
        return words, probabilities, bare

    monkeypatch.setattr(package, "_PromptCompressor__merge_token_to_word", merge)
    package.compress_prompt([text], rate=0.5)
    return seen


def test_scores_are_those_of_the_package(package: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    seen: list[tuple[list[int], Any]] = []
    package.model.register_forward_hook(
        lambda model, args, kwargs, out: seen.append((kwargs, out.logits)), with_kwargs=True
    )
    told = package.compress_prompt([PLAIN], rate=0.5, return_word_label=True)["fn_labeled_original_prompt"]
    [(given, logits)] = seen
    mask = given["attention_mask"][0]
    theirs = torch.softmax(logits, dim=-1)[0, :, 1][mask][1:-1].numpy()
    reader = TokenClassifier(folder, device="cpu", trust_remote_code=False)
    [read] = reader.tokenize([PLAIN])
    [ours] = reader.probabilities([read.tokens])
    assert package.tokenizer.convert_ids_to_tokens(given["input_ids"][0][mask][1:-1].tolist()) == read.tokens
    np.testing.assert_allclose(ours, theirs, atol=1e-5)

    # Of its words it keeps those with the higher means, as ours would be chosen.
    means = np.array([mean for _, mean in means_of(package, PLAIN, monkeypatch)])
    labels = np.array([int(line.rsplit(" ", 1)[1]) for line in told.split("\t\t|\t\t")])
    assert len(labels) == len(means)
    assert 0.2 < labels.mean() < 0.8
    assert means[labels == 1].min() >= means[labels == 0].max() - 1e-5


def test_words_of_letters_alone_score_as_in_the_package(
    package: Any, compressor: LLMLingua2Compressor, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = means_of(package, PLAIN, monkeypatch)
    [(words, scores)] = compressor._scored([PLAIN], call_for([PLAIN], counter=COUNTER))
    ours = [(PLAIN[s:e], score) for (s, e), score in zip(words.spans, scores, strict=True) if PLAIN[s:e].isalpha()]
    theirs = [(word, score) for word, score in told if word.isalpha()]
    assert [word for word, _ in ours] == [word for word, _ in theirs if word in {w for w, _ in ours}]
    by_word = iter(theirs)
    for word, score in ours:
        assert score == pytest.approx(next(p for w, p in by_word if w == word), abs=1e-5)
    assert len(ours) > 30
