"""Training sequences that need copying from the context, made by rule from the corpus.

A guardrail asks how much likelier an anchor is after one context than after another, so the model must look things up
in its context. Small models learn that late from plain text and soon from sequences where it pays (Olsson et al.
2022, "In-context Learning and Induction Heads"). Three kinds: a passage and a query that restates one of its sentences
(or, as a control, one from elsewhere); a passage and a part of it again; records and look-ups of some of them.
"""

from __future__ import annotations

import json
import random
import re
import string
from collections.abc import Sequence

_UNIT_END = re.compile(r"(?<=[.!?])\s+|(?<=[。!?])|\n+")
_JOINTS = (
    "\n\nquery: ",
    "\n\nQuestion: ",
    "\n\nuser: ",
    "\nuser: ",
    "\nassistant: ",
    "\n\n",
    "\n",
    "\n\n---\n",
)


def split_units(text: str) -> list[str]:
    """Rough sentences or lines of a text; good enough for making sequences, and quick."""
    return [u.strip() for u in _UNIT_END.split(text) if len(u.strip()) > 3]


def make_copy(rng: random.Random, texts: Sequence[str], characters: int) -> tuple[str, str]:
    """One sequence that needs copying.

    Args:
        rng: Source of every choice.
        texts: Documents to take passages from.
        characters: About how long the context should be at most.

    Returns:
        The context and what follows it; they are tokenized apart, as the scorer does.
    """
    kind = rng.random()
    if kind < 0.5:
        return restatement(rng, texts, characters)
    if kind < 0.75:
        return repeat(rng, texts, characters)
    return lookup(rng, characters)


def random_repeat(rng: random.Random, vocabulary: int, length: int) -> list[int]:
    """Random ids said two to five times: nothing but copying helps here, which is what makes models learn to copy.

    Args:
        rng: Source of every choice.
        vocabulary: Ids are drawn from 1 to this, exclusively.
        length: Most ids to return.
    """
    times = rng.randint(2, 5)
    said = [rng.randrange(1, vocabulary) for _ in range(rng.randint(8, max(8, length // times)))]
    return (said * times)[:length]


def passage(rng: random.Random, texts: Sequence[str], characters: int) -> tuple[str, str]:
    """A run of a random document, from a unit's start, and the rest of the document after it."""
    for _ in range(20):
        text = texts[rng.randrange(len(texts))]
        if len(text) > 80:
            break
    else:
        text = texts[0]
    start = rng.randrange(max(1, len(text) - characters // 2))
    newline = text.find("\n", start)
    if 0 <= newline - start < 200:
        start = newline + 1
    size = rng.randint(characters // 4, characters)
    return text[start : start + size], text[start + size :]


def restatement(rng: random.Random, texts: Sequence[str], characters: int) -> tuple[str, str]:
    """A passage, then a sentence of it: whole, thinned out or reordered; one time in five one from elsewhere."""
    body, rest = passage(rng, texts, characters)
    source = body
    if rng.random() < 0.2:
        source = rest[:2000] if len(rest) > 200 and rng.random() < 0.5 else passage(rng, texts, characters)[0]
    units = split_units(source) or [source.strip() or body]
    unit = units[rng.randrange(len(units))][:400]
    joint = rng.choice(_JOINTS)
    how = rng.random()
    if how < 0.35:
        return body, joint + unit
    words = unit.split() if " " in unit else re.findall(r"\w{1,4}|\W+", unit)
    space = " " if " " in unit else ""
    if how < 0.65:
        kept = [w for w in words if rng.random() < 0.6] or words[:1]
        return body, joint + space.join(kept)
    pieces = [words[i : i + 3] for i in range(0, len(words), 3)]
    rng.shuffle(pieces)
    pieces = pieces[: max(1, int(len(pieces) * rng.uniform(0.3, 1.0)))]
    mark = "?" if how < 0.85 else ""
    return body, joint + space.join(w for p in pieces for w in p) + mark


def repeat(rng: random.Random, texts: Sequence[str], characters: int) -> tuple[str, str]:
    """A passage, then all or a part of it again."""
    body, _ = passage(rng, texts, characters // 2)
    start = rng.choice((0, rng.randrange(max(1, len(body) - 40))))
    return body, rng.choice(_JOINTS) + body[start : start + rng.randint(60, max(60, len(body)))]


def lookup(rng: random.Random, characters: int) -> tuple[str, str]:
    """Records of random keys and values in one of four notations, then some of them again."""
    count = rng.randint(3, max(4, min(40, characters // 30)))
    pairs = [(_name(rng), _value(rng)) for _ in range(count)]
    style = rng.randrange(4)
    asked = [pairs[rng.randrange(count)] for _ in range(rng.randint(1, max(1, count // 2)))]
    if style == 0:
        body = json.dumps(dict(pairs), indent=rng.choice((None, 1, 2)))
        return body, "\n" + "\n".join(f'"{k}": "{v}"' for k, v in asked)
    if style == 1:
        body = "\n".join(f"{k}: {v}" for k, v in pairs)
        return body, "\n\n" + "\n".join(f"{k}: {v}" for k, v in asked)
    if style == 2:
        body = "\n".join(f"| {k} | {v} |" for k, v in pairs)
        return body, "\n\n" + "\n".join(f"query: {k}\nanswer: {v}" for k, v in asked)
    body = " ".join(f"The {k} is {v}." for k, v in pairs)
    return body, "\nuser: " + " ".join(f"What is the {k}? {v}." for k, v in asked)


_SYLLABLES = ("ka", "lo", "mi", "ren", "tor", "vis", "an", "de", "shu", "pra", "bel", "qui", "zo", "fen", "gra", "ul")


def _name(rng: random.Random) -> str:
    word = "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 3)))
    return word if rng.random() < 0.6 else f"{word}_{rng.choice(_SYLLABLES)}{rng.randint(0, 99)}"


def _value(rng: random.Random) -> str:
    how = rng.randrange(5)
    if how == 0:
        return str(rng.randint(0, 10 ** rng.randint(1, 8)))
    if how == 1:
        return "".join(rng.choice("0123456789abcdef") for _ in range(rng.choice((8, 12, 16))))
    if how == 2:
        return f"{rng.randint(1990, 2030)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    if how == 3:
        return "".join(rng.choice(string.ascii_uppercase) for _ in range(3)) + f"-{rng.randint(100, 9999)}"
    return " ".join(_name(rng).capitalize() for _ in range(rng.randint(1, 2)))
