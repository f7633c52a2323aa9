"""The long conversation, in short."""

from __future__ import annotations

from ctxshrink.bench.kv_long import converse
from ctxshrink.bench.kv_speed import Shape, build
from ctxshrink.kv.policy import AgePolicy

POLICY = AgePolicy([(0, 1.0, None), (64, 0.5, "int8"), (128, 0.25, "int4")], max_tokens=256, chunk=32)


def test_bytes_stay_bounded() -> None:
    model = build(Shape(32, 1, 2, 1), "cpu")
    short, long = (converse(model, tokens=tokens, turn=100, policy=POLICY) for tokens in (4000, 8000))
    assert long.turns == 80
    assert long.most_entries <= 256 + 100
    ids = 4  # bytes of each token id that a context remembers, until there are 65,536
    assert long.most_bytes - ids * 8000 < 1.1 * (short.most_bytes - ids * 4000)
    assert long.full_bytes == 2 * short.full_bytes
    assert long.warm < 40
