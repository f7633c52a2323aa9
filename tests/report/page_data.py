"""Report data made up for the page's tests: what `ctxshrink.report.model` returns, without compressing anything."""

from __future__ import annotations

import random
from typing import Any

TEXT = (
    "the harbour crane lifts forty tonnes in calm weather and a permit is needed for boats over twelve metres invoice "
    "payment deadline service motor warranty month container customs answer agent retry timeout error request cache"
)
WORDS = TEXT.split()

HOSTILE = (
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=2><svg onload=window.hacked=3>",
    "admin\u202etxt.exe\u2066\u2069 zero\u200bwidth \u2028 \u2029 \x00\x1b[31m \ufeff",
    "lone \ud83d surrogate, \udc00\ud83d pair the wrong way, 👩\u200d👧 family",
    "javascript:window.hacked=4 {{7*7}} ${window.hacked=5} <!--<script> ]]>",
    "<meta http-equiv=refresh content='0;url=https://example.org/'><base href=https://example.org/>",
    "__proto__ constructor \u0627\u0644\u0633\u0644\u0627\u0645 مرحبا <b>bold</b>",
)


def sentence(rng: random.Random, words: int = 12) -> str:
    chosen = [rng.choice(WORDS) for _ in range(words)]
    return " ".join(chosen).capitalize() + f" {rng.randrange(1000)}."


