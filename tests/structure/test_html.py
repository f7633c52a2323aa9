from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.structure._markup import Tag, tokens
from ctxshrink.structure.html import layout
from ctxshrink.structure.layout import Layout
from tests.structure.pages import PAGE, TEXT


def made_of(text: str) -> Layout:
    made = layout(text)
    assert made is not None
    return made


def at(made: Layout, piece: str) -> int:
    return next(i for i, (s, e) in enumerate(made.spans) if piece in made.text[s:e])


def test_the_readable_text_of_a_page() -> None:
    made = made_of(PAGE)
    assert made.text == TEXT
    assert made.form == "the readable text of an HTML page, without its markup"


def test_headings_and_header_rows_are_parents() -> None:
    made = made_of(PAGE)
    row = at(made, "Small")
    chain = []
    while row >= 0:
        chain.append(made.text[slice(*made.spans[row])])
        row = made.parents[row]
    assert chain == ["| Small | 10 |", "| Name | Price |", "## Prices", "# Anvils of Acme"]
    assert made.labels[at(made, "Small")] == "Anvils of Acme Prices"
    assert made.parents[at(made, "Copyright")] == -1


def test_content_weighs_more_than_what_surrounds_it() -> None:
    made = made_of(PAGE)
    order = ["Home", "Copyright", "The best", "# Anvils"]
    weights = [made.weights[at(made, piece)] for piece in order]
    assert weights == sorted(weights)
    assert weights[1] < 0.5 < 1 < weights[2]


def test_omissions_show() -> None:
    made = made_of(PAGE)
    assert made.renderer is not None
    keep = [at(made, "The best"), at(made, "Big"), at(made, "inner")]
    assert made.renderer(keep, False).split("\n")[1:] == [
        "[… 5 passages omitted]",
        "The best anvil costs £42.50. See [the list](https://acme.test/p?id=7&x=1).",
        "[… 4 passages omitted]",
        "| Big \\| heavy | 99 |",
        "[… 5 passages omitted]",
        "  - inner",
        "[… 2 passages omitted]",
    ]
    assert made.renderer(keep, True).count("\n…\n") == 3


def test_long_paragraphs_are_cut_into_sentences() -> None:
    sentences = [f"Sentence number {i} says something of its own about the matter." for i in range(12)]
    made = made_of(
        f"<html><body><div class='x'><p class='lead paragraph'>{' '.join(sentences)}</p></div></body></html>"
    )
    assert len(made.spans) == 12
    assert len(set(made.groups)) == 1
    assert made.renderer is not None
    assert made.renderer([1, 5], False).split("\n")[1] == (
        f"[… 1 passage omitted] {sentences[1]} [… 3 passages omitted] {sentences[5]} [… 6 passages omitted]"
    )


def test_tables_that_arrange_a_page_are_no_data() -> None:
    text = "word " * 100
    cells = f"<td><h2>Left</h2><p>{text}</p></td><td width=10 class=spacer></td><td>{text}</td>"
    made = made_of(f"<table border=0><tr>{cells}</tr></table>")
    assert "|" not in made.text
    assert "\n## Left\n" in made.text


@pytest.mark.parametrize(
    "text",
    [
        "1:<div>\n2:<p>{{ x }}</p>\n3:</div>\n4:<b>y</b>",
        "<div>\n{% for x in y %}\n<p>{{ x }}</p>\n{% endfor %}\n</div>",
        "<ul>\n<?php echo 1; ?>\n<li>\n</ul>",
        "return (\n  <div className='a'>\n    <p>hi</p>\n  </div>\n);",
    ],
)
def test_sources_stay_as_they_are(text: str) -> None:
    made = made_of(text)
    assert made.text == text
    assert made.form == ""


@pytest.mark.parametrize(
    "text", ["", "no tags", "<?xml version='1.0'?><feed><entry x='1'/></feed>", "<p>", "a < b and c > d"]
)
def test_what_is_no_page_is_left_alone(text: str) -> None:
    assert layout(text) is None


def test_tokens() -> None:
    found = list(
        tokens("a &lt; b<A HREF='x&amp;y' b c=\"d>e\" f=g/>t</a ><!-- <b> --><br/><script>if (a<b) '</p>'</script>< 1")
    )
    assert found == [
        "a < b",
        Tag("a", False, {"href": "x&y", "b": "", "c": "d>e", "f": "g/"}),
        "t",
        Tag("a", True, {}),
        Tag("br", False, {}),
        Tag("script", False, {}),
        "if (a<b) '</p>'",
        Tag("script", True, {}),
        "<",
        " 1",
    ]


