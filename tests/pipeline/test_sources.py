from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.distill import Source
from ctxshrink.errors import ConfigError
from ctxshrink.pipeline import Files, Skipped, read
from ctxshrink.pipeline import sources as sources_module


def of(*paths: Path, max_bytes: int = 1_000_000) -> list[Source | Skipped]:
    return list(read(paths, max_bytes=max_bytes))


def texts(*paths: Path) -> list[str]:
    return [item.text for item in of(*paths) if isinstance(item, Source)]


def only(path: Path, max_bytes: int = 1_000_000) -> Source | Skipped:
    [item] = of(path, max_bytes=max_bytes)
    return item


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def write(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("name", ["a.txt", "a.md", "A.TXT", "a.markdown"])
def test_a_text_is_taken_as_it_stands(write: Callable[[str, bytes], Path], name: str) -> None:
    path = write(name, "# Höhe\r\n\r\nEnde \n".encode())
    assert only(path) == Source("# Höhe\r\n\r\nEnde \n", uri=path.as_posix())


@pytest.mark.parametrize(
    "data", ["wörtlich".encode("utf-8-sig"), "wörtlich".encode("utf-16"), b"\xfe\xff" + "wörtlich".encode("utf-16-be")]
)
def test_a_byte_order_mark_names_the_encoding(write: Callable[[str, bytes], Path], data: bytes) -> None:
    item = only(write("a.txt", data))
    assert isinstance(item, Source)
    assert item.text == "wörtlich"


@pytest.mark.parametrize(
    ("name", "data", "reason", "detail"),
    [
        ("a.txt", "Höhe".encode("latin-1"), "not UTF-8", "byte 1"),
        ("a.html", "<p>Höhe</p>".encode("cp1252"), "not UTF-8", "byte 4"),
        ("a.txt", b"a\0b", "binary data", "NUL at byte 1"),
        ("a.txt", "wide".encode("utf-32"), "binary data", ""),
        ("a.txt", b"", "empty", ""),
        ("a.md", b" \n\t ", "empty", ""),
        ("a.html", b"", "empty", ""),
        ("a.html", b"<html><script>let a = 1;</script></html>", "no text in it", "an HTML page that shows none"),
        ("a.jsonl", b"", "empty", ""),
        ("a.jsonl", b"\n\n", "empty", ""),
        ("a.json", b"[]", "empty", ""),
        ("a.json", b" ", "empty", ""),
        ("a.png", b"x", "unknown type .png", ""),
        ("Makefile", b"x", "unknown type without an ending", ""),
        ("a.txt", b"x" * 1001, "larger than a document may be", "1001 bytes; the most is 1000"),
        ("a.pdf", b"no PDF at all", "cannot be read", ""),
        ("a.pdf", b"", "cannot be read", ""),
    ],
)
def test_what_cannot_be_read_is_skipped_with_a_reason(
    write: Callable[[str, bytes], Path], name: str, data: bytes, reason: str, detail: str
) -> None:
    pytest.importorskip("pypdf")
    path = write(name, data)
    item = only(path, max_bytes=1000)
    assert isinstance(item, Skipped)
    assert (item.uri, item.reason) == (path.as_posix(), reason)
    assert detail in item.detail


def test_a_page_is_what_its_reader_sees(write: Callable[[str, bytes], Path]) -> None:
    html = """<!doctype html><html><head><title> Two
      words </title><style>p {}</style></head><body><h1>Head</h1><p>One <b>bold</b> word.</p>
      <script>hidden()</script><ul><li>first<li>second</ul></body></html>"""
    item = only(write("a.html", html.encode()))
    assert isinstance(item, Source)
    assert item.title == "Two words"
    assert "One bold word." in item.text
    assert "- first\n- second" in item.text
    assert "hidden" not in item.text
    assert "<" not in item.text


def test_folders_are_read_in_order_of_names(write: Callable[[str, bytes], Path], tmp_path: Path) -> None:
    for name in ("c.txt", "a/2.txt", "a/10.txt", "b.txt", "a/deep/er/x.txt"):
        write(name, name.encode())
    assert texts(tmp_path) == ["a/10.txt", "a/2.txt", "a/deep/er/x.txt", "b.txt", "c.txt"]
    assert texts(tmp_path / "c.txt", tmp_path / "a") == ["c.txt", "a/10.txt", "a/2.txt", "a/deep/er/x.txt"]


def test_each_pass_reads_anew(write: Callable[[str, bytes], Path], tmp_path: Path) -> None:
    write("a.txt", b"one")
    files = Files([tmp_path])
    assert len(list(files)) == 1
    write("b.txt", b"two")
    assert len(list(files)) == 2
    assert len(list(pickle.loads(pickle.dumps(files)))) == 2


def test_hidden_files_are_read_where_they_are_named(write: Callable[[str, bytes], Path], tmp_path: Path) -> None:
    write(".hidden/a.txt", b"in hidden")
    dot = write(".b.txt", b"dot")
    assert texts(tmp_path) == []
    assert {str(item.uri) for item in of(tmp_path)} == {(tmp_path / ".hidden").as_posix(), dot.as_posix()}
    assert texts(tmp_path / ".hidden", dot) == ["in hidden", "dot"]


def test_links_are_followed_and_loops_are_not(write: Callable[[str, bytes], Path], tmp_path: Path) -> None:
    write("real/a.txt", b"text")
    (tmp_path / "real" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nothing.txt")
    (tmp_path / "self.txt").symlink_to(tmp_path / "self.txt")
    (tmp_path / "zlink.txt").symlink_to(tmp_path / "real" / "a.txt")
    items = of(tmp_path)
    assert [item.text for item in items if isinstance(item, Source)] == ["text", "text"]
    reasons = {os.path.basename(item.uri): item.reason for item in items if isinstance(item, Skipped)}
    assert reasons == {
        "gone.txt": "a link that leads nowhere",
        "self.txt": "a link that leads nowhere",
        "loop": "a folder that was read already",
    }


def test_what_is_no_file_is_skipped(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert [str(i) for i in of(tmp_path)] == [f"{tmp_path.as_posix()}/pipe.txt: neither a file nor a folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_skipped(write: Callable[[str, bytes], Path], tmp_path: Path) -> None:
    write("a.txt", b"text").chmod(0)
    item = only(tmp_path / "a.txt")
    assert isinstance(item, Skipped)
    assert (item.reason, item.detail) == ("cannot be read", "Permission denied")


def test_names_that_are_not_utf8_are_shown_with_escapes(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    with open(name, "wb") as out:
        out.write(b"text")
    item = only(tmp_path)
    assert isinstance(item, Source)
    assert item.uri.endswith("/caf\\xe9.txt")
    assert item.uri.encode()


@pytest.mark.parametrize("grows", ["once", "always"])
def test_a_file_that_changes_while_it_is_read(
    write: Callable[[str, bytes], Path], monkeypatch: pytest.MonkeyPatch, grows: str
) -> None:
    path = write("a.txt", b"text")
    true, calls = sources_module._state, 0

    def state(raw):
        nonlocal calls
        calls += 1
        found = true(raw)
        if calls == 1 or (grows == "always" and calls % 2):
            path.write_bytes(path.read_bytes() + b" and more")
        return found

    monkeypatch.setattr(sources_module, "_state", state)
    item = only(path)
    if grows == "once":
        assert item == Source("text and more", uri=path.as_posix())
    else:
        assert item == Skipped(path.as_posix(), "changed while it was read", "run again")


def test_lines_that_are_added_while_they_are_read_are_told(write: Callable[[str, bytes], Path]) -> None:
    path = write("a.jsonl", b'{"text": "one"}\n{"text": "two"}\n')
    found: list[Source | Skipped] = []
    for item in read([path]):
        if not found:
            path.write_bytes(path.read_bytes() + b'{"text": "three"}\n')
        found.append(item)
    assert isinstance(found[-1], Skipped)
    assert found[-1].reason == "changed while it was read"


def test_bytes_are_counted_for_a_progress_bar(write: Callable[[str, bytes], Path], tmp_path: Path) -> None:
    write("a.txt", b"x" * 100)
    write("b.jsonl", b'{"text": "one"}\n{"text": "two"}\n')
    write("c.png", b"x" * 1000)
    files = Files([tmp_path])
    assert files.total() == 132
    seen = [files.done for _ in files]
    assert seen == sorted(seen)
    assert files.done == 132


@pytest.mark.parametrize("paths", [[], ["nowhere"], "text"])
def test_wrong_paths_are_refused_at_once(tmp_path: Path, paths) -> None:
    with pytest.raises(ConfigError):
        read([tmp_path / p for p in paths] if isinstance(paths, list) else paths)


def test_the_most_of_a_document_is_one_byte_or_more(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_bytes"):
        read([tmp_path], max_bytes=0)


@given(
    st.sampled_from(["a.txt", "a.md", "a.html", "a.jsonl", "a.json", "a.pdf", "a.jsonl.gz", "a.jsonl.xz"]), st.data()
)
def test_no_bytes_make_a_reader_raise(tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("any") / name
    content = st.binary(max_size=200) | st.text(alphabet='[]{}",:\\ \nutextcon12<>a/', max_size=200).map(str.encode)
    path.write_bytes(data.draw(content))
    items: Iterator[Source | Skipped] = iter(read([path], max_bytes=150))
    for item in items:
        assert item.uri.startswith(path.as_posix())
        if isinstance(item, Source):
            assert item.text.strip()
