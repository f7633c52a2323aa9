"""Where tokens stand: spans tile their text, one for each of the nats, in every scorer and architecture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError
from ctxshrink.scorers import EmbeddedScorer, ServerScorer, TokenScorer, TransformersScorer
from ctxshrink.scorers._offsets import tile
from ctxshrink.types import Scorer, Span
from tests.scorers.conftest import TEXT, Tiny, loaded
from tests.scorers.test_causal import ARCHITECTURES
from tests.scorers.test_causal import build as build_model

ODD = [
    "",
    " ",
    "\n\n",
    "\x00",
    "a\x00b",
    "\ud83d",
    "ok \udc00\ud800 ok",
    "🚢" * 9,
    "\u202e\ufeff",
    "<|bos|>",
    "é́",
    "ﬁ ½",
]
TEXTS = st.lists(st.sampled_from([*TEXT.split(), *ODD]), max_size=30).map(" ".join)

tokenizers: Any = pytest.importorskip("tokenizers")
transformers: Any = pytest.importorskip("transformers")


def check(scorer: TokenScorer, targets: list[str], context: str = "The gate") -> None:
    spans = scorer.token_spans(targets)
    nats = scorer.nll([(context, t) for t in targets])
    assert [len(s) for s in spans] == [len(n) for n in nats]
    for text, row in zip(targets, spans, strict=True):
        ends = [0, *(end for _, end in row)]
        assert [start for start, _ in row] == ends[:-1]
        assert ends == sorted(ends)
        assert ends[-1] == len(text) or not row


def token_scorer(scorer: Scorer, tiny: Tiny) -> TokenScorer:
    """The scorer, or the same server with the tokenizer at hand."""
    assert isinstance(scorer, TokenScorer)
    if not isinstance(scorer, ServerScorer):
        return scorer
    return ServerScorer(scorer._client.base, scorer.name, tokenizer=loaded(tiny)[1], max_context=scorer.max_context)


@given(texts=st.lists(TEXTS, max_size=4))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_spans_tile_any_text(scorer: Scorer, tiny: Tiny, texts: list[str]) -> None:
    check(token_scorer(scorer, tiny), texts)


def test_odd_texts(scorer: Scorer, tiny: Tiny) -> None:
    check(token_scorer(scorer, tiny), [*ODD, TEXT * 5, "a" * 3000, " " * 500])


def test_spans_are_those_of_the_tokens(scorer: Scorer, tiny: Tiny) -> None:
    [spans] = token_scorer(scorer, tiny).token_spans([TEXT])
    pieces = [tiny.tokenizer.decode([i]) for i in tiny.ids(TEXT)]
    plain = [(span, piece) for span, piece in zip(spans, pieces, strict=True) if piece.isascii() and piece.strip()]
    assert len(plain) > 50
    assert all(TEXT[s:e].strip() == piece.strip() for (s, e), piece in plain)


def test_parts_of_a_text_have_the_nats_of_their_tokens(tiny: Tiny) -> None:
    """What the spans are for: the nats of a stretch of a text are the sum over the tokens in it."""
    scorer = EmbeddedScorer(tiny.folder, threads=1)
    [spans], [nats] = scorer.token_spans([TEXT]), scorer.nll([("", TEXT)])
    cut = next(end for _, end in spans if end > 100 and TEXT[end] == " ")
    [first], [rest] = scorer.nll([("", TEXT[:cut])]), scorer.nll([(TEXT[:cut], TEXT[cut:])])
    inside = np.array([end <= cut for _, end in spans])
    np.testing.assert_allclose(nats[inside].sum(), first.sum(), atol=0.1)
    np.testing.assert_allclose(nats[~inside].sum(), rest.sum(), atol=0.1)


def test_a_server_without_its_tokenizer_says_what_to_do(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="tokenizer="):
        ServerScorer("http://127.0.0.1:9", "m").token_spans(["a"])


def test_a_slow_tokenizer_says_what_to_do(tiny: Tiny) -> None:
    class Slow:
        bos_token_id = 0
        is_fast = False

        def __call__(self, *_: object, **__: object) -> None:
            raise AssertionError("not asked")

    with pytest.raises(ConfigError, match="fast tokenizer"):
        TransformersScorer(loaded(tiny)[0], Slow()).token_spans(["a"])


def wordpiece() -> Any:
    """Drops white space, lower-cases, knows few words."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.train_from_iterator([TEXT], trainers.WordPieceTrainer(vocab_size=200, special_tokens=["<s>", "</s>", "<unk>"]))
    return made


def unigram() -> Any:
    """A sentencepiece-like one: a mark for spaces, one before the text too, and compatibility forms folded."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Metaspace()
    made.train_from_iterator(
        [TEXT] * 3,
        trainers.UnigramTrainer(vocab_size=200, special_tokens=["<s>", "</s>", "<unk>"], unk_token="<unk>"),
    )
    return made


def byte_level() -> Any:
    """As GPT-2's, whose offsets leave out the space before a word."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.ByteLevel(trim_offsets=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [TEXT] * 3, trainers.BpeTrainer(vocab_size=290, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    )
    return made


TOKENIZERS = {"wordpiece": wordpiece, "unigram": unigram, "byte level": byte_level}


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_and_kind_of_tokenizer(architecture: str, kind: str) -> None:
    model, _ = build_model(architecture)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=TOKENIZERS[kind](), bos_token="<s>", eos_token="</s>", clean_up_tokenization_spaces=False
    )
    scorer = TransformersScorer(model, tokenizer, max_context=128)
    check(scorer, [TEXT[:300], *ODD, "gate"], TEXT[:40])


@pytest.mark.parametrize(
    ("offsets", "size", "expected"),
    [
        ([], 0, []),
        ([(0, 1), (1, 3)], 3, [(0, 1), (1, 3)]),
        ([(0, 4), (5, 9)], 10, [(0, 4), (4, 10)]),
        ([(0, 1), (0, 1), (0, 1), (1, 2)], 2, [(0, 1), (1, 1), (1, 1), (1, 2)]),
        ([(0, 0), (0, 3)], 3, [(0, 0), (0, 3)]),
        ([(2, 5), (1, 3), (9, 99)], 7, [(0, 5), (5, 5), (5, 7)]),
    ],
)
def test_offsets_made_to_tile(offsets: list[Span], size: int, expected: list[Span]) -> None:
    assert tile(offsets, size) == expected
