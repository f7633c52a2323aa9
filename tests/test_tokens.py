"""Token counters and how a setting becomes one."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError, MissingExtraError
from ctxshrink.models import SCORER, load_tokenizer
from ctxshrink.tokens import (
    CallableCounter,
    EmbeddedCounter,
    HuggingFaceCounter,
    TiktokenCounter,
    resolve_counter,
    well_formed,
)
from ctxshrink.types import TokenCounter

ANY = st.text(st.characters(), max_size=200)  # lone surrogates and NUL included


def counters() -> list[TokenCounter]:
    return [EmbeddedCounter(), HuggingFaceCounter(str(SCORER)), CallableCounter(len)]


@pytest.mark.parametrize("counter", counters(), ids=lambda c: c.name[:9])
class TestEveryCounter:
    @given(texts=st.lists(ANY, max_size=6))
    @settings(deadline=None, max_examples=40)
    def test_counts_any_text(self, counter: TokenCounter, texts: list[str]) -> None:
        counts = counter.count(texts)
        assert len(counts) == len(texts)
        assert all((n > 0) == bool(t) for n, t in zip(counts, texts, strict=True))
        assert counts == [counter.count([t])[0] for t in texts]
        assert counts == counter.count(texts)  # from the cache

    def test_a_long_text_among_short_ones(self, counter: TokenCounter) -> None:
        long = "The gate opens at six. " * 2000
        one, other, again = counter.count([long, "gate", long])
        assert one == again > 1000 * other

    def test_has_a_name_and_says_whether_it_is_exact(self, counter: TokenCounter) -> None:
        assert counter.name
        assert isinstance(counter.exact, bool)


@given(text=st.text(max_size=300))
@settings(deadline=None)
def test_the_embedded_tokenizer_gives_every_string_back(text: str) -> None:
    tokenizer = load_tokenizer()
    text = well_formed(text)
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


@pytest.mark.parametrize(
    "text", ["\x00", "\x01\x7f\x85", "👩‍👩‍👧‍👦🚀", "e\u0301", "\ufeff\u202e", "<|bos|>", "𝔘𝔫𝔦", "\r\n \t"]
)
def test_odd_strings_come_back(text: str) -> None:
    tokenizer = load_tokenizer()
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert 0 not in ids  # text never turns into the start token


def test_digits_stand_in_groups_of_at_most_three() -> None:
    tokens = load_tokenizer().encode("12345678 and 2024-05-17", add_special_tokens=False).tokens
    assert max(sum(c.isdigit() for c in t) for t in tokens) <= 3


@pytest.mark.parametrize("unit", ["a", " ", "\n", "-", "7", "水", "\u0301", "aB"])
def test_runs_of_any_kind_are_bounded(unit: str) -> None:
    """Ten times the text has ten times the tokens and no token is longer than a bounded run."""
    counter = EmbeddedCounter()
    short, long = counter.count([unit * 20_000, unit * 200_000])
    assert abs(long - 10 * short) <= 0.02 * long + 10


def test_a_long_text_counted_in_pieces_has_the_count_of_the_whole() -> None:
    text = "The gate of lock 12 opens at six; the keeper's book says so, every day.\n" * 6000
    whole = len(load_tokenizer().encode(text, add_special_tokens=False))
    assert EmbeddedCounter().count([text, "x"]) == [whole, 1]


_ODD = st.sampled_from(
    [
        *" \t\n\r",
        "  ",
        "\u3000",
        "\u2028",
        "\x1c",
        "\x85",
        "\xa0",
        "\ufeff",
        "\u200b",
        "a",
        "Bé",
        "12",
        "1",
        ".",
        ",-",
        "你",
        "\u0301",
        "😀",
        "'",
    ]
)


@given(st.lists(st.lists(_ODD, max_size=30).map("".join), min_size=1, max_size=4))
def test_a_text_counted_word_by_word_has_the_count_of_the_whole(texts: list[str]) -> None:
    tokenizer = load_tokenizer()
    whole = [len(tokenizer.encode(text, add_special_tokens=False)) for text in texts]
    counter = EmbeddedCounter()
    assert counter.count(texts) == whole
    assert counter.count([text + " ." for text in texts])[0] == len(
        tokenizer.encode(texts[0] + " .", add_special_tokens=False)
    )


def test_well_formed() -> None:
    assert well_formed("plain ü 水") == "plain ü 水"
    assert well_formed("\ud83d x \udc00") == "\ufffd x \ufffd"
    assert well_formed("😀") == "😀"


def test_lone_surrogates_count_as_replacement_characters() -> None:
    assert EmbeddedCounter().count(["a\ud800b"]) == EmbeddedCounter().count(["a\ufffdb"])


class TestResolve:
    def test_embedded(self) -> None:
        counter = resolve_counter("embedded")
        assert counter.name == "embedded"
        assert not counter.exact
        assert resolve_counter("embedded") is counter

    def test_a_counter_is_itself(self) -> None:
        counter = EmbeddedCounter()
        assert resolve_counter(counter) is counter

    def test_a_callable(self) -> None:
        def words(text: str) -> int:
            return len(text.split())

        counter = resolve_counter(words)
        assert counter.name == "words"
        assert counter.count(["a b c", ""]) == [3, 0]

    @pytest.mark.parametrize("bad", [-1, 1.5, None, "3", True])
    def test_a_callable_must_return_a_count(self, bad: object) -> None:
        def broken(text: str) -> object:
            return bad

        with pytest.raises(ConfigError, match="broken must return an int >= 0"):
            resolve_counter(broken).count(["x"])  # type: ignore[arg-type]

    def test_a_tokenizer_file_and_its_folder(self, tmp_path: Path) -> None:
        shutil.copy(SCORER / "tokenizer.json", tmp_path)
        text = ["The gate opens at six."]
        expected = EmbeddedCounter().count(text)
        for path in (tmp_path, tmp_path / "tokenizer.json"):
            counter = resolve_counter(str(path))
            assert counter.exact
            assert counter.count(text) == expected

    def test_a_file_that_is_no_tokenizer(self, tmp_path: Path) -> None:
        (tmp_path / "tokenizer.json").write_text("{}")
        with pytest.raises(ConfigError, match="cannot load"):
            resolve_counter(str(tmp_path))

    def test_a_folder_without_a_tokenizer_is_not_looked_for_elsewhere(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"holds no tokenizer\.json"):
            resolve_counter(str(tmp_path))

    @pytest.mark.parametrize("bad", [None, 3, object()])
    def test_anything_else_is_refused(self, bad: object) -> None:
        with pytest.raises(ConfigError, match="counter must be"):
            resolve_counter(bad)  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["no-such-model", ""])
    def test_an_unknown_name_lists_what_is_possible(self, name: str) -> None:
        pytest.importorskip("tiktoken")
        with pytest.raises(ConfigError, match=r"embedded.*tiktoken.*Hugging Face"):
            resolve_counter(name)

    def test_without_tiktoken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "tiktoken", None)
        with pytest.raises(MissingExtraError, match=r"ctxshrink\[tiktoken\]"):
            resolve_counter("gpt-4o")


class TestTiktoken:
    @pytest.fixture(autouse=True)
    def vocabulary(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The vocabularies that llama-index-core carries; without it these tests are skipped."""
        pytest.importorskip("tiktoken")
        core = pytest.importorskip("llama_index.core")
        cache = Path(core.__file__).parent / "_static" / "tiktoken_cache"
        monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(cache))

    @pytest.mark.parametrize("name", ["cl100k_base", "gpt-4"])
    def test_counts_by_encoding_and_model(self, name: str) -> None:
        counter = resolve_counter(name)
        assert counter.name == name
        assert counter.exact
        assert counter.count(["hello world", "", "\ud800"]) == [2, 0, counter.count(["\ufffd"])[0]]

    def test_special_tokens_in_text_are_text(self) -> None:
        assert TiktokenCounter("cl100k_base").count(["<|endoftext|>"])[0] > 1

    def test_a_vocabulary_that_cannot_be_had(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import tiktoken

        def offline(name: str) -> None:
            raise OSError("no network")

        monkeypatch.setattr(tiktoken, "get_encoding", offline)
        with pytest.raises(ConfigError, match=r"cannot be downloaded.*embedded"):
            TiktokenCounter("o200k_base")
