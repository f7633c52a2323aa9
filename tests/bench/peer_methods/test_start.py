from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ctxshrink.bench import methods
from ctxshrink.bench.data import RagRecord, ToolRecord
from ctxshrink.bench.methods import METHODS, build
from ctxshrink.bench.peer_methods import PEERS, PeerRunner, measure_peer
from ctxshrink.bench.peer_methods.peer_process import WORKERS
from ctxshrink.bench.tasks import TASKS
from ctxshrink.errors import ConfigError

HEADROOM = """
class Made:
    tokens_before = 1
    def __init__(self, messages):
        self.messages = messages

def compress(messages, model, **settings):
    print("noise", settings)
    assert settings == {"protect_recent": 0}
    kept = [dict(m, content=m["content"][: len(m["content"]) // 2]) if m["role"] == "tool" else m for m in messages]
    return Made(kept)
"""


def test_every_peer_has_a_worker_a_task_and_a_name_of_its_own() -> None:
    assert not set(PEERS) & set(METHODS)
    for name, spec in PEERS.items():
        assert spec.method == name
        assert (WORKERS / spec.worker).is_file()
        assert set() < spec.tasks <= set(TASKS)
        assert spec.note.endswith(".")
        assert spec.install
        assert (spec.steps > 1) == bool(spec.knob)


def test_a_package_that_only_its_own_interpreter_has(with_packages: Callable[[Mapping[str, str]], Path]) -> None:
    python = with_packages({"headroom.__init__": HEADROOM})
    [lead, peer] = build(["lead", "headroom"], guardrail=False, task="tools", peers={"headroom-ai": python})
    assert isinstance(peer, PeerRunner)
    with peer:
        record = ToolRecord("t", "t", "en", "Which pump?", "pump 17 was replaced. " * 20, (("pump 17",),))
        seen = measure_peer(TASKS["tools"], "s", peer, record, 0.25)
    assert (seen.method, seen.failed, seen.scores["needles"], seen.setting) == ("headroom", 0, 1.0, "")
    # It has no budget: it runs as it is, and what it is over by is told.
    assert 0.4 < seen.free_after / seen.free_before < 0.6
    assert seen.over == seen.free_after - int(0.25 * seen.free_before)
    assert set(peer.versions) == {"python", "headroom-ai"}
    assert lead.method == "lead"


def test_the_interpreter_may_be_named_by_the_method_too(with_packages: Callable[[Mapping[str, str]], Path]) -> None:
    python = with_packages({"headroom.__init__": HEADROOM})
    [peer] = build(["headroom"], guardrail=False, task="tools", peers={"headroom": python})
    assert isinstance(peer, PeerRunner)
    peer.close()


def test_a_broken_package_is_a_reason_and_what_was_started_is_closed(
    with_packages: Callable[[Mapping[str, str]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    willing = HEADROOM.replace('assert settings == {"protect_recent": 0}', "")
    python = with_packages({"headroom.__init__": willing, "contextpilot.__init__": "raise RuntimeError('no key')"})
    closed = list[str]()
    real = PeerRunner.close
    monkeypatch.setattr(methods.PeerRunner, "close", lambda self: (closed.append(self.method), real(self))[1])
    peers = {"headroom-ai": python, "contextpilot-ai": python}
    with pytest.raises(ConfigError, match="--methods contextpilot: RuntimeError: no key"):
        build(["headroom", "contextpilot"], guardrail=False, peers=peers)
    with pytest.raises(ConfigError, match="not made for tools"):
        build(["headroom", "contextpilot"], guardrail=False, task="tools", peers=peers)
    assert closed.count("headroom") == 2


def test_what_is_missing_is_said_with_what_to_do(tmp_path: Path) -> None:
    missing = tmp_path / "python"
    with pytest.raises(ConfigError, match=r"--peer-python headroom-ai=.*no such file"):
        build(["headroom"], guardrail=False, peers={"headroom-ai": missing})
    with pytest.raises(ConfigError, match="--peer-python hedroom: no such peer; known: headroom, headroom-ai"):
        build(["lead"], guardrail=False, peers={"hedroom": missing})
    with pytest.raises(ConfigError, match="--peer-model headroom: no such peer; known: llmlingua, longllmlingua"):
        build(["lead"], guardrail=False, models={"headroom": missing})
    with pytest.raises(ConfigError, match="got magic"):
        build(["headroom", "magic"], guardrail=False)
    with pytest.raises(ConfigError, match="embeddings-filter: ranks by the question"):
        build(["embeddings-filter"], guardrail=False, asks=False)
    with pytest.raises(ConfigError, match="sentence-optimizer: give --encoder"):
        build(["sentence-optimizer"], guardrail=False)


def test_a_package_that_is_not_here_is_named_with_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctxshrink.bench.peer_methods.runner.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"contextpilot-ai is not installed here.*pip install contextpilot-ai.*--peer-python"
    ):
        build(["contextpilot"], guardrail=False)


def test_llmlingua_2_needs_a_model_that_the_user_names(tmp_path: Path) -> None:
    python = {"llmlingua": Path(sys.executable)}
    with pytest.raises(ConfigError, match="--peer-model llmlingua-2=FOLDER"):
        build(["llmlingua-2"], guardrail=False, peers=python)
    with pytest.raises(ConfigError, match=r"no config.json there"):
        build(["llmlingua-2"], guardrail=False, peers=python, models={"llmlingua-2": tmp_path})


def test_a_record_of_another_shape_fails_alone(with_packages: Callable[[Mapping[str, str]], Path]) -> None:
    shorter = HEADROOM.replace("return Made(kept)", "return Made(kept if 'Shorter' not in str(messages) else kept[:1])")
    shorter = shorter.replace('assert settings == {"protect_recent": 0}', "")
    python = with_packages({"headroom.__init__": shorter})
    [peer] = build(["headroom"], guardrail=False, task="rag", peers={"headroom-ai": python})
    assert isinstance(peer, PeerRunner)
    with peer:
        record = RagRecord("r", "r", "en", "Which?", ({"text": "Shorter", "title": ""},), ("Shorter",), (), ())
        seen = measure_peer(TASKS["rag"], "s", peer, record, 0.5)
    assert "2 messages went in, 1 came out" in seen.failure
    assert seen.scores["score"] == 1.0
