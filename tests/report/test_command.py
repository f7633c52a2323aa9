"""``ctxshrink report``: a page beside its input, and for a wrong file what it is and how to make a right one."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ctxshrink import Conversation
from ctxshrink.report import Trace
from ctxshrink.report.command import report
from tests.report.traffic import CHUNKS, HOSTILE, shrinker, turn, user

app = typer.Typer()
app.command()(report)
HOW = 'a report is made from a trace (Shrinker(telemetry=Trace("trace.jsonl"))'


def run(*arguments: object, given: bytes | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(a) for a in arguments], input=given, env={"COLUMNS": "400"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


def result_text(**options: Any) -> str:
    return json.dumps({"output": None, **shrinker().shrink_documents(CHUNKS, "Who?").to_dict(text=True, **options)})


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    side = Conversation(shrinker(Trace(tmp_path / "post.jsonl")))
    for n in range(3):
        side.extend(turn(n), keep=0.4)
    return tmp_path / "post.jsonl"


def data_of(page: Path) -> dict[str, Any]:
    text = page.read_text("utf-8")
    start = text.index(">", text.index('type="application/json"')) + 1
    return json.loads(text[start : text.index("</script>", start)])


def test_a_trace_becomes_a_page_beside_it(trace: Path) -> None:
    code, said = run(trace, "--no-heat")
    page = trace.with_suffix(".html")
    assert (code, said) == (0, f"written to {page}")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    data = data_of(page)
    assert (data["title"], len(data["calls"]), data["heats"]) == ("post.jsonl", 3, [])
    assert any("letter 2-7" in text for text in data["texts"])


def test_the_same_trace_gives_the_same_bytes(trace: Path) -> None:
    for name in ("one.html", "two.html"):
        assert run(trace, "--heat-tokens", 40, "-o", trace.parent / name)[0] == 0
    one = trace.parent / "one.html"
    assert one.read_bytes() == (trace.parent / "two.html").read_bytes()
    assert data_of(one)["heats"]


def test_results_as_json(tmp_path: Path) -> None:
    one, several = tmp_path / "one.json", tmp_path / "several.jsonl"
    one.write_text("\ufeff" + json.dumps(json.loads(result_text()), indent=2), "utf-8")
    several.write_text(f"{result_text()}\n{result_text()}\n", "utf-8")
    assert run(one, "--no-heat", "--title", "My <b>post</b>")[0] == 0
    assert run(several, "--no-heat")[0] == 0
    assert data_of(tmp_path / "one.html")["title"] == "My <b>post</b>"
    assert [len(data_of(tmp_path / f"{n}.html")["calls"]) for n in ("one", "several")] == [1, 2]


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("-", "--no-heat", given=result_text().encode())[0] == 0
    assert (tmp_path / "report.html").read_bytes()[:15].lower() == b"<!doctype html>"


def test_money(trace: Path) -> None:
    assert run(trace, "--no-heat", "--model", "claude-sonnet-4.6")[0] == 0
    assert "dollars" in " ".join(data_of(trace.with_suffix(".html"))["savings"]["net"])
    code, said = run(trace, "--no-heat", "--model", "no-such-model", "-o", trace.parent / "x.html")
    assert code == 2
    assert "no prices are known for the model" in said
    assert "--model" in run(trace, "--prices", trace)[1]


def test_it_opens_the_page_where_asked(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert run(trace, "--no-heat", "--open")[0] == 0
    assert opened == [trace.with_suffix(".html").resolve().as_uri()]


def test_nothing_is_replaced_unasked(trace: Path) -> None:
    page = trace.with_suffix(".html")
    page.write_text("<!DOCTYPE html><p>mine", "utf-8")
    code, said = run(trace, "--no-heat")
    assert code == 2
    assert f"{page} is there already; name it with --out" in said
    assert page.read_text("utf-8") == "<!DOCTYPE html><p>mine"
    assert run(trace, "--no-heat", "--out", page)[0] == 0
    before = trace.read_bytes()
    code, said = run(trace, "--no-heat", "--out", trace)
    assert (code, trace.read_bytes()) == (2, before)
    assert "is there already and is no HTML page" in said
    assert "no such folder" in run(trace, "--out", trace.parent / "no" / "x.html")[1]


WRONG = {
    "empty": (b"", "empty; " + HOW),
    "white": (b" \n\n", "empty"),
    "page": (b"<!doctype html><p>x", "looks like HTML, such as a report itself"),
    "prose": (b"Dear all, the beans are up.", "not JSON"),
    "binary": (b"\x80\x00\xff", "not JSON"),
    "deep": (b"[" * 5000, "not JSON"),
    "messages": (json.dumps([user("Hello")]).encode(), "messages or documents that were not shrunk yet"),
    "request": (json.dumps({"messages": [user("Hello")]}).encode(), "messages or documents that were not shrunk yet"),
    "chunks": (json.dumps({"text": "x"}).encode(), "not shrunk yet"),
    "other": (b'{"a": 1}', "neither a trace nor a result"),
    "number": (b"7", "neither a trace nor a result"),
    "list": (b"[]", "neither a trace nor a result"),
    "no-calls": (b'{"trace":"ctxshrink","version":1,"run":"a"}\n', "a trace without a call"),
    "newer": (b'{"trace":"ctxshrink","version":9,"run":"a"}\n', "update it"),
    "torn": (result_text().encode()[:-9], "not JSON"),
    "figures": (b'{"settings": {}, "environment": {}}', "figures of one benchmark, without tables"),
    "no-tables": (b'{"kind": "ctxshrink bench", "bench": {"tables": 3}}', "its tables cannot be read"),
    "rows": (b'{"decisions": [1], "tokens_before": 1, "tokens_after": 1}', "decisions must be a list of objects"),
    "half": (b'{"decisions": [], "tokens_before": 1, "tokens_after": 1}', "not a whole result"),
    "odd": (b'{"decisions": 3, "tokens_before": 1, "tokens_after": 1}', "not a whole result"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_told_from_a_right_one(tmp_path: Path, name: str) -> None:
    content, expected = WRONG[name]
    (tmp_path / f"{name}.json").write_bytes(content)
    code, said = run(tmp_path / f"{name}.json", "--no-heat")
    assert code == 2
    assert f"{name}.json: " in said
    assert expected in said
    assert list(tmp_path.glob("*.html")) == []


def test_a_result_without_texts_says_how_to_write_one_with_them(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_text(json.dumps(shrinker().shrink_documents(CHUNKS).to_dict()), "utf-8")
    code, said = run(file)
    assert code == 2
    assert "a result without texts, which a report shows; `ctxshrink shrink FILE --json`" in said
    assert "cannot be read" in run(tmp_path / "none.json")[1]
    assert "cannot be read" in run(tmp_path, "--out", tmp_path / "x.html")[1]


def test_figures_of_a_benchmark(tmp_path: Path) -> None:
    plot = '<svg xmlns="http://www.w3.org/2000/svg"><title>Quality</title></svg>'
    table = {"chapter": "rag", "title": "Kept", "columns": ["method", 0.5], "rows": [["lead", 0.4], [None, [1]]]}
    skipped = [{"part": "rag", "name": "other", "reason": "not installed"}]
    figures = {"kind": "ctxshrink bench", "skipped": skipped, "bench": {"tables": [table], "plots": [plot, 3]}}
    (tmp_path / "results.json").write_text(json.dumps(figures), "utf-8")
    assert run(tmp_path / "results.json")[0] == 0
    data = data_of(tmp_path / "results.html")
    assert data["calls"] == []
    assert data["bench"]["plots"] == [plot]
    first, last = data["bench"]["tables"]
    assert (first["title"], first["columns"], first["note"]) == ("rag: Kept", ["method", "0.5"], None)
    assert first["rows"] == [["lead", 0.4], [None, "[1]"]]
    assert last["rows"] == [["rag", "other", "not installed"]]


def test_hostile_texts_stay_data(tmp_path: Path) -> None:
    maker = shrinker(Trace(tmp_path / "t.jsonl"))
    maker.shrink_documents(list(HOSTILE), HOSTILE[0])
    assert run(tmp_path / "t.jsonl", "--no-heat")[0] == 0
    page = (tmp_path / "t.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert set(HOSTILE) <= set(data_of(tmp_path / "t.html")["texts"])


def test_a_page_given_by_mistake_is_told_from_a_page_in_the_way(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_text("<!doctype html><p>A page.</p>", encoding="utf-8")
    code, said = run(page)
    assert code == 2
    assert "is there already" not in said
    assert HOW in said
