"""Namespaces isolate tenants: no call reads, changes, counts, removes or exports another's rows."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ctxshrink.distill import Derived, content_hash, recipe_key
from ctxshrink.errors import ConfigError
from ctxshrink.store import Store, reference
from tests.store.conftest import New
from tests.store.material import FACTS, HALF, derived, saying

NAMES = ["a", "A", "a ", "\0", "ä", "a\u0308", "\ud800", "%"]
"""Which a database might take for each other."""
WORDS = ["x", "y", "z"]
RECIPES = {recipe_key(recipe): recipe for recipe in (HALF, FACTS)}

_who = st.sampled_from([0, 1])
_word = st.sampled_from(WORDS)
_recipe = st.sampled_from(sorted(RECIPES))


Opened: TypeAlias = Mapping[str, Sequence[Store]]


class TwoTenants(RuleBasedStateMachine):
    """Two namespaces of one database with two stores each, beside a model of what each of them holds."""

    def __init__(self, opened: Opened) -> None:
        super().__init__()
        self.opened = opened
        self.folder = tempfile.TemporaryDirectory()

    @initialize(names=st.lists(st.sampled_from(NAMES), min_size=2, max_size=2, unique=True))
    def open(self, names: list[str]) -> None:
        self.stores = [self.opened[name] for name in names]
        self.saved: list[set[str]] = [set(), set()]
        self.memos: list[dict[str, str]] = [{}, {}]
        self.made: list[dict[tuple[str, str], Derived]] = [{}, {}]

    def teardown(self) -> None:
        for first, _ in self.stores:
            first.clear()
        self.folder.cleanup()

    @rule(who=_who, word=_word)
    def save(self, who: int, word: str) -> None:
        self.stores[who][0].save([word])
        self.saved[who].add(word)

    @rule(who=_who, word=_word, text=st.text(max_size=5))
    def remember(self, who: int, word: str, text: str) -> None:
        self.stores[who][1].remember({word: text})
        self.memos[who][word] = text

    @rule(who=_who, word=_word, recipe=_recipe, text=st.text(max_size=5))
    def put(self, who: int, word: str, recipe: str, text: str) -> None:
        one = saying(derived(word, recipe=RECIPES[recipe], uri=f"{word}.txt"), text)
        self.stores[who][0].put([one])
        self.made[who][recipe, one.source] = one

    @rule(who=_who, word=_word, by=st.sampled_from(["source", "uri", "recipe"]), recipe=_recipe)
    def forget(self, who: int, word: str, by: str, recipe: str) -> None:
        source, store, made = content_hash(word), self.stores[who][1], self.made[who]
        if by == "recipe":
            number, gone = store.forget(recipe=recipe), [key for key in made if key[0] == recipe]
        else:
            number = store.forget(uri=f"{word}.txt") if by == "uri" else store.forget(sources=[source])
            gone = [key for key in made if key[1] == source]
        assert number == len(gone)
        for key in gone:
            del made[key]

    @rule(who=_who)
    def clear(self, who: int) -> None:
        assert self.stores[who][0].clear() == len(self.saved[who]) + len(self.memos[who]) + len(self.made[who])
        self.saved[who], self.memos[who], self.made[who] = set(), {}, {}

    @rule(who=_who)
    def purge(self, who: int) -> None:
        assert self.stores[who][0].purge() == 0

    @rule(who=_who)
    def bound(self, who: int) -> None:
        store = self.stores[who][0]
        rows = store.stats().rows
        with Store(store._url, namespace=store.namespace, max_bytes=1) as bounded:
            bounded.purge()
        if store.stats().rows < rows:  # Empty texts may be left; which ones is the store's affair.
            self.clear_what_is_left(who)

    def clear_what_is_left(self, who: int) -> None:
        self.stores[who][0].clear()
        self.saved[who], self.memos[who], self.made[who] = set(), {}, {}

    @rule(who=_who)
    def hand_over(self, who: int) -> None:
        """An export of one becomes the other's own rows."""
        path = Path(self.folder.name) / "export.jsonl"
        held = len(self.saved[who]) + len(self.memos[who]) + len(self.made[who])
        assert self.stores[who][1].export(path) == held
        assert self.stores[1 - who][0].load_export(path) == held
        self.saved[1 - who] |= self.saved[who]
        self.memos[1 - who] |= self.memos[who]
        self.made[1 - who] |= self.made[who]

    @invariant()
    def each_holds_its_own(self) -> None:
        for who, (_, store) in enumerate(self.stores):
            made = self.made[who]
            assert {word for word in WORDS if store.load(reference(word)) is not None} == self.saved[who]
            assert store.recall(WORDS) == self.memos[who]
            for recipe in RECIPES:
                expected = {source: one for (other, source), one in made.items() if other == recipe}
                assert store.get([content_hash(word) for word in WORDS], recipe) == expected
            assert list(store.derived()) == [made[key] for key in sorted(made)]
            assert store.stats().rows == len(self.saved[who]) + len(self.memos[who]) + len(made)
            assert store.stats().derived == len(made)


@pytest.fixture(scope="module")
def opened(shared_urls: str) -> Iterator[Opened]:
    """Two stores of each namespace, for all examples: to open one takes longer than what is done with it."""
    with contextlib.ExitStack() as stack:
        yield {name: [stack.enter_context(Store(shared_urls, namespace=name)) for _ in range(2)] for name in NAMES}


def test_no_call_sees_or_changes_anothers_rows(opened: Opened) -> None:
    # A rule's own time counts as that of making inputs, and a busy machine is no failure.
    patient = settings(
        max_examples=10
        if opened["a"][0]._url.startswith("sqlite")
        else 6,  # A server is asked a hundred times in each.
        stateful_step_count=12,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(lambda: TwoTenants(opened), settings=patient)


@given(st.lists(st.tuples(st.sampled_from(NAMES), _word), max_size=6))
@settings(max_examples=15, deadline=None)
def test_names_are_compared_exactly(opened: Opened, steps: list[tuple[str, str]]) -> None:
    stores = {name: first for name, (first, _) in opened.items()}
    saved: dict[str, set[str]] = {name: set() for name in NAMES}
    for name, word in steps:
        stores[name].save([word])
        saved[name].add(word)
    for name, store in stores.items():
        assert {word for word in WORDS if store.load(reference(word)) is not None} == saved[name]
        assert store.clear() == len(saved[name])


def test_a_bound_takes_only_its_own_rows(url: str) -> None:
    with Store(url, namespace="one") as one, Store(url, namespace="two", max_bytes=10) as two:
        (id,) = one.save(["x" * 1000])
        one.put([derived("source")])
        two.save(["y" * 10])
        two.save(["z" * 10])
        two.purge()
        assert one.load(id) == "x" * 1000
        assert (one.stats().rows, two.stats().bytes) == (2, 10)


@pytest.mark.parametrize("name", ["", "x" * 256, "ä" * 128])
def test_a_name_has_a_length(new: New, name: str) -> None:
    with pytest.raises(ConfigError, match="namespace must have 1 to 255 bytes"):
        new(namespace=name)
