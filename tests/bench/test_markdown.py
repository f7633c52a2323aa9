from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from ctxshrink.bench.markdown import Sheet, catching, escaped, read_items, to_markdown
from ctxshrink.bench.report import table

EVIL = "a|b <script>alert(1)</script> [x](javascript:1) `c` **d** _e_ \\ & \u202e\x07\nf"


def test_tables_and_lines_are_caught_on_their_way() -> None:
    out, sheets = catching()
    shown = table("best [bold]of[/bold] all", ["name", "score"], caption="a note")
    shown.add_row("ours", "[bold]0.9[/bold] [dim]0.8–1[/dim]")
    shown.add_row("theirs", "0.1")
    out.print(shown)
    out.print("[red]said[/red] once")
    out.print("")
    again = read_items(json.loads(json.dumps(sheets.to_list())))
    assert again == sheets.items
    [sheet, line] = again
    assert isinstance(sheet, Sheet)
    assert line == "said once"
    assert sheet.to_markdown().splitlines() == [
        "**best of all**",
        "",
        "| name | score |",
        "| :-- | --: |",
        "| ours | **0.9 0.8–1** |",
        "| theirs | 0.1 |",
        "",
        "_a note_",
    ]
    assert to_markdown(again).endswith("_\n\nsaid once\n")


def test_a_table_without_anything() -> None:
    assert Sheet.of(Table()).rows == ()


def test_hostile_cells_stay_cells() -> None:
    made = Sheet(EVIL, EVIL, (EVIL, "n"), (False, True), ((EVIL, "1"),)).to_markdown()
    lines = made.splitlines()
    assert len(lines) == 7
    for line in lines[2:5]:
        assert line.replace("\\|", "").count("|") == 3
    assert "<" not in made
    assert "[x]" not in made
    assert "\u202e" not in made


@given(st.text(alphabet="ab1.-+=#>|`*_[]<&\\ \n\t", max_size=12))
def test_an_escaped_text_has_no_bare_signs(text: str) -> None:
    made = escaped(text)
    bare = made
    for sign in "\\`*_[]~|#":
        bare = bare.replace(f"\\{sign}", "") if sign != "\\" else bare.replace("\\\\", "")
    assert not set(bare) & set("`*_[]|#<>\n")


def test_lines_are_no_lists() -> None:
    for text, made in (("- a", "\\- a"), ("1. a", "1\\. a"), ("+", "\\+"), ("---", "\\---"), ("1.5 s", "1.5 s")):
        assert to_markdown([text]) == f"{made}\n"
    assert to_markdown(["--methods x"]).startswith("\\--methods")
