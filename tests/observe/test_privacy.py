"""Nothing of the text is held: facts are, as hashes that only their observer can make."""

import gc

from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.observe import Observer
from tests.observe.material import CHUNKS, SYSTEM, says, shadow, user
from tests.strategies import PROPERTY, SENTENCES


def strings_held(value: object) -> list[str]:
    """All text that can be reached from an object, modules, classes and functions aside."""
    found: list[str] = []
    seen: set[int] = set()
    pending = [value]
    while pending:
        item = pending.pop()
        if id(item) in seen or isinstance(item, type) or type(item).__name__ in ("module", "function", "method"):
            continue
        seen.add(id(item))
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, bytes):
            found.append(item.decode("latin-1"))
        pending.extend(gc.get_referents(item))
    return found


MARKER = "zq7vx"
TEXTS = st.lists(
    st.sampled_from([*SENTENCES, f"{MARKER}-1", f"id {MARKER}_2.", f"{MARKER.upper()}9 is Mr {MARKER.title()}."]),
    max_size=5,
).map(" ".join)


@PROPERTY
@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_no_text_is_held(turns: list[str]) -> None:
    observer = Observer()
    shrinker = shadow(observer)
    messages = [SYSTEM, user(f"{MARKER}0 " + turns[0])]
    for turn in turns:
        result = shrinker.shrink_messages(messages)
        messages = [*messages, says(f"{turn} {MARKER}0"), user(turn)]
    observer.answered(result, f"{MARKER}0")
    assert observer.report().answers.needed > 0
    held = strings_held(observer)
    assert observer._key.decode("latin-1") in held
    assert not [text for text in held if MARKER in text.casefold()]


def test_hashes_differ_between_observers() -> None:
    result = shadow().shrink_documents(CHUNKS)
    first, second = Observer(), Observer()
    first.watch(result)
    second.watch(result)
    [one], [two] = first._states.values(), second._states.values()
    assert len(one.facts) == len(two.facts) > 0
    assert not one.facts.keys() & two.facts.keys()
    assert not first._states.keys() & second._states.keys()
