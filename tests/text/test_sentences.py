"""Sentences in six languages: a table of tricky cases, and properties that hold for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.text import sentences

# Each case is written with "|" where a boundary is wanted.
CASES = [
    # English
    "Dr. Miller moved to the U.S. in 1998. | He paid $3.50 for it! | Really?",
    "J. R. Jones and Mrs. Hall met at No. 5 Mill Road. | It was late.",
    "We tried many things, e.g. salt, i.e. sodium chloride. | Nothing helped.",
    "See https://a.example/b.html?x=1. | Then read Fig. 3 of Sec. 2.",
    'He said "Stop." | Then he left. | (Nobody knew why.) | The end',
    "The version is 3.11.2, not 3.9. | Upgrade now.",
    "They work for Acme Inc. | The firm is small.",
    "It opens at 9 a.m. on Jan. 5. | Come early.",
    "Well... | Maybe not… | Yes",
    "In 1979 , the office began a reform . | The board ( of nine ) was dissolved .",
    "He ate fruit, bread, etc. | Then he slept.",
    "The plan was version B. | It worked.",
    "She said no. | Max likes art. | Paul does not.",
    # German
    "Das gilt z. B. für Nr. 5 am 3. Mai 2024. | Der 2. Weltkrieg endete 1945.",
    "Im 19. Jahrhundert lebte Dr. Vogel, d. h. vor langer Zeit. | Gut so.",
    "Er kaufte Brot, Käse usw. | Dann ging er heim.",
    "„Komm mit.“ | Sie ging mit.",
    # French
    "M. Dubois, p. ex., est là. | « Bonjour. » | Il part.",
    "Voir art. 5 du code. | Mme Petit est d'accord !",
    # Spanish
    "El Sr. Vega vive en EE. UU. desde 1990. | ¿Qué hora es? | ¡Son las tres!",
    "La Dra. Ruiz, p. ej., llegó tarde. | Nadie la esperó.",
    # Chinese
    "他说：“你好。”|然后走了。|今天是2024年5月3日！|真的吗？|是的",
    "价格是3.5元。|可以吗?|好的",
    # Japanese
    "「行くよ。」と言った。|そして帰った。|彼は3.5km走った。",
    "これは本です。|（新しい本。）|値段は500円です！",
    # Layout
    "This line was wrapped at a\ncolumn and goes on here. | Next one.",
    "# A heading. With stops | Text below it.",
    "Shopping: | - two eggs | - some milk. | Old. | 1. First step | 2. Second step",
    "| a. B | c |\n|---|---|",
]


def _expected(case: str) -> tuple[str, list[str]]:
    if case.startswith("| "):  # a table: every line is one unit
        return case, case.split("\n")
    parts = [p.strip() for p in case.split("|")]
    cjk = any("\u3040" <= c <= "\u9fff" for c in case)
    glue = "" if cjk else " "
    if any(p.startswith(("#", "- ", "1. ", "2. ")) for p in parts):
        glue = "\n"
    return glue.join(parts), parts


@pytest.mark.parametrize("case", CASES)
def test_boundaries(case: str) -> None:
    text, wanted = _expected(case)
    if "Old." in wanted:  # a second sentence inside a list item
        text = text.replace("milk.\nOld.", "milk. Old.")
    assert [text[s:e] for s, e in sentences(text)] == wanted


def test_short_lines_stand_alone() -> None:
    text = "Contact\nOpening Hours\nMonday to Friday"
    assert len(sentences(text)) == 3


PIECES = st.lists(
    st.sampled_from([*"aB1.!?…。」\n\t ,'\"“”()|#-`é中の\x00\ud800\u2028", "Dr. ", "z. B. ", "\n\n", "```\n", "- "]),
    max_size=60,
).map("".join)


@given(st.one_of(PIECES, st.text(max_size=200)))
def test_spans_cover_everything(text: str) -> None:
    spans = sentences(text)
    end = 0
    for s, e in spans:
        assert end <= s < e <= len(text)
        assert not text[end:s].strip()
        assert text[s:e] == text[s:e].strip()
        end = e
    assert not text[end:].strip()
