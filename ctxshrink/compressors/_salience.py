"""Rank of units where the question is unknown: rarity, numbers, commitments, position, errors; repetition counts less.

The weights were chosen on the dev halves of 7 chat sets (up to 12 records each, the four newest turns exact, mean of
the probes answered at keep 0.5/0.25 under `Adaptive`): 84.5/66.7, beside lead 78.6/57.6 and truncate 59.8/37.5. Step by
step: 79.3/57.7 without `FADE_LINES` and `FADE_PROSE`, 82.3/62.8 with them, 84.0/66.2 with numbers by groups of digits,
84.5/66.7 with `BIGRAM`. Tried and left out: the anchor as a soft query (-2: what
recent turns say is kept anyway), a bonus for capitalised words, early turns, user turns or the first unit of a message.
The sets are small: gaps under 2 points are noise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._index import LINE_TYPES, Index
from ctxshrink.text import CJK
from ctxshrink.types import Call, ContentType, Kind

RARITY = 0.7
"""Power of a term's inverse document frequency."""
REPEAT = 0.3
"""Weight of a term where the call has it already: what is said again need not be kept again (a linear-time form of
maximal marginal relevance, Carbonell and Goldstein 1998)."""
PRIOR = 3.0
"""Power of the layouts' prior weights: ids, codes and dates before boilerplate, failures before what went well."""
SAID: dict[Kind, float] = {"user": 4.0, "assistant": 2.0}
"""Factor of what was said in a conversation with tool output: it is short and cannot be fetched again, and what a tool
gave and nobody took up is the larger part. Where nobody calls tools, user and assistant are two people and count alike.
"""
NUMBER = 0.8
"""Added per group of up to three digits, as a share of the log of the number of units: a long number has few terms for
its many tokens, and nothing else says it."""
BIGRAM = 0.6
"""Weight of a CJK bigram beside a word: bigrams overlap, so that a text has more of them than it has words."""
LENGTH = 0.8
"""Sums are divided by tokens to this power: long units keep a small advantage."""
QUESTION = 0.7
"""Factor of a question: its answer repeats what matters."""
COMMITMENT = 1.1
"""Factor of commitments, constraints, deadlines, preferences and facts about the user."""
WISH = 2.0
"""Factor of a user's short sentence that forbids or limits something ("No trains, please."): its few words do not tell
how much hangs on it. Probes ask for facts and not for wishes, so that the dev sets show its price alone: 88.3/72.4
without, 88.3/71.8 with it (8 sets, up to 8 records each), which is noise; for longer sentences and any "please"
88.0/70.6."""
EMPHASIS = 1.5
"""Factor of errors, warnings, tracebacks, summaries, changed lines, definitions."""

FADE_LINES, FADE_PROSE = 0.8, 0.15
"""Units of a segment are divided by (1 + place)^FADE: of a long tool result the first records stand for the rest, of a
message the first sentences say what it is about. Lines under `EMPHASIS` are exempt."""

_NUMBER = re.compile(r"\d{1,3}")
_CJK = re.compile(f"[{CJK}]")
_COMMITMENT = re.compile(
    r"\b(?:must|never|always|deadline|due|require[ds]?|"
    r"do not|don['’]t|cannot|can['’]t|prefer|favou?rite|allergic|my name|"
    r"i am|i['’]m|i live|i have|i like|i love|i want|i need|promise[ds]?|agreed|decided|muss|müssen|niemals?|immer|"
    r"frist|spätestens|ich heiße|ich bin|ich habe|ich mag|ich möchte|brauche|doit|doivent|jamais|toujours|échéance|"
    r"je suis|j['’]ai|je veux|je préfère|debe|deben|nunca|siempre|plazo|me llamo|soy|tengo|quiero|prefiero|necesito)\b"
    r"|必须|必須|不能|截止|喜欢|我叫|なければ|しないで|締め切り|期限|好き|私は|したい",
    re.I,
)
_WISH = re.compile(
    r"(?:^|[,;:–—(]\s{0,3}|\b(?:but|and|so|aber|und|mais|et|pero|y)\s)(?:no|not|never|without|only|avoid|skip|"
    r"do not|don['’]t|keine?|nicht|nie|niemals|nur|ohne|pas|jamais|sans|seulement|nunca|sin|sólo|solo|nada)\s"
    r"|\bplease (?:do not|don['’]t|never|avoid|only|keep|make sure)\b|\b(?:no|not|only|never)\b[^.!?]{1,40}\bplease\b|"
    r"\b(?:you must|must not|mustn['’]t|make sure|at most|no more than|darf nicht|höchstens|il ne faut pas|au plus|"
    r"no quiero|como máximo)\b|不要|必须|必須|ないで|必ず",
    re.I,
)
WISH_TOKENS = 16
"""Of a longer one its terms tell enough."""
_LOUD: dict[ContentType, re.Pattern[str]] = {
    "log": re.compile(
        r"\b(?:error|errors|fail(?:ed|ure|ures|s)?|fatal|critical|warn(?:ing)?|exception|traceback|panic|"
        r"denied|refused|timed? ?out|"
        r"passed|finished|summary|total|took|aborted|killed)\b|Error\b|Exception\b",
        re.I,
    ),
    "code": re.compile(
        r"^\s{0,40}(?:\d{1,6}[:|]\s*)?"
        r"(?:def|class|fn|func|function|public|export|interface|struct|enum|impl|type)\b|\bTODO\b"
    ),
    "diff": re.compile(r"^(?:[+-]|@@|diff )"),
}


