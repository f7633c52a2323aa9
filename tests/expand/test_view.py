"""What the expand tool shows: verbatim, bounded, and the closing lines lead to the rest."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.expand.material import LINES, LOG, TAIL, show


class TestRanges:
    def test_the_whole(self) -> None:
        assert show(LOG) == LOG
        assert show(LOG, "") == LOG
        assert show("") == ""
        assert show("a\n\n") == "a\n\n"

    @pytest.mark.parametrize(
        ("asked", "first", "last"),
        [
            ("10-40", 10, 40),
            ("10-", 10, 120),
            ("-40", 1, 40),
            ("7", 7, 7),
            ("7-7", 7, 7),
            ("100-500", 100, 120),
            (" lines 10 – 40 ", 10, 40),
            ("L10-L40", 10, 40),
            ("10:40", 10, 40),
        ],
    )
    def test_lines(self, asked: str, first: int, last: int) -> None:
        assert show(LOG, asked) == "\n".join(LINES[first - 1 : last])

    @pytest.mark.parametrize(("asked", "start", "end"), [("c100-900", 99, 900), ("c5000-", 4999, 10_000), ("c1", 0, 1)])
    def test_characters(self, asked: str, start: int, end: int) -> None:
        text = "".join(f"{i:05d}" for i in range(2000))
        assert show(text, asked) == text[start:end]

    @pytest.mark.parametrize("asked", ["x", "1-2-3", "-", "c", "--5", "1,2", "9" * 50, "\ud800", "٣"])
    def test_no_range(self, asked: str) -> None:
        assert "is no range: write lines as" in show(LOG, asked)

    @pytest.mark.parametrize("asked", ["0", "0-3", "121", "121-", "40-10", "999999999999", "c0-3", "c9999999-"])
    def test_outside(self, asked: str) -> None:
        answer = show(LOG, asked)
        assert answer.startswith("There is no such part: the original has ")
        assert ("characters" in answer) == asked.startswith("c")

    def test_only_line_feeds_end_lines(self) -> None:
        text = "a\r\nb\u2028c\x0bd\re\n"
        assert show(text, "1") == "a\r"
        assert show(text, "2") == "b\u2028c\x0bd\re"
        assert "has 2 lines" in show(text, "3")


class TestBound:
    def test_a_cut_says_how_to_go_on(self) -> None:
        answer = show(LOG, "10-40", max_chars=100)
        assert answer == "\n".join(LINES[9:13]) + '\n[lines 10-13 of 120; for more: lines="14-40"]'

    @pytest.mark.parametrize("text", [LOG, LOG + "\n", "x" * 5000, "\n" * 3000, f"{'x' * 900}\n\n{'y' * 900}\nend\n"])
    @pytest.mark.parametrize("limit", [1, 7, 100, 777])
    def test_what_it_says_leads_to_the_end(self, text: str, limit: int) -> None:
        limit = max(limit, len(text) // 400)
        seen, asked = [], None
        while True:
            answer = show(text, asked, max_chars=limit)
            more = re.fullmatch(r'(.*)\n\[[^\n]*for more: lines="([^"]+)"\]', answer, re.DOTALL)
            if more is None:
                seen.append(answer)
                break
            seen.append(more[1])
            asked = more[2]
        # Where a cut fell between lines, their line feed is not repeated.
        assert "".join(seen).replace("\n", "") == text.replace("\n", "")


class TestSearch:
    def test_hits_with_their_surroundings(self) -> None:
        lines = [f"{n}{':' if n in (50, 52, 90) else '-'} {LINES[n - 1]}" for n in (*range(48, 55), *range(88, 93))]
        assert show(LOG, search="failed") == "\n".join([*lines[:7], "--", *lines[7:]])

    def test_in_a_range(self) -> None:
        answer = show(LOG, "51-90", "FAILED")
        assert re.findall(r"(?m)^(\d+):", answer) == ["52", "90"]
        assert re.findall(r"(?m)^(\d+)", answer)[0] == "51"
        assert "'failed' is not in lines 1-49 of 120" in show(LOG, "1-49", "failed")

    def test_in_a_long_line(self) -> None:
        text = "x" * 5000 + "Needle" + "y" * 5000
        assert show(text, search="needle") == f"1 c4701-5306: {'x' * 300}Needle{'y' * 300}"

    def test_over_several_lines(self) -> None:
        answer = show(LOG, search=f"{LINES[20][-8:]}\n{LINES[21][:12]}")
        assert re.findall(r"(?m)^(\d+)([:-])", answer) == [
            ("19", "-"), ("20", "-"), ("21", ":"), ("22", ":"), ("23", "-"), ("24", "-")
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("text", "query"), [("İstanbul", "istanbul"), ("ΟΔΟΣ", "οδος"), ("οδοσ", "ΟΔΟΣ"), ("É", "é")]
    )
    def test_in_any_case(self, text: str, query: str) -> None:
        assert show(f"one\n{text}\ntwo", search=query) == f"1- one\n2: {text}\n3- two"

    def test_a_cut_says_how_to_go_on(self) -> None:
        answer = show(LOG, search="FAILED", max_chars=120)
        assert answer.endswith('\n[1 of 3 hits; for more: the same search with lines="52-"]')
        assert re.findall(r"(?m)^(\d+):", show(LOG, "52-", "FAILED")) == ["52", "90"]

    def test_a_hit_that_does_not_fit(self) -> None:
        text = "a\n" + "x" * 500 + "NEEDLE" + "y" * 400 + "\nb NEEDLE"
        answer = show(text, search="needle", max_chars=60)
        more = 'the line goes on: lines="c523-908"; for more: the same search with lines="c523-"'
        assert answer == f"2 c503-522: NEEDLE{'y' * 14}\n[1 of 2 hits, cut; {more}]"

    def test_follows_to_every_hit(self) -> None:
        found, asked = [], None
        for _ in range(200):
            answer = show(LOG, asked, "job", max_chars=200)
            found += re.findall(r"(?m)^(\d+):", answer)
            more = re.search(r'lines="([^"]+)"\]$', answer)
            if more is None:
                break
            asked = more[1]
        assert found == [str(n) for n in range(1, 121)]


_WILD = st.text(st.sampled_from("ab\n\r\0\ud800\u2028İ"), max_size=60)
_ASKED = st.none() | st.from_regex(r"\A(c?[0-9]{0,2}-?[0-9]{0,2})\Z")


@given(_WILD, _ASKED, st.none() | st.text(st.sampled_from("abB\n\ud800"), max_size=3), st.integers(1, 50))
@settings(deadline=None, max_examples=300)
@example("ab\nab", None, "b\na", 50)
def test_shows_nothing_but_the_original_and_little_more(
    text: str, asked: str | None, query: str | None, limit: int
) -> None:
    answer = show(text, asked, query, limit)
    assert len(answer) <= limit + TAIL
    if " no range: " in answer or answer.startswith("There is no such part"):
        return
    if not query:
        shown = re.sub(r"\n\[[^\n]*\]\Z", "", answer)
        assert shown in text
        return
    if " is not in lines " in answer:
        return
    lines = text.split("\n")
    for shown in re.sub(r"\n\[[^\n]*\]\Z", "", answer).split("\n"):
        if shown == "--":
            continue
        number, start, end, content = re.fullmatch(r"(\d+)(?: c(\d+)-(\d+))?[:-] ((?s:.*))", shown).groups()  # pyright: ignore[reportOptionalMemberAccess]
        if start is None:
            assert content == lines[int(number) - 1]
        else:
            assert content == text[int(start) - 1 : int(end)]


@given(st.text(st.sampled_from("aab\n"), min_size=1, max_size=400), st.sampled_from(["", "b"]), st.integers(30, 90))
@settings(deadline=None, max_examples=150)
@example("a" * 1500 + "b" + "a" * 1500 + "b\nb", "b", 400)
def test_the_closing_lines_lead_to_everything(text: str, query: str, limit: int) -> None:
    asked, shown = None, []
    for _ in range(2 * len(text)):
        answer = show(text, asked, query, limit)
        if " is not in lines " in answer:
            break
        more = re.fullmatch(r'(.*)\n\[[^\n]*for more: [a-z ]*lines="([^"]+)"\]', answer, re.DOTALL)
        shown.append(more[1] if more else answer)
        if more is None:
            break
        asked = more[2]
    else:
        pytest.fail("never ends")
    if not query:
        assert "".join(shown).replace("\n", "") == text.replace("\n", "")
        return
    numbers = set(re.findall(r"(?m)^(\d+)(?: c[0-9-]+)?: ", "\n".join(shown)))
    assert numbers == {str(n) for n, line in enumerate(text.split("\n"), 1) if query in line}


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, "\n" * 1_000_000, "a\n" * 500_000, "ab" * 500_000, "\ud800" * 500_000]
)
@pytest.mark.parametrize("query", [None, "a", "\n", "a" * 5000 + "b", "\ud800"])
def test_large_and_strange_originals(text: str, query: str | None) -> None:
    assert len(show(text, None, query)) <= 20_000 + TAIL
