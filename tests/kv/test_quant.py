"""What quantized keys and values promise: a bounded error, fewer bytes, nothing strange at odd shapes and values."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError, ModelError

torch = pytest.importorskip("torch")

from ctxshrink.kv.quant import QuantizedTensor, quantize  # noqa: E402

_TYPES = ("float32", "float16", "bfloat16")
_AXES = ("channel", "token")


def _random(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0, scale: float = 1.0) -> Any:
    """Values with channels of very different sizes and means, as keys have."""
    made = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=made)
    spread = torch.rand(shape[-1], generator=made).exp().pow(3)
    return ((x * spread + torch.randn(shape[-1], generator=made) * 5) * scale).to(getattr(torch, dtype))


def _steps(q: QuantizedTensor) -> Any:
    """The step of each element, by looping over groups."""
    out = torch.empty(q.shape)
    for i in range(out.shape[2 if q.axis == "channel" else 3]):
        if q.axis == "channel":
            out[:, :, i] = q.scale[:, :, i // q.group].float()
        else:
            out[..., i] = q.scale[..., i // q.group].float()
    return out * 2.0**q.exponent


@st.composite
def _tensors(draw: st.DrawFn) -> Any:
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(0, 70)), draw(st.integers(1, 70)))
    # From what float16 cannot lift from zero to what it cannot hold.
    power = draw(st.sampled_from([-140, -60, -26, -10, -3, 0, 3, 12, 60, 120]))
    dtype = draw(st.sampled_from(_TYPES))
    x = _random(shape, dtype, draw(st.integers(0, 99)), 2.0**power)
    assume(bool(x.isfinite().all()))
    if draw(st.booleans()) and x.numel():
        x[:, :, : draw(st.integers(0, 70))] = x[0, 0, 0, 0]  # groups of equal values
    return x


@settings(deadline=None, max_examples=150)
@given(_tensors(), st.sampled_from([4, 8]), st.sampled_from(_AXES), st.sampled_from([1, 8, 32, 64, 100]))
def test_each_value_is_off_by_at_most_half_a_step(x: Any, bits: int, axis: Any, group: int) -> None:
    q = quantize(x, bits, axis=axis, group=group)
    y = q.dequantize()
    assert (y.dtype, y.shape) == (x.dtype, x.shape) == (q.dtype, q.shape)
    assert bool(y.isfinite().all())
    if not x.numel():
        return
    top = float(x.float().abs().max())
    # Beside half a step: the rounding of the type that comes out, and float32's on the way.
    rounding = top * torch.finfo(x.dtype).eps + top * 2**-20 + torch.finfo(x.dtype).tiny
    assert bool(((y.float() - x.float()).abs() <= _steps(q) / 2 + rounding).all())
    # And steps are no wider than the range asks for, but for what 16 bits round and their least magnitude.
    wide = float(x.float().max()) - float(x.float().min()) + top * 2**-9
    assert float(_steps(q).max()) <= wide * 1.01 / (2**bits - 1) + 2.0 ** (q.exponent - 23)


@settings(deadline=None, max_examples=50)
@given(_tensors(), st.sampled_from([4, 8]), st.sampled_from(_AXES))
def test_files_hold_all_of_it(x: Any, bits: int, axis: Any) -> None:
    q = quantize(x, bits, axis=axis)
    again = QuantizedTensor.from_tensors(q.meta(), {name: t.clone() for name, t in q.tensors().items()})
    assert torch.equal(again.dequantize(), q.dequantize())
    assert again.nbytes == q.nbytes == sum(t.nbytes for t in q.tensors().values())
    assert again.meta() == q.meta()


@pytest.mark.parametrize("axis", _AXES)
@pytest.mark.parametrize("dtype", _TYPES)
def test_fewer_bytes_mean_more_error(axis: Any, dtype: str) -> None:
    x = _random((2, 2, 256, 128), dtype)
    sizes: list[int] = []
    errors: list[float] = []
    for bits, group in ((8, 32), (8, 64), (4, 32), (4, 64), (4, 128)):
        q = quantize(x, bits, axis=axis, group=group)
        sizes.append(q.nbytes)
        errors.append(float((q.dequantize().float() - x.float()).square().mean()))
    assert sizes == sorted(sizes, reverse=True)
    assert errors[1] < errors[2]
    assert errors[2:] == sorted(errors[2:])


@pytest.mark.parametrize("axis", _AXES)
@pytest.mark.parametrize(("bits", "most"), [(8, 0.532), (4, 0.282)])
def test_bytes_of_sixteen_bits(axis: Any, bits: int, most: float) -> None:
    x = _random((1, 4, 640, 64), "bfloat16")
    assert quantize(x, bits, axis=axis).nbytes <= most * x.nbytes


@pytest.mark.parametrize("n", [1, 2, 63, 65, 95, 97, 129])
def test_a_last_group_of_few_values_is_avoided(n: int) -> None:
    q = quantize(_random((1, 1, n, 8)), 8, axis="channel", group=64)
    groups = q.scale.shape[2]
    assert groups == max(1, round(n / 64))
    assert math.ceil(n / groups) == q.group


@pytest.mark.parametrize("value", [0.0, 1.0, -3.140625, 65504.0, 2.0**-24])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("axis", _AXES)
@pytest.mark.parametrize("bits", [4, 8])
def test_groups_of_equal_values_are_exact(value: float, dtype: str, axis: Any, bits: int) -> None:
    x = torch.full((1, 2, 70, 9), value, dtype=getattr(torch, dtype))
    assert torch.equal(quantize(x, bits, axis=axis).dequantize(), x)


def test_equal_values_that_sixteen_bits_cannot_hold_are_nearly_exact() -> None:
    x = torch.full((1, 1, 64, 4), math.pi)
    torch.testing.assert_close(quantize(x, 4, axis="channel").dequantize(), x, rtol=1e-6, atol=0)


def test_a_large_channel_costs_keys_nothing_and_a_large_token_costs_values_nothing() -> None:
    x = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    wide, tall = x.clone(), x.clone()
    wide[..., 5] *= 1000
    tall[:, :, 5] *= 1000
    other = torch.arange(64) != 5
    keys = quantize(wide, 4, axis="channel").dequantize()
    values = quantize(tall, 4, axis="token").dequantize()
    assert float((keys - wide)[..., other].abs().max()) < 0.04
    assert float((values - tall)[:, :, other].abs().max()) < 0.04


@pytest.mark.parametrize("axis", _AXES)
def test_entries_that_hold_nothing_widen_no_group(axis: Any) -> None:
    x = _random((2, 2, 70, 16))
    held = torch.ones(2, 2, 70, dtype=torch.bool)
    held[1, :, :66] = False  # with the first group of the row all empty
    spoiled = x.clone()
    spoiled[1, :, :60] = 1e9
    spoiled[1, :, 60:66] = math.nan
    y, z = (quantize(t, 4, axis=axis, held=held).dequantize() for t in (x, spoiled))
    assert torch.equal(y[held], z[held])
    assert bool(z.isfinite().all())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    x = _random((1, 1, 4, 4))
    x[0, 0, 1, 2] = bad
    with pytest.raises(ModelError, match="not finite"):
        quantize(x, 8, axis="token")


@pytest.mark.parametrize(
    ("x", "bits", "axis", "group"),
    [
        (torch.zeros(1, 1, 2, 2), 3, "token", 64),
        (torch.zeros(1, 1, 2, 2), 4, "head", 64),
        (torch.zeros(1, 1, 2, 2), 4, "token", 0),
        (torch.zeros(1, 2, 2), 4, "token", 64),
        (torch.zeros(1, 1, 2, 2, dtype=torch.int32), 4, "token", 64),
        (torch.zeros(1, 1, 2, 2, dtype=torch.float64), 4, "token", 64),
    ],
)
def test_what_cannot_be_quantized_is_refused(x: Any, bits: int, axis: Any, group: int) -> None:
    with pytest.raises(ConfigError, match="quantize packs"):
        quantize(x, bits, axis=axis, group=group)


@pytest.mark.parametrize(
    "change",
    [
        {"bits": 4},
        {"bits": 5},
        {"bits": True},
        {"axis": "token"},
        {"axis": "x"},
        {"axis": []},
        {"group": 0},
        {"group": 32},
        {"group": 2.0},
        {"width": 17},
        {"width": -1},
        {"dtype": "float64"},
        {"dtype": []},
        {"exponent": 1000},
        {"exponent": None},
    ],
)
def test_a_description_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    q = quantize(_random((1, 1, 128, 16)), 8, axis="channel")
    with pytest.raises(ModelError):
        QuantizedTensor.from_tensors({**q.meta(), **change}, q.tensors())


def test_missing_or_odd_tensors_are_refused() -> None:
    q = quantize(_random((1, 1, 128, 16)), 8, axis="channel")
    tensors = q.tensors()
    for name in tensors:
        with pytest.raises(ModelError):
            QuantizedTensor.from_tensors(q.meta(), {k: t for k, t in tensors.items() if k != name})
        with pytest.raises(ModelError):
            QuantizedTensor.from_tensors(q.meta(), {**tensors, name: tensors[name].float()})
        with pytest.raises(ModelError):
            QuantizedTensor.from_tensors(q.meta(), {**tensors, name: tensors[name][0]})
    meta = q.meta()
    del meta["axis"]
    with pytest.raises(ModelError):
        QuantizedTensor.from_tensors(meta, tensors)


def test_the_input_is_left_alone_and_the_outcome_is_the_same_each_time() -> None:
    x = _random((1, 2, 65, 7))
    before = x.clone()
    first, second = (quantize(x, 4, axis="channel") for _ in range(2))
    assert torch.equal(x, before)
    assert all(torch.equal(a, b) for a, b in zip(first.tensors().values(), second.tensors().values(), strict=True))
    moved = first.to("cpu")
    assert torch.equal(moved.dequantize(), first.dequantize())
    assert first.device == torch.device("cpu")


def test_rows_of_a_batch_do_not_change_each_other() -> None:
    x = _random((3, 2, 65, 16))
    together = quantize(x, 4, axis="channel").dequantize()
    alone = torch.cat([quantize(row[None], 4, axis="channel").dequantize() for row in x])
    assert torch.equal(together, alone)