def salience(idx: Index, call: Call) -> NDArray[np.float64]:
    """Rank of each unit without a question, of mean about 1.

    Args:
        idx: The units of the call.
        call: The call.

    Returns:
        Scores >= 0, shape (units,).
    """
    n = idx.size
    if not n:
        return np.zeros(0)
    line_segment = np.array([s.content_type in LINE_TYPES for s in idx.segments])
    rare = idx.idf() ** RARITY
    rare[[i for t, i in idx.vocabulary.ids.items() if _CJK.match(t)]] *= BIGRAM
    weight = rare[idx.term]
    # What was said counts as said first: a tool's output repeats it, not the other way round.
    tool = np.array([s.kind == "tool_result" for s in idx.segments], dtype=bool)[idx.segment]
    turn = np.arange(n) + n * tool
    first = np.full(len(rare), 2 * n)
    np.minimum.at(first, idx.term, turn[idx.row])
    weight = np.where(first[idx.term] == turn[idx.row], weight, weight * REPEAT)
    score = np.bincount(idx.row, weights=weight, minlength=n).astype(np.float64)
    texts = [idx.text(u) for u in range(n)]
    score += NUMBER * np.log(n + 1) * _array(len(_NUMBER.findall(t)) for t in texts)
    score /= np.maximum(1, idx.tokens) ** LENGTH
    score *= np.where(_array(t.endswith(("?", "？")) for t in texts) > 0, QUESTION, 1.0)
    score *= np.where(_array(_COMMITMENT.search(t) is not None for t in texts) > 0, COMMITMENT, 1.0)
    said = [s.kind == "user" for s in idx.segments]
    brief = np.array(said, dtype=bool)[idx.segment] & (idx.tokens <= WISH_TOKENS)
    score *= np.where(
        _array(b and _WISH.search(t) is not None for b, t in zip(brief, texts, strict=True)) > 0, WISH, 1.0
    )
    loud = emphasis(idx)
    score *= idx.weight**PRIOR
    if tool.any():
        score *= np.array([SAID.get(s.kind, 1.0) for s in idx.segments])[idx.segment]
    place = np.arange(n) - idx.offset[idx.segment]
    fade = np.where(line_segment[idx.segment], FADE_LINES, FADE_PROSE)
    score *= np.where(loud > 1, loud, (1.0 + place) ** -fade)
    for i, seg in enumerate(idx.segments):
        part = slice(int(idx.offset[i]), int(idx.offset[i + 1]))
        if seg.content_type == "log" and idx.layouts[i].weights and part.start < part.stop:
            # A log's layout knows its failures and what happened once; rare words are its addresses and numbers.
            score[part] = idx.weight[part] * (score[part].mean() / max(1e-9, float(idx.weight[part].mean())))
    return score / max(1e-9, float(score.mean()))


def emphasis(idx: Index) -> NDArray[np.float64]:
    """`EMPHASIS` for the lines of logs, code and diffs that say what happened, 1 for all others; shape (units,)."""
    out = np.ones(idx.size)
    for i, seg in enumerate(idx.segments):
        first, end = int(idx.offset[i]), int(idx.offset[i + 1])
        loud = _LOUD.get(seg.content_type)
        if loud is None or first == end:
            continue
        for u in range(first, end):
            if loud.search(idx.text(u)):
                out[u] = EMPHASIS
        # What was run, and how it ended.
        out[first] = out[end - 1] = EMPHASIS
    return out


def _array(values: Iterable[float]) -> NDArray[np.float64]:
    return np.fromiter(values, dtype=np.float64)
