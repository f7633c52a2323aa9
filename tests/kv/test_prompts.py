"""Contexts and questions as ids: joined, they are what the tokenizer or the template makes of the whole."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError
from ctxshrink.kv.prompts import added_ids, context_ids, question_ids, template_hash
from tests.kv.models import CHAT, PAGE, tokenizer_of

# Short versions of our own that keep what matters of each family: who opens a turn, who ends it, what is refused.
_TURN = "raise_exception('user and assistant must take turns')"
_TAKES_TURNS = (
    "{% set rest = messages[1:] if messages[0]['role'] == 'system' else messages %}"
    "{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ "
    + _TURN
    + " }}{% endif %}{% endfor %}"
)
TEMPLATES = {
    "chatml": CHAT,
    "qwen2.5": "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are Q.<|im_end|>\n{% endif %}" + CHAT,
    "llama3": (
        "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
        "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
    ),
    "mistral": (
        "{{ bos_token }}" + _TAKES_TURNS + "{% for m in rest %}{% if m['role'] == 'user' %}[INST] "
        "{% if loop.first and messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}\n\n{% endif %}"
        "{{ m['content'] }} [/INST]{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
    ),
    "gemma": (
        "{{ bos_token }}" + _TAKES_TURNS + "{% for m in rest %}<start_of_turn>"
        "{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
    ),
    "forgets-thoughts": (  # as reasoning models: thoughts stay only in the newest answer
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' and not loop.last %}"
        "{{ m['content'].split('</think>')[-1] }}{% else %}{{ m['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "plain": (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    ),
}
ALTERNATES = ("mistral", "gemma")
MARKS = [
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "[INST]",
    "[/INST]",
    "<start_of_turn>",
    "<end_of_turn>",
]
MOVES_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'user' %}<|im_start|>"
    "{% if loop.last and messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}\n{% endif %}"
    "{{ m['content'] }}<|im_end|>{% elif m['role'] == 'assistant' %}{{ m['content'] }}</s>{% endif %}{% endfor %}"
)


@cache
def tokenizer(style: str, *, marks: bool = True) -> Any:
    """With the markers of the templates as special tokens, or as ordinary text."""
    made = copy.deepcopy(tokenizer_of())
    if marks:
        made.add_special_tokens({"additional_special_tokens": MARKS})
    made.chat_template = TEMPLATES.get(style, MOVES_SYSTEM)
    return made


@cache
def spaced() -> Any:
    """As older Llama models: a space before what starts a text, and a BOS and an EOS around it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE(byte_fallback=False, unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Metaspace()
    made.train_from_iterator(
        [PAGE + "\n\n"], trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", "<s>", "</s>"])
    )
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def whole(style: Any, messages: list[dict[str, str]], *, generate: bool = True) -> list[int]:
    made = tokenizer(style) if isinstance(style, str) else style
    text = made.apply_chat_template(messages, tokenize=False, add_generation_prompt=generate)
    return made(text, add_special_tokens=False)["input_ids"]


def say(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


TALK = [say("system", "Answer from the diary."), say("user", PAGE), say("assistant", "I have read it.")]


@pytest.mark.parametrize("style", TEMPLATES)
@pytest.mark.parametrize("marks", [True, False])
def test_context_and_question_are_the_rendering_of_the_whole(style: str, *, marks: bool) -> None:
    made = tokenizer(style, marks=marks)
    for messages in (TALK, TALK[1:], [*TALK, *TALK[1:]]):
        ids, kind = context_ids(made, messages)
        asked = question_ids(made, kind, "Who signed it?", before=ids[:, -32:])
        assert kind == "messages"
        assert torch.cat([ids, asked], dim=-1).tolist() == [whole(made, [*messages, say("user", "Who signed it?")])]
        assert ids.tolist() == [whole(made, messages, generate=False)]


@pytest.mark.parametrize("style", [s for s in TEMPLATES if s not in ALTERNATES])
@pytest.mark.parametrize("messages", [TALK[:1], TALK[:2], TALK[1:2]], ids=["s", "su", "u"])
def test_contexts_that_end_in_any_role(style: str, messages: list[dict[str, str]]) -> None:
    ids, kind = context_ids(tokenizer(style), messages)
    asked = question_ids(tokenizer(style), kind, "Why?", before=ids)
    assert [*ids[0].tolist(), *asked[0].tolist()] == whole(style, [*messages, say("user", "Why?")])


def test_thoughts_that_a_question_would_drop_are_not_in_the_context() -> None:
    style, thought = "forgets-thoughts", say("assistant", "<think>Hm.</think>Ann Lindt.")
    messages = [*TALK[:2], thought]
    ids, kind = context_ids(tokenizer(style), messages)
    assert "Hm." not in tokenizer(style).decode(ids[0])
    asked = question_ids(tokenizer(style), kind, "Why?", before=ids)
    assert [*ids[0].tolist(), *asked[0].tolist()] == whole(style, [*messages, say("user", "Why?")])


contents = st.text(st.characters(codec="utf-8", exclude_characters="<[{"), min_size=1, max_size=12).filter(str.strip)


@pytest.mark.parametrize("style", TEMPLATES)
@settings(max_examples=15, deadline=None)
@given(texts=st.lists(contents, min_size=4, max_size=4), system=st.booleans())
def test_any_words(style: str, texts: list[str], *, system: bool) -> None:
    roles = ["user", "assistant", "user", "assistant"]
    messages = [say(role, text) for role, text in zip(roles, texts, strict=True)]
    messages = [say("system", texts[0]), *messages] if system else messages
    ids, kind = context_ids(tokenizer(style), messages)
    asked = question_ids(tokenizer(style), kind, texts[1], before=ids[:, -8:])
    assert [*ids[0].tolist(), *asked[0].tolist()] == whole(style, [*messages, say("user", texts[1])])


@pytest.mark.parametrize("style", TEMPLATES)
def test_new_turns_and_questions_in_several_turns(style: str) -> None:
    made, more = tokenizer(style), [say("user", "Who?"), say("assistant", "Ann Lindt.")]
    ids, kind = context_ids(made, TALK)
    longer = torch.cat([ids, added_ids(made, kind, more, before=ids)], dim=-1)
    assert longer.tolist() == context_ids(made, [*TALK, *more])[0].tolist()
    asked = question_ids(made, kind, [*more, say("user", "When?")], before=ids)
    assert torch.cat([ids, asked], -1).tolist() == [whole(style, [*TALK, *more, say("user", "When?")])]


@pytest.mark.parametrize("style", ALTERNATES)
def test_a_template_that_wants_turns_says_so(style: str) -> None:
    with pytest.raises(ConfigError, match="end the context with an assistant's message"):
        context_ids(tokenizer(style), TALK[:2])


def test_a_template_that_changes_earlier_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="changes earlier messages when a question follows"):
        context_ids(tokenizer("moves-system"), TALK)


def test_text_has_its_bos_once_and_no_end() -> None:
    made = spaced()
    bare = made("Ann Lindt", add_special_tokens=False)["input_ids"]
    ids, kind = context_ids(made, "Ann Lindt")
    assert (ids.tolist(), kind) == ([[1, *bare]], "text")
    assert context_ids(made, "<s>Ann Lindt")[0].tolist()[0].count(1) == 1
    asked = question_ids(made, kind, "Who?")
    assert torch.cat([ids, asked], -1)[0].tolist() == made("Ann Lindt\n\nQuestion: Who?\nAnswer:")["input_ids"][:-1]
    assert made.decode(added_ids(made, kind, " office")[0]) == "office"


def test_text_without_special_tokens_and_with_a_frame() -> None:
    made = tokenizer_of()
    ids, kind = context_ids(made, PAGE)
    assert made.decode(ids[0]) == PAGE
    assert made.decode(question_ids(made, kind, "Who?")[0]) == "\n\nQuestion: Who?\nAnswer:"
    assert made.decode(question_ids(made, kind, "{a} %s", frame="\nQ {question} A")[0]) == "\nQ {a} %s A"
    turns = [say("system", "Be short."), say("user", "Who?"), say("assistant", "Ann."), say("user", "When?")]
    expected = "\n\nBe short.\n\nQuestion: Who?\nAnswer: Ann.\n\nQuestion: When?\nAnswer:"
    assert made.decode(question_ids(made, kind, turns)[0]) == expected


def test_parts_of_text_and_strings_as_turns() -> None:
    made = tokenizer_of()
    parts: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "Ann"}]}
    ]
    assert context_ids(made, parts)[0].tolist() == context_ids(made, [say("user", "Hello\nAnn")])[0].tolist()
    said = added_ids(made, "messages", "Hello")
    assert said.tolist() == added_ids(made, "messages", [say("user", "Hello")]).tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: context_ids(t, ""), "the context is empty"),
        (lambda t: context_ids(t, []), "has no messages"),
        (lambda t: context_ids(t, ["x"]), 'message 0: a dict with "role"'),
        (
            lambda t: context_ids(t, [{"role": "user", "content": [{"type": "image"}]}]),
            "message 0: its content must be",
        ),
        (lambda t: question_ids(t, "text", " "), "there is no question"),
        (lambda t: question_ids(t, "text", "Who?", frame="Q:"), "must hold"),
        (lambda t: added_ids(t, "text", [say("user", "Who?")]), "extend it with text"),
        (lambda t: added_ids(t, "text", ""), "the text is empty"),
    ],
)
def test_what_cannot_be_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call(tokenizer_of())


def test_messages_need_a_template() -> None:
    with pytest.raises(ConfigError, match="no chat template"):
        context_ids(spaced(), TALK)


def test_the_hash_is_of_the_template() -> None:
    assert template_hash(tokenizer("chatml")) == template_hash(copy.deepcopy(tokenizer("chatml")))
    hashes = {template_hash(tokenizer(style)) for style in TEMPLATES} | {template_hash(spaced())}
    assert len(hashes) == len(TEMPLATES) + 1