class Builder:
    """Collects texts once, as the model does."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.known: dict[str, int] = {}
        self.segments: list[dict[str, Any]] = []
        self.heats: list[list[list[int]]] = []

    def text(self, value: str) -> int:
        if value not in self.known:
            self.known[value] = len(self.texts)
            self.texts.append(value)
        return self.known[value]

    def segment(self, id: str, text: str, action: str = "kept", **fields: Any) -> int:
        before = len(text) // 4 + 1
        record: dict[str, Any] = {
            "id": id, "kind": "document", "type": "prose", "action": action, "reason": f"{action} for a reason",
            "before": before, "after": before, "keep": 1.0, "lock": "instruction" if action == "locked" else None,
            "title": "", "in": self.text(text), "out": self.text(text), "source": None, "spans": None, "heat": None,
            "score": None, "attempts": [],
        }  # fmt: skip
        self.segments.append(record | fields)
        return len(self.segments) - 1

    def extract(self, id: str, sentences: list[str], kept: list[int], marker: str = " ", **fields: Any) -> int:
        """A segment of which whole sentences were kept."""
        text = " ".join(sentences)
        starts = [sum(len(s) + 1 for s in sentences[:i]) for i in range(len(sentences))]
        spans = [[starts[i], starts[i] + len(sentences[i])] for i in kept]
        output = marker.join(sentences[i] for i in kept)
        attempt = {
            "compressor": "pruner", "keep": 0.3, "tokens": len(output) // 4 + 1, "ok": True, "error": None,
            "score": 0.012, "reason": "keeps what the question asks for", "features": {"coverage": 0.93, "rank": 0.2},
        }  # fmt: skip
        given: dict[str, Any] = {
            "out": self.text(output), "spans": spans, "after": len(output) // 4 + 1, "keep": 0.3, "score": 0.012,
            "attempts": [attempt],
        }  # fmt: skip
        return self.segment(id, text, fields.pop("action", "compressed"), **(given | fields))

    def warm(self, index: int, rng: random.Random) -> None:
        """Gives a segment heat: a level for each word of its original."""
        text, at, heat = self.texts[self.segments[index]["in"]], 0, []
        for word in text.split(" "):
            heat.append([at, min(at + len(word) + 1, len(text)), min(9, int(rng.expovariate(0.4)))])
            at += len(word) + 1
        self.heats.append(heat)
        self.segments[index]["heat"] = len(self.heats) - 1

    def data(self, calls: list[dict[str, Any]], title: str = "Harbour manual") -> dict[str, Any]:
        before, after = sum(c["before"] for c in calls), sum(c["after"] for c in calls)
        return {
            "version": 1, "title": title, "texts": self.texts, "heats": self.heats, "segments": self.segments,
            "calls": calls, "heat_by": "surprisal, embedded scorer, nats", "bench": None,
            "savings": {"gross_tokens": before - after, "of_tokens": before, "net": None, "notes": []},
        }  # fmt: skip

    def call(self, turn: int, entries: list[tuple[int, int]], **fields: Any) -> dict[str, Any]:
        chosen = [self.segments[index] for index, _ in entries]
        return {
            "turn": turn, "query": None, "goal": {"keep": 0.3, "max_tokens": None, "lossless": False},
            "counter": "embedded", "exact": False, "mode": "apply", "seconds": 0.25,
            "before": sum(s["before"] for s in chosen), "after": sum(s["after"] for s in chosen),
            "risk": max((s["score"] or 0.0 for s in chosen), default=0.0), "warnings": [],
            "segments": [list(entry) for entry in entries], "rewrote": 0,
        } | fields  # fmt: skip


def rag() -> dict[str, Any]:
    """One call on eight documents: every action, two attempts on one of them, a rendering, a bench."""
    rng, b = random.Random(7), Builder()
    entries: list[int] = []
    for i in range(4):
        sentences = [sentence(rng) for _ in range(9)]
        entries.append(b.extract(f"doc-{i}", sentences, sorted(rng.sample(range(9), 3)), title=f"Chapter {i}"))
        b.warm(entries[-1], rng)
    rejected = {
        "compressor": "pruner", "keep": 0.3, "tokens": 30, "ok": False, "error": None, "score": 0.41,
        "reason": "drops 'Invoice INV-2291 is due on 4 May.'", "features": {"coverage": 0.31, "facts_lost": 2.0},
    }  # fmt: skip
    failed = {
        "compressor": "llmlingua2", "keep": 0.5, "tokens": 0, "ok": False, "error": "TimeoutError: no answer in 2 s",
        "score": None, "reason": None, "features": {},
    }  # fmt: skip
    invoice = "Invoice INV-2291 is due on 4 May. " + sentence(rng, 30)
    entries.append(
        b.segment(
            "doc-invoice", invoice, "fallback", attempts=[rejected, failed], reason="every attempt failed", keep=0.3
        )
    )
    gone = " ".join(sentence(rng) for _ in range(3))
    entries.append(b.segment("doc-empty", gone, "emptied", out=b.text(""), spans=[], after=0, keep=0.1, score=0.03))
    rows = '[{"id": 1, "city": "Lyon"}, {"id": 2, "city": "Brest"}, {"id": 3, "city": "Nantes"}]'
    short = "id | city\n1 | Lyon\n2 | Brest\n3 | Nantes"
    entries.append(
        b.segment(
            "tool-json", rows, "compressed", kind="tool_result", type="json", source=b.text(short),
            out=b.text("id | city\n2 | Brest\n[… 1 line omitted]"), spans=[[0, 10], [19, 28]], after=14, score=0.2,
        )
    )  # fmt: skip
    entries.append(
        b.segment("system", "You are a harbour agent. Never book without a yes.", "locked", kind="instruction")
    )
    call = b.call(0, [(index, 0) for index in entries], query=b.text("When is invoice INV-2291 due?"))
    call["warnings"] = ["max_tokens=200 could not be met: 12 tokens over"]
    made = b.data([call])
    made["savings"]["net"] = {
        "calls": 1,
        "input without compression, dollars": "0.10",
        "saved, net, dollars": "0.06 (60.0%)",
    }
    made["bench"] = {
        "tables": [{
            "title": "rag", "columns": ["method", "keep 0.25"], "rows": [["ctxshrink", 0.82], ["bm25", 0.68]],
            "note": "n = 20",
        }],
        "plots": [
            '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="120">'
            '<title>Quality &amp; share</title>'
            '<script>window.hacked=9</script><rect width="160" height="80" x="20" y="20" fill="#1f77b4"/></svg>'
        ],
    }  # fmt: skip
    return made


def conversation(turns: int = 300, *, words: int = 60) -> dict[str, Any]:
    """A conversation of two messages a turn, old ones compressed in large steps and frozen in between."""
    rng, b = random.Random(11), Builder()
    system = b.segment("m0", "You are a helpful agent. " * 8, "locked", kind="instruction")
    live: list[tuple[str, list[str], int, str]] = []
    calls: list[dict[str, Any]] = []
    records: dict[tuple[str, str], int] = {}
    for turn in range(turns):
        for part in ("user", "tool_result"):
            sentences = [sentence(rng) for _ in range(2 if part == "user" else words // 6)]
            live.append((f"m{2 * turn + (part != 'user') + 1}", sentences, turn, part))
        step = turn % 12 == 11
        entries = [(system, turn)]
        for id, sentences, born, kind in live:
            age = turn - born
            state = "locked" if age < 4 else "shrunk" if age >= 12 or (step and age >= 4) else "kept"
            if state == "shrunk" and (id, "shrunk") in records:
                state = "frozen"
            if (id, state) not in records:
                records[id, state] = make(b, id, sentences, kind, state)
            entries.append((records[id, state], age))
        rewrote = sum(b.segments[i]["action"] in ("compressed", "emptied") for i, _ in entries) if step else 0
        calls.append(b.call(turn + 1, entries, rewrote=rewrote))
        if step:
            calls[-1]["warnings"] = [f"{rewrote} segments of the cached prefix were rewritten"]
    made = b.data(calls, "Conversation of an agent")
    made["savings"]["notes"] = ["Gross: what compressing, fallbacks and cache misses cost is not taken off."]
    return made


def make(b: Builder, id: str, sentences: list[str], kind: str, state: str) -> int:
    text = " ".join(sentences)
    if state == "kept" or (state == "locked"):
        return b.segment(id, text, state, kind=kind, type="log" if kind == "tool_result" else "prose")
    rng = random.Random(id)  # sent again, it is the same
    kept = sorted(rng.sample(range(len(sentences)), max(1, len(sentences) // 4)))
    action = "frozen" if state == "frozen" else rng.choice(["compressed"] * 8 + ["forced", "emptied"])
    return b.extract(id, sentences, kept, " [… omitted] ", kind=kind, action=action, type="prose")


def hostile() -> dict[str, Any]:
    """Everything that can be hostile is."""
    b = Builder()
    everything = " ".join(HOSTILE)
    entries: list[int] = []
    for i, value in enumerate(HOSTILE):
        attempt = {
            "compressor": value, "keep": 0.5, "tokens": 3, "ok": False, "error": value, "score": 0.9, "reason": value,
            "features": {value: 1.0, "__proto__": 2.0},
        }  # fmt: skip
        half = [[0, len(value) // 2]]
        entries.append(
            b.segment(
                f"{i} {value}", value * 3, "compressed" if i % 2 else "fallback", kind=value, type=value, reason=value,
                title=value, lock=value, out=b.text(value[: len(value) // 2]), spans=half, attempts=[attempt],
            )
        )  # fmt: skip
    b.heats.append([[j, j + 2, j % 10] for j in range(0, len(HOSTILE[0]) * 3 - 2, 2)])
    b.segments[0]["heat"] = 0
    entries.append(b.segment("long line", "\u202e<b>x" * 200_000, "kept"))
    entries.append(b.segment("unknown", everything, everything))
    calls = [b.call(i, [(index, i) for index in entries], query=b.text(everything), counter=everything) for i in (0, 1)]
    calls[1]["warnings"] = list(HOSTILE)
    made = b.data(calls, everything)
    made["heat_by"] = everything
    made["savings"] |= {"notes": list(HOSTILE), "net": {value: value for value in HOSTILE}}
    evil = f"<svg xmlns='http://www.w3.org/2000/svg'><title>{everything}</title><script>window.hacked=7</script></svg>"
    tables = [{"title": everything, "columns": list(HOSTILE), "rows": [list(HOSTILE)], "note": everything}]
    made["bench"] = {"tables": tables, "plots": [evil, everything]}
    return made


def large(records: int = 6000, size: int = 900) -> dict[str, Any]:
    """One call of about 5 MB of text."""
    rng, b = random.Random(3), Builder()
    entries: list[int] = []
    base = [sentence(rng) for _ in range(400)]
    for i in range(records):
        sentences = [f"Record {i}."] + [rng.choice(base) for _ in range(size // 90)]
        action = "fallback" if i % 500 == 0 else "compressed" if i % 3 else "kept"
        entries.append(b.extract(f"doc-{i}", sentences, [0, 2, 5], action=action, type=("prose", "json", "log")[i % 3]))
    return b.data([b.call(0, [(index, 0) for index in entries])], "Large")


def single() -> dict[str, Any]:
    """One short segment that came out as it was."""
    b = Builder()
    index = b.segment("text", "The office opens at nine.", "kept", reason="keep 1: nothing to do")
    return b.data([b.call(0, [(index, 0)])], "One text")


def nothing() -> dict[str, Any]:
    """No call at all."""
    return Builder().data([], "Empty")
