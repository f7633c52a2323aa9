from __future__ import annotations

import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.distill import Source
from ctxshrink.pipeline import Skipped, read
from ctxshrink.pipeline import _records as records

PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


def lines(data: bytes, most: int = 1000) -> list[Source | Skipped]:
    return list(records.read_lines(io.BytesIO(data), "f.jsonl", most))


def listed(data: bytes, most: int = 1000) -> list[Source | Skipped]:
    return list(records.read_list(io.BytesIO(data), "f.json", most))


@pytest.mark.parametrize("ending", PACK)
def test_a_line_is_a_document(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.jsonl{ending}"
    path.write_bytes(PACK[ending](b'{"text": "one"}\r\n\n{"id": "x", "text": "two"}\n"three"'))
    assert list(read([path])) == [
        Source("one", uri=f"{path}#L1"),
        Source("two", uri=f"{path}#x"),
        Source("three", uri=f"{path}#L4"),
    ]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"text": "t", "content": "c"}, Source("t", uri="here")),
        ({"content": "c"}, Source("c", uri="here")),
        ({"page_content": "p", "metadata": {"source": "s", "title": "T"}}, Source("p", title="T", uri="s")),
        ({"text": "t", "url": "u", "id": 7, "title": "T"}, Source("t", title="T", uri="u")),
        ({"text": "t", "id": 0}, Source("t", uri="file#0")),
        ({"text": "t", "id": True, "title": 5, "url": ["u"]}, Source("t", uri="here")),
        ({"text": ["parts"], "content": "c"}, Source("c", uri="here")),
        ("t", Source("t", uri="here")),
        ({"text": "\ud800"}, Source("\ud800", uri="here")),
        ({"text": " "}, Skipped("here", "empty")),
        ("", Skipped("here", "empty")),
        ({"body": "t"}, Skipped("here", "no text in it", "no string under text, content, page_content")),
        (5, Skipped("here", "no text in it", "a JSON int, not an object or a string")),
        (None, Skipped("here", "no text in it", "a JSON NoneType, not an object or a string")),
    ],
)
def test_where_a_record_has_its_text(record: Any, expected: Source | Skipped) -> None:
    assert records.document(record, "here", "file") == expected


def test_a_bad_line_is_named_and_the_rest_goes_on() -> None:
    bad = [b"no json", b'{"text": "cut', b'{"text": "\xff"}', b"[" * 100_000, b"1" * 5000, b'{"text": "\xef\xbb\xbf"}']
    found = lines(b'\xef\xbb\xbf{"text": "first"}\n' + b"\n".join(bad) + b'\n{"text": "last"}\n', most=200_000)
    assert found[0] == Source("first", uri="f.jsonl#L1")
    assert found[-1] == Source("last", uri="f.jsonl#L8")
    skipped = [(item.uri, item.reason) for item in found if isinstance(item, Skipped)]
    assert skipped == [
        ("f.jsonl#L2", "not JSON"),
        ("f.jsonl#L3", "not JSON"),
        ("f.jsonl#L4", "not UTF-8"),
        ("f.jsonl#L5", "not JSON"),
        ("f.jsonl#L6", "not JSON"),
    ]
    assert isinstance(found[6], Source)  # U+FEFF within a text is a character


def test_a_line_that_is_too_long_is_read_over() -> None:
    long = json.dumps({"text": "x" * 100}).encode()
    found = lines(long + b"\n" + b'{"text": "next"}\n' + long, most=50)
    assert found == [
        Skipped("f.jsonl#L1", "larger than a document may be", f"{len(long) + 1} bytes"),
        Source("next", uri="f.jsonl#L2"),
        Skipped("f.jsonl#L3", "larger than a document may be", f"{len(long)} bytes"),
    ]


@pytest.mark.parametrize("size", [-1, 0, 1, 2])
def test_the_longest_line_that_is_read(size: int) -> None:
    line = json.dumps({"text": "x" * (50 + size - 12)}).encode()
    assert len(line) == 50 + size
    for end in (b"", b"\n"):
        [item] = lines(line + end, most=50)
        assert isinstance(item, Source) == (size <= 0)


