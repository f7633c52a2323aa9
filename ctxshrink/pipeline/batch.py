"""One batch of distillation: what the store has is taken from it, the rest is distilled and kept.

The one way in which rows are made: the local pipeline, the workers of a cluster, the seats that index documents and
`ctxshrink.compressors.distilled.DistillCompressor` all come here, so they write and read the same rows.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from ctxshrink._deadline import describe
from ctxshrink.distill.types import Derived, Distillate, Distiller, Source, content_hash, recipe_key

_log = logging.getLogger("ctxshrink")

State: TypeAlias = Literal["stored", "new", "retried", "failed"]
"""How a distillate was come by: `stored` was there; `new` was made; `retried` was there, not final, and was made again;
`failed` could not be made."""


@runtime_checkable
class DerivedStore(Protocol):
    """Keeps distillates and their originals. `ctxshrink.store.Store` is one."""

    def get(self, sources: Sequence[str], recipe: str, /) -> Mapping[str, Derived]:
        """What was made of these sources by this recipe, by content hash; one without a row is missing."""
        ...

    def put(self, derived: Sequence[Derived], /, *, originals: Sequence[str] = ()) -> Sequence[Derived]:
        """Keep rows and originals, all or none of them; a row of the same source and recipe is replaced.

        Returns:
            The rows as they are kept, in order: with the ids of their originals, and with the time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one source.

    Attributes:
        uri: Where the source came from.
        state: How the distillate was come by.
        derived: The distillate with its provenance; None where it failed and none was stored before.
        reason: Why it failed, else "".
        duplicate: The same text was dealt with before in this run.
    """

    uri: str
    state: State
    derived: Derived | None
    reason: str = ""
    duplicate: bool = False


def distill_batch(
    sources: Sequence[Source],
    distiller: Distiller,
    store: DerivedStore | None,
    *,
    retry: bool = True,
    originals: bool = True,
    since: float | None = None,
) -> list[Outcome]:
    """Distil what the store does not have, and keep it there: one write for the batch, all or none of it.

    A distiller that fails on the batch gets its sources one by one, so that one bad text costs only itself.

    Args:
        sources: Any texts. Equal texts are distilled once; the first gives title and URI to the row.
        distiller: Makes what is missing.
        store: Where rows are; None distils everything and keeps nothing.
        retry: Distil again what is stored and not final.
        originals: Keep the originals of new rows too, so that `Derived.original` names them.
        since: When the run began, in seconds since 1970. Rows written later are this run's own: their texts are
            duplicates and are not retried.

    Returns:
        An outcome for each source, in order.

    Raises:
        StoreError: The store failed. What was made is then lost, and made again next time.
    """
    settings = dict(distiller.recipe)
    recipe = recipe_key(settings)
    keys = [content_hash(source.text) for source in sources]
    first: dict[str, int] = {}
    for i, key in enumerate(keys):
        first.setdefault(key, i)
    found = {} if store is None else dict(store.get(list(first), recipe))
    own = {key for key, row in found.items() if since is not None and row.created >= since}
    wanted = [k for k in first if k not in found or (retry and k not in own and not found[k].distillate.final)]
    made = _distilled([sources[first[key]] for key in wanted], distiller)
    results = dict(zip(wanted, made, strict=True))
    new = {
        key: Derived(
            key,
            recipe,
            result,
            settings,
            distiller.counter_name,
            sources[first[key]].uri,
            found[key].original if key in found else "",
        )
        for key, result in results.items()
        if isinstance(result, Distillate)
    }
    if store is not None and new:
        texts = [sources[first[key]].text for key in new] if originals else []
        new = {row.source: row for row in store.put(list(new.values()), originals=texts)}
    out: list[Outcome] = []
    for i, (source, key) in enumerate(zip(sources, keys, strict=True)):
        result = results.get(key)
        reason = result if isinstance(result, str) else ""
        state: State = "failed" if reason else "stored" if result is None else "retried" if key in found else "new"
        out.append(Outcome(source.uri, state, new.get(key, found.get(key)), reason, first[key] != i or key in own))
    return out


def _distilled(sources: list[Source], distiller: Distiller) -> list[Distillate | str]:
    """A distillate for each source, or why there is none."""
    if not sources:
        return []
    try:
        made: Sequence[object] = list(distiller.distill(sources))
        if len(made) == len(sources):
            return [_checked(one, distiller) for one in made]
        why = f"{distiller.name} gave {len(made)} distillates for {len(sources)} sources"
    except Exception as error:  # noqa: BLE001  recorded on the outcome: one bad text must not stop a corpus
        _log.warning("distiller %s failed on %d sources: %s", distiller.name, len(sources), type(error).__name__)
        why = f"{distiller.name} failed: {describe(error)}"
    if len(sources) == 1:
        return [why]
    return [one for source in sources for one in _distilled([source], distiller)]


def _checked(made: object, distiller: Distiller) -> Distillate | str:
    if not isinstance(made, Distillate):
        return f"{distiller.name} gave a {type(made).__name__}, not a Distillate"
    if made.tokens_after > made.tokens_before:
        return f"{distiller.name} made {made.tokens_after} tokens of {made.tokens_before}"
    return made
