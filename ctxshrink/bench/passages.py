"""Retrieved passages for timing: plain English that says nothing, different for every seed, of a given size.

Real words in ordinary proportions, because made-up ones would cost a word-piece tokenizer several tokens each; new text
for every call, because a cache that has seen the text would answer for the method.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

_NAMES = (
    "Adler Baxter Corvin Delgado Eriksen Farrow Gallant Hartley Ibarra Jansen Kessler Lindqvist Moreau Novak Okafor "
    "Pereira Quinlan Rossi Sandoval Tanaka Ulrich Vance Whitlock Yates Zeller"
)
_PLACES = "Aldham Brenford Castelmar Dunmore Eastvale Fernley Granby Holmstead Kirkby Larkton Marlow Norwick Oakridge"
_THINGS = (
    "agreement archive battery bridge budget bulletin canal catalogue charter climate colony committee contract "
    "council district election engine exhibition experiment factory festival forest garden glacier harbour hospital "
    "instrument island journal kingdom laboratory language lecture library machine manuscript market measure method "
    "mineral monument museum novel orchestra painting parliament policy portrait program project railway report "
    "reservoir river school settlement signal species station statue survey symphony temple theatre treaty tunnel "
    "university valley vessel village voyage wall workshop"
)
_QUALITIES = (
    "ancient broad careful central coastal common complex constant curious distant early eastern famous formal "
    "former general heavy hidden large late local minor modern narrow national northern notable official open ordinary "
    "plain private public quiet rare regular royal rural second separate simple small southern stable steep strong "
    "sudden temporary thick unusual upper urban vast western wide young"
)
_ACTIONS = (
    "abandoned accepted acquired announced approved assembled carried closed collected compared completed connected "
    "copied crossed damaged defended described designed destroyed discovered divided enlarged established examined "
    "expanded financed founded improved inherited inspected introduced joined measured moved observed occupied opened "
    "organised planned protected published purchased rebuilt received recorded reduced removed repaired replaced "
    "restored reviewed selected shipped sold studied supported surveyed tested transferred translated visited"
)
_LINKS = "after although because before since until when where while"
_ENDS = (
    "in {year}",
    "at a cost of {number} crowns",
    "near {place}",
    "for the first time",
    "with the help of {name}",
    "over {small} years",
    "against the advice of the {thing}",
    "according to {name}",
    "despite the {quality} {thing}",
    "in favour of the {thing}",
)


def sentences(seed: int) -> Iterator[str]:
    """An endless supply of sentences of 8 to 40 words, the same for the same seed."""
    rng = random.Random(seed)
    names, places, things, links = _NAMES.split(), _PLACES.split(), _THINGS.split(), _LINKS.split()
    qualities, actions = _QUALITIES.split(), _ACTIONS.split()

    def clause() -> str:
        subject = rng.choice(
            (rng.choice(names), f"the {rng.choice(qualities)} {rng.choice(things)}", f"the {rng.choice(things)}")
        )
        some = f"{rng.choice(('the', 'a', 'its', 'another'))} {rng.choice(qualities)} {rng.choice(things)}"
        of = f" of {rng.choice(places)}" if rng.random() < 0.4 else ""
        end = rng.choice(_ENDS).format(
            year=rng.randint(1120, 2024),
            number=f"{rng.randint(1, 900)},{rng.randint(0, 999):03d}",
            small=rng.randint(2, 90),
            name=rng.choice(names),
            place=rng.choice(places),
            thing=rng.choice(things),
            quality=rng.choice(qualities),
        )
        return f"{subject} {rng.choice(actions)} {some}{of}{' ' + end if rng.random() < 0.7 else ''}"

    while True:
        text = clause()
        while rng.random() < 0.45:
            joint = rng.choice((", and ", f" {rng.choice(links)} ", ", which means that ", "; "))
            text += joint + clause()
        yield text[0].upper() + text[1:] + "."


def context(
    seed: int, tokens: int, count: Callable[[Sequence[str]], list[int]], passages: int = 10
) -> tuple[str, list[str]]:
    """A question and passages that have ``tokens`` tokens together, give or take a sentence for each passage.

    Args:
        seed: Another seed gives other text.
        tokens: Of all passages together; at least one sentence stands in each.
        count: Tokens of each text.
        passages: How many.

    Returns:
        The question, whose words stand in many passages and whose answer is in none, so that nothing can be told at a
        glance; and the passages.
    """
    supply, made = sentences(seed), list[str]()
    for place in range(passages):
        # What is still missing is shared out among the passages that are left.
        share = (tokens - sum(count(made))) / (passages - place)
        parts = [next(supply)]
        size = sum(count(parts))
        while size < share:
            parts.append(next(supply))
            size += sum(count(parts[-1:]))
        made.append(" ".join(parts))
    rng = random.Random(f"{seed}:question")
    things, qualities, actions = (sorted(rng.sample(w.split(), 3)) for w in (_THINGS, _QUALITIES, _ACTIONS))
    return f"Who {actions[0]} the {qualities[0]} {things[0]} before the {things[1]} {actions[1]} the {things[2]}?", made
