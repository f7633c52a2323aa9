"""What the new texts of a request go through: replay, birth, freezing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from ctxshrink._lru import digest
from ctxshrink.expand import TOOL_NAME, find_references
from ctxshrink.messages import Pin, locks
from ctxshrink.messages.parsed import resolve_pin
from ctxshrink.policies import policy_goal
from ctxshrink.prefix import birth as births
from ctxshrink.prefix.rewriting import FROZEN, LOST, Request, Rewriting, permanent, whole
from ctxshrink.types import Decision, Segment

_KEEP: Final = 0.5
"""Where neither the call nor the policy says."""
_AS_IT_IS: Final = ""
"""Remembered of a text that was left whole at birth."""


class Steps(Rewriting):
    """All steps of a request, see `Rewriting`."""

    def replay(self, new: range) -> range:
        """Gives texts that were sent before (by this object, or by another with the same memo) the bytes they had.

        Returns:
            The positions that were never sent.
        """
        history = self.history
        keys = {p: history.entries[p].key for p in new}
        found = self._memo.recall([k for key in keys.values() for k in (key, _sent(key))])
        known = [p for p, key in keys.items() if key in history.gone or _sent(key) in found]
        start = known[-1] + 1 if known else new.start
        if new.start == 0 and len(known) < len(history.gone) and history.reread:
            where = self._message(start) if start < new.stop else 0
            self.warnings.append(f"the messages turned out to be of another format: {LOST.format(where)}")
        recalled = [p for p in range(new.start, start) if keys[p] not in history.gone and keys[p] in found]
        sizes = dict(zip(recalled, history.counter.count([found[keys[p]] for p in recalled]), strict=True))
        self._keep_originals((history.builder.segment(p).text, found[keys[p]]) for p in recalled)
        for p in range(new.start, start):
            entry = history.entries[p]
            old = history.gone.get(entry.key)
            if old is not None:
                history.set(p, old.text, old.after)
                entry.settled, entry.decision = old.settled, old.decision
            elif p in sizes and sizes[p] <= entry.before and permanent(segment := history.builder.segment(p)) is None:
                text = found[entry.key]
                history.settle(p, Decision(segment, "frozen", FROZEN, text, entry.before, sizes[p]))
        history.gone, history.reread = {}, False
        history.sent = max(history.sent, start)
        return range(start, new.stop)

    def pin(self, pin: Pin) -> dict[int, Decision]:
        """Makes the texts of pinned messages exact again."""
        history, builder = self.history, self.history.builder
        self._pinned = resolve_pin(pin, builder.items)
        touched: dict[int, Decision] = {}
        if any(self._message(p) in self._pinned for p in self._waiting):
            self._waiting = [p for p in self._waiting if self._message(p) not in self._pinned]
            self._recount()
        for index in sorted(self._pinned):
            for p in builder.of_message(index):
                entry, segment = history.entries[p], builder.segment(p)
                if entry.text == segment.text:
                    continue
                history.set(p, segment.text, entry.before)
                entry.settled, entry.decision = False, None
                touched[p] = whole(segment, entry.before, "locked", locks.PINNED)
        sent = [p for p in touched if p < history.sent]
        if touched:
            touched |= self._spell_out(min(touched))
        if sent:
            self._announce(f"message {self._message(sent[0])} was pinned and is exact again", sent)
        return touched

    def settle(self, request: Request, new: range) -> dict[int, Decision]:
        """Compresses turns that were never sent and are not recent any more, such as those of a first call."""
        history, touched = self.history, dict[int, Decision]()
        if request.keep is None:
            return touched
        segments: list[Segment] = []
        for p in new:
            segment = self._sent_segment(p, request)
            if history.entries[p].settled:
                text = history.entries[p].text
                segment = replace(segment, text=text, lock_reason=segment.lock_reason or FROZEN)
            if self._birth is not None and segment.kind == "document" and segment.age < self.window:
                segment = replace(segment, lock_reason=segment.lock_reason or "decided on its own")
            segments.append(segment)
        if not any(not s.locked and (s.age >= self.window or s.kind == "document") for s in segments):
            return touched
        result = self._shrinker.shrink_segments(segments, query=request.query, keep=request.keep)
        self.warnings += [w for w in result.warnings if not w.startswith("nothing was compressed")]
        for p, decision in zip(new, result.decisions, strict=True):
            if decision.action != "locked":
                history.settle(p, decision)
                touched[p] = decision
        return touched

    def adopt(self, request: Request, new: range) -> dict[int, Decision]:
        """Takes over what was decided about new texts before they came here, and originals that were asked for."""
        history, touched = self.history, dict[int, Decision]()
        for p in new:
            segment, entry = history.builder.segment(p), history.entries[p]
            text = request.born(segment, history.builder.items[self._message(p)]) if request.born else None
            reason = "decided elsewhere"
            if text is None and history.builder.tool(p) == TOOL_NAME:
                text, reason = segment.text, "an original that the model asked for"
            if text is None or permanent(segment) is not None:
                continue
            [size] = history.counter.count([text])
            if size > entry.before:
                touched[p] = whole(segment, entry.before, "kept", "what was decided elsewhere is larger")
            else:
                action = "kept" if text == segment.text else "compressed"
                touched[p] = Decision(segment, action, reason, text, entry.before, size)
            history.settle(p, touched[p])
        return touched

    def bear(self, request: Request, fed: range, new: range) -> dict[int, Decision]:
        """Compresses new tool results and chunks."""
        history, touched = self.history, dict[int, Decision]()
        todo: dict[int, tuple[Segment, str | None, str]] = {}
        birth = self._birth
        if birth is None:
            return touched
        keep = birth.keep if birth.keep is not None else request.keep
        keep = keep if keep is not None else policy_goal(self._policy).keep or _KEEP
        for p in fed:
            segment = history.builder.segment(p)
            query = self._read(p, segment, request.query)
            if p not in new or not self._newborn(p, segment, request.first):
                continue
            parts = (self.settings, segment.kind, segment.content_type, segment.title, segment.text, query or "")
            todo[p] = segment, query, "birth:" + digest(*parts, repr(keep)).hex()
        found = self._memo.recall(key for *_, key in todo.values())
        made: dict[str, str] = {}
        for p in fed:
            if p not in todo:
                self._see(p)
                continue
            (segment, query, key), tokens = todo[p], history.entries[p].before
            folded = self._seen.fold(segment.text) if birth.repeats and segment.kind == "tool_result" else None
            if self._short(0):
                decision = whole(segment, tokens, "kept", "the request is below the provider's smallest cached prefix")
            elif key in found and folded is None and self._keep_originals([(segment.text, found[key])]):
                decision = self._recalled(segment, tokens, found[key])
            else:
                decision = births.decide(
                    segment,
                    tokens,
                    query,
                    keep,
                    shrinker=self._shrinker,
                    birth=birth,
                    age=self.window,
                    folded=folded,
                )
                if folded is None:  # A text that refers to others means nothing elsewhere.
                    made[key] = _AS_IT_IS if decision.text == segment.text else decision.text
            if self._short(tokens - decision.tokens_after):
                decision = whole(segment, tokens, "kept", "without it nothing would be long enough to be cached")
            history.settle(p, decision)
            touched[p] = decision
            self._see(p)
        self._memo.remember(made)
        return touched

    def freeze(self, touched: Mapping[int, Decision]) -> None:
        """Ends the request: what stands now has been sent."""
        history = self.history
        texts: dict[str, str] = {}
        for p, decision in touched.items():
            if p < history.sent or decision.text != history.builder.segment(p).text:
                texts[history.entries[p].key] = decision.text
        if history.sent < len(history.entries):
            texts[_sent(history.entries[-1].key)] = "1"
        self._memo.remember(texts)
        history.sent = len(history.entries)
        self.requests += 1

    def _keep_originals(self, recalled: Iterable[tuple[str, str]]) -> bool:
        """Stores originals again that recalled texts refer to: theirs may have expired, or be in another store.

        Args:
            recalled: Originals, and what they came out as.

        Returns:
            False where a reference cannot be kept.
        """
        pairs = [(before, set(find_references(after)) - set(find_references(before))) for before, after in recalled]
        referred = [(before, ids) for before, ids in pairs if ids]
        if not referred:
            return True
        store = self._shrinker.store
        try:
            kept = [] if store is None else store.save([before for before, _ in referred])
        except Exception as error:  # noqa: BLE001  fail open: somebody's database must not end a call
            why = f"{type(error).__name__}: {error}"[:200]
            self.warnings.append(f"the store failed ({why}): what was left out earlier may be gone")
            return False
        return all(ids <= set(kept) for _, ids in referred)

    def _newborn(self, p: int, segment: Segment, first: bool) -> bool:
        """True for a text to decide at birth.

        The caller's breakpoints say nothing about what was never sent, but in a first call nobody knows what was.
        """
        if segment.kind not in ("tool_result", "document") or self.history.entries[p].settled:
            return False
        if self.history.builder.place(p).index in self._pinned:
            return False
        why = segment.lock_reason
        in_newest_user = why == locks.NEWEST_USER and segment.kind == "document"
        return why is None or in_newest_user or (why == locks.CACHED and not first)

    def _spell_out(self, first: int) -> dict[int, Decision]:
        """Makes texts whole that refer to others, from a position on that has changed."""
        decisions = self._spelled(p for p in self._seen.referring if p > first)
        for p, decision in decisions.items():
            self.history.settle(p, decision)
        self._look_again()
        return decisions

    def _read(self, p: int, segment: Segment, query: str | None) -> str | None:
        """Follows the conversation; returns what a text at this place is read for."""
        if segment.kind == "user":
            self._asked = segment.text[: births.QUERY_CHARS]
        elif segment.kind == "tool_call":
            message = self._message(p)
            said = self._calls[1] + "\n" if self._calls[0] == message else ""
            self._calls = message, (said + segment.text)[: births.CALL_CHARS]
        if segment.kind == "tool_result":
            return query or "\n".join(part for part in (self._asked, self._calls[1]) if part) or None
        return query or self._asked or None

    def _short(self, saved: int) -> bool:
        """True where a request with so many tokens less is below what the provider caches."""
        rules = self._plan.rules
        return rules is not None and self._prefix + self.history.after - saved < rules.min_prefix

    def _recalled(self, segment: Segment, tokens: int, text: str) -> Decision:
        [size] = self.history.counter.count([text])
        if text == _AS_IT_IS or size > tokens:
            return whole(segment, tokens, "kept", "decided when it was first seen")
        return Decision(segment, "compressed", "decided when it was first seen", text, tokens, size)


def _sent(key: str) -> str:
    return "sent:" + key
