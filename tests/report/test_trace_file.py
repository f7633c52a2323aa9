"""The file: its owner's alone, whole lines from any number of writers, and never in a caller's way."""

import logging
import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import ConfigError, Conversation
from ctxshrink.report import Trace
from ctxshrink.report._reader import read_trace
from ctxshrink.types import Decision
from tests.report.traffic import CHUNKS, read, shrinker, turn
from tests.strategies import PROPERTY

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from ctxshrink import Conversation
from ctxshrink.report import Trace
from tests.report.traffic import shrinker, turn

side = Conversation(shrinker(Trace(sys.argv[1])))
for n in range(6):
    side.extend(turn(n, "post"), keep=0.4)
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("trace") / "t.jsonl"
    side = Conversation(shrinker(Trace(path)))
    for n in range(3):
        side.extend(turn(n)[:2], keep=0.4)
    return path.read_bytes()


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    trace = Trace(path)
    assert not path.exists()
    shrinker(trace).shrink_documents(CHUNKS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@PROPERTY
@given(st.data())
def test_what_stands_before_a_torn_line_is_read(
    recorded: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    head = recorded.index(b"\n") + 1
    path = tmp_path_factory.mktemp("torn") / "t.jsonl"
    whole = recorded[: data.draw(st.integers(head, len(recorded)))]
    path.write_bytes(whole)
    found = read_trace(path)
    assert len(found.calls) in {n := whole.count(b'\n{"call":'), n - 1}
    assert found.unread <= 1
    assert all(call.whole for call in found.calls)
    shrinker(Trace(path)).shrink_documents(CHUNKS)
    again = read_trace(path)
    assert again.calls[: len(found.calls)] == found.calls
    assert again.results()[-1].decisions == shrinker().shrink_documents(CHUNKS).decisions


def test_two_processes_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    command = [sys.executable, "-c", WRITER, str(path)]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    found = read(path)
    assert len(found.calls) == 12
    by_run: dict[object, list[int]] = {}
    for call in found.calls:
        by_run.setdefault(call.conversation, []).append(call.fields["before"])
    one, two = by_run.values()
    assert one == two == sorted(one)
    texts = [line for line in path.read_bytes().splitlines() if line.startswith(b'{"text"')]
    assert len(texts) == len(set(texts)) == len(found.texts)


def test_threads_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    maker = shrinker(Trace(path))

    def play(name: str) -> None:
        side = Conversation(maker)
        for n in range(4):
            side.extend(turn(n, name), keep=0.4)

    names = [f"box{i}" for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(play, names))
    found = read(path)
    last: dict[object, str] = {}
    for call, result in zip(found.calls, found.results(), strict=True):
        last[call.conversation] = " ".join(d.segment.text for d in result.decisions if d.segment.kind == "user")
    assert sorted(last.values()) == sorted(" ".join(f"What is in {n} {k}?" for k in range(4)) for n in names)


def test_a_failure_is_logged_once_and_without_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    side = Conversation(shrinker(Trace(folder / "t.jsonl")))
    plain = Conversation(shrinker())
    side.extend(turn(0), keep=0.4)
    plain.extend(turn(0), keep=0.4)
    shutil.rmtree(folder)
    with caplog.at_level(logging.DEBUG, "ctxshrink"):
        outputs = [side.extend(turn(n), keep=0.4).output for n in (1, 2)]
    assert outputs == [plain.extend(turn(n), keep=0.4).output for n in (1, 2)]
    [said] = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert "FileNotFoundError" in said
    assert "letter" not in caplog.text
    folder.mkdir()
    side.extend(turn(3), keep=0.4)
    [call] = read_trace(folder / "t.jsonl").calls
    assert not call.whole  # What came before is not there, and the call says so.
    [result] = read_trace(folder / "t.jsonl").results()
    assert [d.segment.text for d in result.decisions if d.segment.kind == "user"] == ["What is in post 3?"]


@pytest.mark.parametrize("how", ["moved", "emptied"])
def test_a_file_that_was_taken_away_is_begun_again(tmp_path: Path, how: str) -> None:
    path = tmp_path / "t.jsonl"
    maker = shrinker(Trace(path))
    maker.shrink_documents(CHUNKS)
    first = read(path)
    path.rename(tmp_path / "old.jsonl") if how == "moved" else path.write_bytes(b"")
    maker.shrink_documents(CHUNKS)
    assert read(path).results()[0].decisions == first.results()[0].decisions


def test_another_file_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes", "utf-8")
    with pytest.raises(ConfigError, match=r"is there already and is no trace; name another file"):
        Trace(path)
    with pytest.raises(ConfigError, match="no such folder"):
        Trace(tmp_path / "no" / "t.jsonl")
    with pytest.raises(ConfigError, match="is a folder"):
        Trace(tmp_path)
    assert path.read_text("utf-8") == "my notes"
    (tmp_path / "empty.jsonl").touch()
    assert repr(Trace(tmp_path / "empty.jsonl")).endswith("empty.jsonl')")


def test_a_newer_trace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"trace":"ctxshrink","version":2,"run":"a"}\n', "utf-8")
    with pytest.raises(ConfigError, match="version 2; this ctxshrink reads version 1"):
        read_trace(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trace(tmp_path / "no.jsonl")


LINES = (b"[]", b"7", b'"text"', b"{}", b'{"call":{}}', b'{"decision":"x"}', b'{"text":"x"}', b"\xff\xfe", b"[" * 9000)


def test_lines_that_are_none_are_counted(recorded: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(recorded + b"\n".join(LINES) + b"\n")
    found = read_trace(path)
    assert (len(found.calls), found.unread) == (3, len(LINES))


def test_a_call_whose_decision_is_missing_is_not_whole(recorded: bytes, tmp_path: Path) -> None:
    lines = recorded.splitlines(keepends=True)
    gone = next(i for i, line in enumerate(lines) if line.startswith(b'{"decision"'))
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
    found = read_trace(path)
    assert not found.calls[0].whole
    assert len(found.results()[0].decisions) == len(read_whole(recorded, tmp_path)) - 1


def read_whole(recorded: bytes, folder: Path) -> tuple[Decision, ...]:
    (folder / "whole.jsonl").write_bytes(recorded)
    return read(folder / "whole.jsonl").results()[0].decisions


FORKED = """
import os, sys
from ctxshrink import Conversation
from ctxshrink.report import Trace
from tests.report.traffic import shrinker, turn

side = Conversation(shrinker(Trace(sys.argv[1]), counter=lambda text: len(text.split())))
side.extend(turn(0), keep=0.4)
child = os.fork()
side.extend(turn(1, "child" if not child else "post"), keep=0.4)
os._exit(0) if not child else sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_calls_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    assert subprocess.run([sys.executable, "-c", FORKED, str(path)], cwd=ROOT, timeout=120, check=False).returncode == 0
    found = read_trace(path)
    assert len(found.calls) == 3
    assert len({call.fields["run"] for call in found.calls}) == 2
    shown = [" ".join(d.segment.text for d in r.decisions if d.segment.kind == "user") for r in found.results()]
    assert shown[0] == "What is in post 0?"
    assert set(shown[1:]) == {"What is in post 0? What is in post 1?", "What is in post 0? What is in child 1?"}
    assert all(call.whole for call in found.calls)
