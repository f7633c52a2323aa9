from __future__ import annotations

import pytest

from ctxshrink.compressors._language import LATIN, encoder_trust


@pytest.mark.parametrize(
    "text",
    [
        "What is the speed of light?",
        "warranty motor",
        "",
        "42",
        "TypeError: list indices",
        "Who wrote Die Zauberflöte?",
    ],
)
def test_english_is_believed(text: str):
    assert encoder_trust(text) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "Wann wurde die Brücke über den Rhein gebaut?",
        "¿Cuándo se construyó el puente sobre el río?",
        "Quand le pont sur le fleuve est-il ouvert ?",
        "Quando è stato costruito il ponte sul fiume?",
    ],
)
def test_other_latin_scripts_are_believed_a_little(text: str):
    assert encoder_trust(text) == LATIN


@pytest.mark.parametrize(
    "text",
    [
        "这座桥是什么时候建成的？",
        "この橋はいつ建てられましたか。",
        "Когда построили мост?",
        "iPhone 的保修期是多久？请告诉我",
    ],
)
def test_other_scripts_are_not(text: str):
    assert encoder_trust(text) == 0.0
