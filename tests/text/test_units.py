"""Units of selection by content type, protected spans, content types."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.text import MAX_UNIT, content_type, json_parents, protected_spans, units
from ctxshrink.text._units import MAX_DEPTH
from ctxshrink.types import ContentType

TYPES: tuple[ContentType, ...] = ("prose", "json", "log", "code", "diff", "table", "html")

LOG = "\n".join(f"2024-05-0{i} 10:00:0{i} INFO worker started job {i}" for i in range(1, 9))
CODE = "import os\n\n\ndef size(path):\n    if not path:\n        return 0\n    return os.stat(path).st_size\n"
DIFF = "--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,3 @@\n import os\n-a = 1\n+a = 2\n"
TABLE = "| name | age |\n|---|---|\n| Ann | 31 |\n| Bob | 45 |"
CSV = "name,age,town\nAnn,31,Rome\nBob,45,Oslo\nCid,20,Bonn"
HTML = "<html><body><div><p>One.</p><p>Two.</p></div><ul><li>a</li><li>b</li></ul></body></html>"
PROSE = "The meeting is on Friday. Bring the report, the slides and the figures.\n\nIt starts at ten."


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (LOG, "log"),
        (CODE, "code"),
        (DIFF, "diff"),
        (TABLE, "table"),
        (CSV, "table"),
        (HTML, "html"),
        (PROSE, "prose"),
        ("# Title\n\nSome text.\n\n```python\nx = 1\n```\n", "prose"),
        ('{"a": 1, "b": [2, 3]}', "json"),
        ('[{"a": 1},\n {"a": 2}]', "json"),
        ('{"a": 1}\n{"a": 2}\n{"a": 3}', "json"),
        ('{"items": [{"id": 1, "name": "x"}, {"id": 2, "na', "json"),
        ("[a link](https://x.example) in prose", "prose"),
        ("", "prose"),
        ("  \n ", "prose"),
        ("ok", "prose"),
        ("The <b>fare</b> is 40 euros. <span>The bus</span> is green. <em>Birds</em> sing.", "prose"),
    ],
)
def test_content_type(text: str, wanted: str) -> None:
    assert content_type(text) == wanted


def test_content_type_reads_a_bounded_sample() -> None:
    assert content_type(LOG * 2000) == "log"
    assert content_type("[" * 100_000) in TYPES


@pytest.mark.parametrize(
    "item",
    [
        "https://a.example/b/c.html?x=1&y=2",
        "ann@mail.example.org",
        "/usr/local/lib/x.py",
        "src/pkg/mod.py",
        "C:\\Users\\ann",
        "3.5 million",
        "12 km/h",
        "45 %",
        "$4.20",
        "1.234,56 €",
        "3. Mai 2024",
        "May 3, 2024",
        "3 de mayo de 2024",
        "2024-05-03T10:15:00",
        "2024年5月3日",
        "10:30 p.m.",
        "550e8400-e29b-41d4-a716-446655440000",
        "INV-2291",
        "foo.bar.baz",
        "`x = 1`",
        "v1.2.3",
        "No. 5",
    ],
)
def test_protected(item: str) -> None:
    text = f"so {item} then"
    assert any(s <= 3 and e >= 3 + len(item) for s, e in protected_spans(text))


def test_protected_blocks() -> None:
    text = "Text.\n```\nx = 1\ny = 2\n```\nMore.\n| a | b |\n| 1 | 2 |"
    found = [text[s:e] for s, e in protected_spans(text)]
    assert {"x = 1", "y = 2", "| a | b |", "| 1 | 2 |"} <= set(found)


def test_json_units_do_not_depend_on_layout() -> None:
    value = {
        "id": "GV1N64",
        "user": {"name": "a", "deep": {"x": [1, 2], "y": {"z": 1}}},
        "rows": [{"n": 1}, {"n": 2}],
        "p": None,
    }
    one_line = json.dumps(value)
    members = [one_line[s:e] for s, e in units(one_line, "json")]
    assert '"id": "GV1N64",' in members
    assert '"p": null}' in members
    assert '{"n": 1},' in members
    pretty = json.dumps(value, indent=2)
    lines = [pretty[s:e] for s, e in units(pretty, "json")]
    assert '"id": "GV1N64",' in lines
    assert '"p": null' in lines


def test_chains_of_parents_are_bounded() -> None:
    text = '{"a": [1, ' * 2000
    spans = units(text, "json")
    parents = json_parents(text, spans)
    for unit in range(len(spans)):
        chain = 0
        while unit >= 0:
            unit, chain = parents[unit], chain + 1
        assert chain <= MAX_DEPTH + 2
    assert max(parents) > 0


def test_json_parents_name_the_enclosing_member() -> None:
    text = '{"a": 1, "user": {"id": 5, "more": {"deep": {"k": 1}}}}'
    spans = units(text, "json")
    texts = [text[s:e] for s, e in spans]
    parents = json_parents(text, spans)
    assert texts[parents[texts.index('"id": 5,')]] == '"user": {'
    assert all(p < i for i, p in enumerate(parents))


def test_markdown_units() -> None:
    text = "# Title\nText here. More text.\n\n- one item\n- two items\n\n```\na = 1\n  b = 2\n```\n| x | y. Z |"
    assert [text[s:e] for s, e in units(text, "prose")] == [
        "# Title", "Text here.", "More text.", "- one item", "- two items", "```", "a = 1", "  b = 2", "```",
        "| x | y. Z |",
    ]  # fmt: skip


def test_long_units_split_at_clauses_outside_protected_spans() -> None:
    clause = "the crew checked the valve, the pump and the pipe at site INV-2291 for 3.5 million dollars"
    text = "; ".join([clause] * 40)
    spans = units(text, "prose")
    assert len(spans) > 3
    assert all(e - s <= MAX_UNIT for s, e in spans)
    cuts = {s for s, _ in spans} | {e for _, e in spans}
    assert not any(s < cut < e for s, e in protected_spans(text) for cut in cuts)


@pytest.mark.parametrize("kind", ["prose", "json", "log", "html"])
@pytest.mark.parametrize("char", ["a", ".", "(", "1", " ", '"', "{", "[", "`", "|", "<", "中", "。", "/", '\\"'])
def test_one_endless_run(kind: ContentType, char: str) -> None:
    text = char * (20_000 // len(char))
    spans = units(text, kind)
    assert "".join(text[s:e] for s, e in spans).replace(" ", "") == text.replace(" ", "")
    if char in "a1中.":
        assert spans == [(0, len(text))]
    protected_spans(text)


PIECES = st.lists(
    st.sampled_from(
        [*"aB1.?。\n\r ,:'\"\\{}[]()<>|#-`é中\x00\ud800", '"k": ', "<p>", "</li>", "```\n", "| a |\n", "x" * 700]
    ),
    max_size=50,
).map("".join)


@given(st.one_of(PIECES, st.text(max_size=200)), st.sampled_from(TYPES))
def test_units_cover_everything(text: str, kind: ContentType) -> None:
    spans = units(text, kind)
    end = 0
    for s, e in spans:
        assert end <= s < e <= len(text)
        assert not text[end:s].strip()
        assert text[s:e].strip()
        end = e
    assert not text[end:].strip()
    if kind == "json":
        parents = json_parents(text, spans)
        assert len(parents) == len(spans)
        assert all(-1 <= p < i for i, p in enumerate(parents))


@given(st.one_of(PIECES, st.text(max_size=200)))
def test_protected_spans_are_ordered(text: str) -> None:
    end = 0
    for s, e in protected_spans(text):
        assert end <= s < e <= len(text)
        end = e
