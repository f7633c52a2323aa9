from __future__ import annotations

import io
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from ctxshrink.distill import Source
from ctxshrink.pipeline import Skipped, read

pypdf = pytest.importorskip("pypdf")


def pdf(*pages: str) -> bytes:
    """A PDF file with a line of text on each page."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, text in enumerate(pages):
        content = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET" if text else ""
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * i} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>",
            f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        ]
    out, places = b"%PDF-1.4\n", list[int]()
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode()
    return out + f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()


def test_a_page_is_a_document(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf("The first page.", "", "The third."))
    assert list(read([path])) == [
        Source("The first page.", uri=f"{path}#page=1"),
        Skipped(f"{path}#page=2", "no text in it", "a page without letters: a scan?"),
        Source("The third.", uri=f"{path}#page=3"),
    ]


def test_the_title_comes_from_the_file(tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("Some text.")))
    writer.add_metadata({"/Title": "A title"})
    writer.write(tmp_path / "a.pdf")
    [item] = read([tmp_path / "a.pdf"])
    assert isinstance(item, Source)
    assert item.title == "A title"


def test_an_encrypted_file_is_skipped(tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("Secret.")))
    writer.encrypt("password", algorithm="RC4-128")
    writer.write(tmp_path / "a.pdf")
    assert list(read([tmp_path / "a.pdf"])) == [Skipped(f"{tmp_path}/a.pdf", "encrypted")]


def test_a_file_that_is_encrypted_with_aes_says_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    keys = f"/U <{'00' * 48}> /O <{'00' * 48}> /UE <{'00' * 32}> /OE <{'00' * 32}> /Perms <{'00' * 16}>"
    cipher = "/CF << /StdCF << /CFM /AESV3 /Length 32 >> >> /StmF /StdCF /StrF /StdCF"
    locked = f"/Encrypt << /Filter /Standard /V 5 /R 6 /Length 256 /P -4 {keys} {cipher} >> /ID [<00> <00>] /Root"
    path.write_bytes(pdf("Secret.").replace(b"/Root", locked.encode()))
    needs = "" if find_spec("cryptography") else "with AES, which needs another package: pip install cryptography"
    assert list(read([path])) == [Skipped(str(path), "encrypted", needs)]


def test_a_page_with_too_much_text_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf("The first page.", "Short."))
    first, second = read([path], max_bytes=10)
    assert first == Skipped(f"{path}#page=1", "larger than a document may be", "15 bytes")
    assert second == Source("Short.", uri=f"{path}#page=2")


def test_a_page_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    data = pdf("The first.", "The second.", "The third.")
    path = tmp_path / "a.pdf"
    start = data.index(b"/Length", data.index(b"7 0 obj"))  # of the second page's content
    broken = data[:start] + b"/Filter /A " + data[start + 11 :]
    assert broken != data
    path.write_bytes(broken)
    items = list(read([path]))
    assert [type(i) for i in items] == [Source, Skipped, Source]


def test_without_the_package_its_command_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    (tmp_path / "a.pdf").write_bytes(pdf("text"))
    [item] = read([tmp_path])
    assert isinstance(item, Skipped)
    assert 'pip install "ctxshrink[distill]"' in item.reason