def test_a_tag_that_never_ends_is_text() -> None:
    assert "".join(t for t in tokens("x <b y='1' and more") if isinstance(t, str)) == "x <b y='1' and more"


@pytest.mark.parametrize(
    "text",
    [
        "x" * 200_000 + "<p>",
        "<div>" * 3_000,
        "<p>x" * 2_000,
        "<table><tr><td>x" * 1_000,
        "<div>" * 2_000 + "</span>" * 2_000,
        "<a href='" * 2_000,
        "<a x=\"<a x='" * 1_000 + "'>\">",
        "<!--" * 5_000 + "<p>",
        "<script>" * 2_000,
        "<a " * 6_000,
        "<p>" + "&" * 100_000,
        "<ul><li>x" * 1_000,
        "<p>\0\ud800\u2028&#xD800;&#99999999;</p>" * 5,
    ],
)
def test_hostile_texts(text: str) -> None:
    made = layout(text)
    if made is not None and made.renderer is not None:
        assert len(made.text) < len(text)
        assert made.renderer(range(len(made.spans)), False) == made.text


TAGS = [
    *(
        "<p>",
        "</p>",
        "<ul>",
        "<li>",
        "</ul>",
        "<table>",
        "<tr>",
        "<td>",
        "<th>",
        "</table>",
        "</tr>",
        "</td>",
        "<h2>",
        "</h2>",
    ),
    *(
        "</h1>",
        "</a>",
        "<pre>",
        "</pre>",
        "<b>",
        "</b>",
        "<br>",
        "<nav>",
        "</nav>",
        "<div hidden>",
        "</div>",
        "<!-- c -->",
    ),
    *(
        "<a href='/x?y=1'>",
        "<td",
        "'>",
        "<script>",
        "</script>",
        "<img alt='pic' src=1>",
        "<select><option>o",
        "</select>",
    ),
    *("<ol start=7>", "</ol>"),
]
WORDS = [
    "word one",
    "\n",
    "  ",
    "&amp; <",
    "a\tb",
    "\r\n",
    "Some sentence. Another one!",
    "A sentence. Another one! " * 20,
]
PIECES = st.sampled_from([*TAGS, *WORDS])


@given(st.lists(PIECES, max_size=60).map("".join), st.data())
def test_any_page(body: str, data: st.DataObject) -> None:
    text = f"<html><head><style>{'x' * 300}</style></head><body class='some page'>{body}"
    made = layout(text)
    if made is None:
        return
    n = len(made.spans)
    assert made.renderer is not None
    assert {len(made.parents), len(made.weights), len(made.labels), len(made.groups)} == {n}
    assert all(a[1] <= b[0] for a, b in zip(made.spans, made.spans[1:], strict=False))
    assert all(made.text[s:e].strip() for s, e in made.spans)
    assert all(-1 <= p < i for i, p in enumerate(made.parents))
    assert list(made.groups) == sorted(made.groups)
    assert made.renderer(range(n), False) == made.text
    kept = sorted(data.draw(st.sets(st.integers(0, n - 1))))
    for short in (False, True):
        out = made.renderer(kept, short)
        place = out.index("]") + 1
        for i in kept:
            piece = made.text[slice(*made.spans[i])]
            place = out.index(piece, place) + len(piece)
        if len(kept) < n:
            assert "…" in out[out.index("\n") :]


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc")), max_size=60))
def test_words_come_out_as_they_went_in(words: str) -> None:
    plain = " ".join(words.replace("<", "").replace("&", "").split())
    if plain:
        before = "<html><body><div class='wrapper of everything'><section><article><p>"
        after = "</p></article></section></div><!-- a long comment about nothing much, to make the page longer -->"
        made = layout(before + plain + after)
        assert made is not None
        assert made.text.split("\n", 1)[1] == plain


def test_cells_that_reach_over_columns_and_rows_move_no_other() -> None:
    rows = [
        "<th>Year<th>Team<th>Points",
        "<td rowspan=2>2004<td>X<td>1",
        "<td>Y<td>2",
        "<td colspan=2>both<td rowspan=9>3",
        "<td rowspan=2>2006<td>Z",
        "<td>W",
        "<td colspan=x>2007<td rowspan=99999>Q",
    ]
    made = made_of("<html><table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table></html>")
    assert made.text.splitlines()[1:] == [
        "| Year | Team | Points |",
        "| 2004 | X | 1 |",
        "|  | Y | 2 |",
        "| both |  | 3 |",
        "| 2006 | Z |",
        "|  | W |",
        "| 2007 | Q |",
    ]
