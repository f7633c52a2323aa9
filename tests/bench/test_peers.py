from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from ctxshrink.bench import peers as module
from ctxshrink.bench.peers import Peer, Skipped, peers
from ctxshrink.errors import MissingExtraError

PASSAGES = [
    "The pump in hall seven was replaced in May. It had run dry. Nobody knew why.",
    "The valve was ordered in Turin. It was late by nine days. Nobody complained about that.",
]
TINY = {
    "vocab_size": 300,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 512,
}


def found(folder: Path, monkeypatch: pytest.MonkeyPatch, cleanup: ExitStack, *missing: str) -> list[Peer | Skipped]:
    spec = module.find_spec
    monkeypatch.setattr(module, "_SHAPE", TINY)
    monkeypatch.setattr(module, "find_spec", lambda name: None if name in missing else spec(name))
    return list(peers(folder, cleanup))


def test_peers_shorten_what_they_are_given(encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as cleanup:
        made = [p for p in found(encoder_folder, monkeypatch, cleanup) if isinstance(p, Peer)]
        assert [p.name for p in made][-2:] == ["LLMLingua-2, passages as a list", "LLMLingua-2, passages joined"]
        for peer in made:
            out = peer.run("When was the pump replaced?", PASSAGES, 0.4)
            assert 0 < sum(map(len, out)) < 0.8 * sum(map(len, PASSAGES)), peer.name


def test_missing_packages_are_reasons(encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as cleanup:
        skipped, as_list, joined = found(encoder_folder, monkeypatch, cleanup, "sentence_transformers", "llmlingua")
        assert isinstance(skipped, Skipped)
        assert "pip install sentence-transformers" in skipped.reason
        assert isinstance(as_list, Peer)
        assert isinstance(joined, Peer)
        assert "a lower bound on its time" in as_list.note
        assert "random weights" in as_list.note
        out = as_list.run("", PASSAGES, 0.4)
        assert len(out) == 2
        whole = " ".join(PASSAGES).lower()
        kept = [word for text in out for word in text.split() if len(word) > 3]
        assert kept
        assert any(word in whole for word in kept)
        # Windows: a text longer than one is read to its end.
        [long] = joined.run("", [" ".join(f"pump {i}" for i in range(900))], 0.5)
        assert "89" in long.replace(" ", "")


def test_without_the_extra(encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    with ExitStack() as cleanup, pytest.raises(MissingExtraError, match="bench"):
        found(encoder_folder, monkeypatch, cleanup, "sentence_transformers")