@pytest.mark.parametrize("ending", [".gz", ".xz"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "none of it"])
def test_a_damaged_archive_gives_what_can_be_read_and_says_so(tmp_path: Path, ending: str, damage: str) -> None:
    whole = PACK[ending](b"".join(b'{"text": "line %d of many"}\n' % i for i in range(5000)))
    path = tmp_path / f"a.jsonl{ending}"
    middle = len(whole) // 2
    path.write_bytes(
        {
            "cut": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :],
            "none of it": b"plain text, not packed",
        }[damage]
    )
    *before, last = read([path])
    assert isinstance(last, Skipped)
    assert last.reason == "cannot be read"
    readable = [i for i in before if isinstance(i, Source)]
    assert damage == "flipped" or all(item.text == f"line {i} of many" for i, item in enumerate(readable[:-1]))


@given(
    st.lists(st.text(min_size=1).filter(str.strip) | st.fixed_dictionaries({"text": st.just("t"), "n": st.floats()}))
)
def test_a_list_gives_what_json_reads(values: list[Any]) -> None:
    data = json.dumps(values, indent=1).encode()
    found = listed(data)
    wanted = [v if isinstance(v, str) else v["text"] for v in values]
    assert [item.text for item in found if isinstance(item, Source)] == wanted


@given(st.lists(st.integers() | st.booleans() | st.text() | st.none(), min_size=1), st.integers(1, 7))
def test_a_list_is_read_piece_by_piece(values: list[Any], chunk: int) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(size)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(records, "_CHUNK", chunk)
        found = list(records._values(Slow(json.dumps(values, ensure_ascii=False).encode()), 1000))
    assert found == values


def test_one_object_is_one_document() -> None:
    assert listed(b' {"text": "all", "title": "T"} ') == [Source("all", title="T", uri="f.json#/0")]


@pytest.mark.parametrize(
    ("data", "number", "reason"),
    [
        (b'["a", "b"', 2, "not JSON"),
        (b'["a", "b" "c"]', 2, "not JSON"),
        (b'["a",]', 1, "not JSON"),
        (b'["a"] "b"', 1, "not JSON"),
        (b'{"text": "a"}\n{"text": "b"}', 1, "not JSON"),
        (b'["a", {"text": "' + b"x" * 3000 + b'"}]', 1, "larger than a document may be"),
        (b'["a", "\xff"]', 0, "not UTF-8"),
        (b'["a", ' + b"[" * 100_000, 1, "not JSON"),
    ],
)
def test_what_follows_a_fault_in_a_list_is_skipped_with_it(
    monkeypatch: pytest.MonkeyPatch, data: bytes, number: int, reason: str
) -> None:
    monkeypatch.setattr(records, "_CHUNK", 400_000 if b"[[" in data else 500)
    *before, last = listed(data)
    assert len(before) == number
    assert isinstance(last, Skipped)
    assert (last.uri, last.reason) == (f"f.json#/{number}", reason)
    assert last.detail.startswith("from here on")


def test_an_xz_file_gets_no_more_memory_than_is_its_due(tmp_path: Path) -> None:
    """This one says that it needs a gigabyte to be unpacked."""
    small = lzma.compress(b'"text"\n', filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}])
    end = 12 + 4 * (small[12] + 1)  # of the header of its first block (The .xz File Format, 3.1)
    block = small[12:16] + bytes([36]) + small[17 : end - 4]  # 36 is a dictionary of 2^30 bytes (5.3.1)
    data = small[:12] + block + zlib.crc32(block).to_bytes(4, "little") + small[end:]
    (path := tmp_path / "a.jsonl.xz").write_bytes(data)
    [item] = read([path])
    assert isinstance(item, Skipped)
    assert "Memory usage limit exceeded" in item.detail


def test_streams_of_xz_follow_each_other(tmp_path: Path) -> None:
    many = b"".join(lzma.compress(b'"%d"\n' % i) + b"\0" * 4 * (i % 3) for i in range(5))
    (path := tmp_path / "a.jsonl.xz").write_bytes(many)
    assert [item.text for item in read([path]) if isinstance(item, Source)] == ["0", "1", "2", "3", "4"]
    path.write_bytes(many + b"more")
    assert [type(item) for item in read([path])][-1] is Skipped
