"""Table layouts: the cells are the source's, every choice of them is a table that says what is missing."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.structure.layout import plain
from ctxshrink.structure.table import layout

CSV = (
    "season,class,team,points\n"
    '2004,125cc,"Aprilia, Noale",0\n'
    "2005,125cc,Derbi,1\n"
    "2006,125cc,Derbi,53\n"
    '2007,,"Derbi ""B""\nteam",19\n'
    "2008,125cc,Aprilia,176\n"
)
MARKDOWN = """
| id    | name          |   qty |
| :---- | ------------- | ----: |
| a-1   | heron \\| crane |    30 |
| a-2   |               |     4 |
| a-3   | owl           |  1200 |
"""


def test_a_csv_stays_as_it_is_and_its_cells_are_units() -> None:
    made = layout(CSV)
    assert made is not None
    assert made.text == CSV
    assert made.form == ""
    cells = [made.text[s:e] for s, e in made.spans]
    assert cells[:4] == ["2004", "125cc", '"Aprilia, Noale"', "0"]
    assert '"Derbi ""B""\nteam"' in cells
    assert made.labels[:4] == ("season", "class", "team", "points")
    assert len(set(made.groups)) == 5


def test_a_choice_of_cells_is_a_table_that_counts_what_is_missing() -> None:
    made = layout(CSV)
    assert made is not None
    assert made.renderer is not None
    kept = [i for i, (s, e) in enumerate(made.spans) if made.text[s:e] in ("2005", "Derbi", "2008", "176")]
    assert made.renderer(kept, False) == (
        "season,team,points\n[… 1 column omitted: class]\n[… 1 row omitted]\n2005,Derbi,…\n…,Derbi,…\n[…1]\n2008,…,176"
    )
    assert made.renderer(range(len(made.spans)), False) == CSV


def test_markdown_loses_its_padding_only() -> None:
    made = layout(MARKDOWN)
    assert made is not None
    assert made.text == "|id|name|qty|\n|:-|-|-:|\n|a-1|heron \\| crane|30|\n|a-2||4|\n|a-3|owl|1200|"
    assert made.form
    assert made.renderer is not None
    assert made.renderer([0, 2], True) == "|id|qty|\n|:-|-:|\n[… 1 column omitted: name]\n|a-1|30|\n[…2]"


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_other_separators(separator: str) -> None:
    made = layout(CSV.replace('"Aprilia, Noale"', "Aprilia").replace(",", separator))
    assert made is not None
    assert made.labels[1] == "class"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b",
        "a,b\n1,2",
        "words\nmore words\nand more",
        "| a | b |\nno rule\n",
        "|||\n\n",
        "\t\ta();\n\t\tb();\n\t\tc();",
    ],
)
def test_what_is_no_table_stands_as_it_is(text: str) -> None:
    assert layout(text) is None


_CELL = st.one_of(
    st.text(max_size=8), st.sampled_from(["a,b", 'say "so"', "two\nlines", "…", "[…2]", "", "7", "x" * 50])
)


@given(st.lists(st.lists(_CELL, min_size=3, max_size=3), min_size=3, max_size=8), st.data())
@settings(max_examples=150, deadline=None)
def test_any_csv(rows: list[list[str]], data: st.DataObject) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    made = layout(out.getvalue())
    if made is None:
        return
    assert made.renderer is not None
    end = 0
    for s, e in made.spans:
        assert end <= s < e <= len(made.text)
        end = e
    n = len(made.spans)
    kept = sorted(data.draw(st.sets(st.integers(0, n - 1))))
    text = made.renderer(kept, False)
    assert all(made.text[made.spans[i][0] : made.spans[i][1]] in text for i in kept)
    assert (text == made.text) if len(kept) == n else ("…" in text)


@pytest.mark.parametrize(
    "text", ["|" * 200_000, '"' * 200_000, "a," * 100_000, "a,b\n" + '1,"' * 60_000, " |\n" * 60_000]
)
def test_hostile_texts_end(text: str) -> None:
    made = layout(text)
    assert made is None or made.spans


@pytest.mark.parametrize(
    "text",
    [
        "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\n| c | d |\n|---|---|\n| 5 | 6 |\n| 7 | 8 |",
        "name,age\nx,1\ny,2\n\ncity,pop\na,3\nb,4\n",
    ],
)
def test_a_second_table_keeps_its_own_names(text: str) -> None:
    assert layout(text) is None
    made = plain(text, "table")
    rows = [text[s:e] for s, e in made.spans]
    last, second = len(rows) - 1, next(i for i, row in enumerate(rows) if row.lstrip("| ")[0] == "c")
    assert made.parents[last] == second
    assert made.parents[second] == 0


def test_blank_lines_are_no_rows() -> None:
    made = layout("a,b\n1,2\n3,4\n\n5,6\n")
    assert made is not None
    assert made.renderer is not None
    assert made.renderer([4, 5], False) == "a,b\n[… 2 rows omitted]\n5,6"


def test_a_backslash_at_the_end_of_a_cell_does_not_join_it_to_the_next() -> None:
    made = layout("| path | size |\n| ---- | ---- |\n| C:\\a\\ | 5 |\n| D:\\ | 6 |")
    assert made is not None
    assert made.text == "|path|size|\n|-|-|\n|C:\\a\\ |5|\n|D:\\ |6|"


def test_lines_below_a_markdown_table_keep_their_blanks() -> None:
    made = layout(MARKDOWN + "\n    total = 3\n")
    assert made is not None
    assert made.text.endswith("|a-3|owl|1200|\n\n    total = 3")
    assert layout("| a |\n|---|\n| x |\n| y |\n\nNo cell of it.") is None


_WIDTHS = st.lists(st.sampled_from([4, 4, 4, 4, 4, 4, 3, 2, 6, 1]), min_size=2, max_size=9)


@given(_WIDTHS, st.booleans(), st.data())
@settings(max_examples=150, deadline=None)
def test_no_cell_stands_under_another_name(widths: list[int], markdown: bool, data: st.DataObject) -> None:
    """Every cell says where it is from, so that a rendering can be read back column by column."""
    edge, mark = ("|", "|") if markdown else ("", ",")
    rows = [[f"c{c}" for c in range(4)], *[["---"] * 4] * markdown]
    rows += [[f"r{r}c{c}" for c in range(width)] for r, width in enumerate(widths)]
    made = layout("\n".join(edge + mark.join(cells) + edge for cells in rows))
    if made is None:
        return
    assert made.renderer is not None
    kept = sorted(data.draw(st.sets(st.integers(0, len(made.spans) - 1), min_size=1)))
    lines = made.renderer(kept, data.draw(st.booleans())).split("\n")
    header = lines[0].strip("|").split(mark)
    at = 0
    for line in lines[1 + markdown :]:
        rows_gone = re.fullmatch(r"\[… ?(\d+)(?: rows? omitted)?\]", line)
        if rows_gone:
            at += int(rows_gone[1])
        elif "column" not in line:
            cells = line.removeprefix(edge).removesuffix(edge).split(mark)
            if len(cells) > 1 or len(header) == 1:  # a lone cell below several names stands below none
                assert all(cell in ("…", f"r{at}{name}") for name, cell in zip(header, cells, strict=False))
            assert len(cells) in (widths[at], len(header))
            at += 1
    assert at == len(widths)
