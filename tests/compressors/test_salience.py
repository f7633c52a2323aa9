"""What is kept where the question is unknown: a user's wishes."""

from __future__ import annotations

import pytest

from ctxshrink import Shrinker

SMALL_TALK = "The weather here is terrible, by the way, it has been raining for a week and the dog refuses to go out."
TALK = [
    "I plan a trip from Lyon to Porto in May. Budget is 900 euros. My bag is small.",
    "Noted: Lyon to Porto in May, 900 euros. Porto is lovely in May. The river is close to everything.",
    "{wish} My card ends in 4471. " + SMALL_TALK,
    "Understood. Sorry about the rain and the dog! I found three hotels near the river. All have a small garden.",
    "Which one is the quietest?",
    "Casa Azul: 74 euros a night, twelve rooms, no bar.",
    "Good. Book it from 12 to 16 May.",
    "Shall I really book Casa Azul, 12 to 16 May, 296 euros?",
    "Yes. Which flight do you suggest?",
]


@pytest.mark.parametrize(
    "wish", ["No trains, please.", "Never book a train.", "Please don't use trains.", "Keine Züge, bitte."]
)
def test_what_a_user_forbids_outlasts_small_talk(wish: str) -> None:
    messages = [{"role": ("user", "assistant")[i % 2], "content": t.format(wish=wish)} for i, t in enumerate(TALK)]
    kept = Shrinker(guardrail=None).shrink_messages(messages, keep=0.25).output[2]["content"]
    assert wish in kept
