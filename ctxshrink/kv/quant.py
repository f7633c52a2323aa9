"""INT8 and INT4 storage of keys and values.

Each group of values is stored as ``x ≈ scale * code + offset`` with codes of 8 or 4 bits and a scale and an offset of
16 bits. Keys are grouped along the tokens within a channel and values along the channels within a token, as some
channels of keys are large throughout and values have no such channels (KIVI, Liu et al. 2024, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from ctxshrink.errors import ConfigError, ModelError

__all__ = ["GROUP", "Axis", "QuantizedTensor", "quantize"]

Axis: TypeAlias = Literal["channel", "token"]
GROUP = 64
"""Values that share a scale, about: 32 bits a group add half a bit to each value."""

_TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_TOP, _BOTTOM = 15, -4
"""Tensors whose largest magnitude lies between these powers of two are stored as they are."""
_LEAST_EXPONENT = -100
"""Smaller would make the factor that undoes it overflow; what it cannot lift is below 1e-30 throughout."""
_AXES = {"channel": 2, "token": 3}
_META = ("bits", "axis", "group", "width", "dtype", "exponent")


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedTensor:
    """A tensor of shape (B, G, n, d) in 8 or 4 bits.

    Attributes:
        codes: uint8, shape (B, G, n, d); with 4 bits (B, G, n, ceil(d / 2)), where the low halves of the bytes are the
            first channels and the high halves the rest.
        scale: Width of a step, float16: shape (B, G, groups, d) where groups run along tokens, (B, G, n, groups) where
            they run along channels.
        offset: What code 0 stands for, likewise.
        bits: 8 or 4.
        axis: "channel" for groups along the tokens of a channel, "token" for groups along the channels of a token.
        group: Values of a group; the last one may have fewer.
        width: d.
        dtype: The type that was quantized.
        exponent: All values are multiplied by 2 to this power; 0 unless float16 could not hold the scales.
    """

    codes: Tensor
    scale: Tensor
    offset: Tensor
    bits: int
    axis: Axis
    group: int
    width: int
    dtype: torch.dtype
    exponent: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of codes, scales and offsets."""
        return self.codes.nbytes + self.scale.nbytes + self.offset.nbytes

    @property
    def shape(self) -> torch.Size:
        """(B, G, n, d)."""
        return torch.Size((*self.codes.shape[:3], self.width))

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.codes.device

    def to(self, device: torch.device | str) -> QuantizedTensor:
        """The same on another device."""
        moved = {name: tensor.to(device) for name, tensor in self.tensors().items()}
        return replace(self, **moved)

    def dequantize(self) -> Tensor:
        """The values, shape (B, G, n, d), in the type that they were packed from.

        Each is off by at most half a step, and by the rounding of its type.
        """
        out = torch.empty(self.shape, dtype=torch.float32, device=self.device)
        if self.bits == 8:
            out.copy_(self.codes)
        else:
            low = self.codes.shape[-1]
            out[..., :low] = self.codes & 15
            out[..., low:] = (self.codes >> 4)[..., : self.width - low]
        along = _AXES[self.axis]
        first = 0
        for part in _parts(out, self.axis, self.group):
            number = part.shape[along]
            scale, offset = (
                t.narrow(along, first, number).float().unsqueeze(along + 1) for t in (self.scale, self.offset)
            )
            part.mul_(scale).add_(offset)
            first += number
        if self.exponent:
            out.mul_(2.0**self.exponent)
        return out.to(self.dtype)

    def tensors(self) -> dict[str, Tensor]:
        """What a file holds of it, with `meta`."""
        return {"codes": self.codes, "scale": self.scale, "offset": self.offset}

    def meta(self) -> dict[str, int | str]:
        """The rest, for a JSON header."""
        dtype = next(name for name, known in _TYPES.items() if known == self.dtype)
        return {name: getattr(self, name) for name in _META} | {"dtype": dtype}

    @classmethod
    def from_tensors(cls, meta: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> QuantizedTensor:
        """Puts together what `meta` and `tensors` gave.

        Raises:
            ModelError: They do not belong together.
        """
        try:
            made = cls(**{name: tensors[name] for name in ("codes", "scale", "offset")}, **_checked(meta))
        except KeyError as error:
            raise ModelError(f"a quantized tensor without {error}") from error
        found = [(t.dtype, tuple(t.shape)) for t in made.tensors().values()]
        if made.codes.ndim != 4 or found != _layout(made):
            raise ModelError(f"tensors that are no quantized tensor of {dict(meta)}: {found}")
        return made


def quantize(x: Tensor, bits: int, *, axis: Axis, group: int = GROUP, held: Tensor | None = None) -> QuantizedTensor:
    """Packs keys (``axis="channel"``) or values (``axis="token"``).

    The offset is rounded down and the step up to 16 bits before the codes are chosen, so that all values of a group lie
    within its steps: each comes back with an error of half a step at most, whatever its group holds. A group of equal
    values that float16 can hold comes back exactly.

    Args:
        x: Float32, float16 or bfloat16, shape (B, G, n, d).
        bits: 8 or 4.
        axis: What a group is part of.
        group: Values of a group, about: an axis is cut into equal groups of the nearest size, as a last group of a few
            values would cost more than it holds.
        held: False for entries that hold nothing, shape (B, G, n); None where all do. They widen no group and come back
            as anything.

    Raises:
        ConfigError: An argument is not one of those.
        ModelError: A value is not finite.
    """
    if bits not in (4, 8) or axis not in get_args(Axis) or group < 1 or x.ndim != 4 or x.dtype not in _TYPES.values():
        raise ConfigError(
            "quantize packs float tensors of four axes into 8 or 4 bits by channel or token; got bits="
            f"{bits}, axis={axis!r}, group={group}, {x.dtype} of shape {tuple(x.shape)}"
        )
    values = x.detach().float()
    empty = None
    if held is not None and not bool(held.all()):
        empty = ~held[..., None].to(x.device).expand_as(values)
        values = values.masked_fill(empty, 0.0)
    top = values.abs().amax() if values.numel() else values.new_zeros(())
    if not bool(top.isfinite()):
        raise ModelError("keys or values that are not finite cannot be quantized: the model overflowed in its type")
    exponent = _exponent(float(top))
    if exponent:
        values = values * 2.0**-exponent
    size = _size(x.shape[_AXES[axis]], group)
    codes = torch.empty(values.shape, dtype=torch.uint8, device=x.device)
    parts, places = _parts(values, axis, size), _parts(codes, axis, size)
    masks = [None] * len(parts) if empty is None else _parts(empty, axis, size)
    found = [_pack_part(*each, bits, axis) for each in zip(parts, masks, places, strict=True)]
    scale, offset = (torch.cat(each, _AXES[axis]) for each in zip(*found, strict=True))
    stored = _nibbles(codes) if bits == 4 else codes
    return QuantizedTensor(stored, scale, offset, bits, axis, size, x.shape[3], x.dtype, exponent)


def _pack_part(values: Tensor, empty: Tensor | None, codes: Tensor, bits: int, axis: Axis) -> tuple[Tensor, Tensor]:
    """Steps and offsets of groups of one size, whose codes are written."""
    within = _AXES[axis] + 1
    below, above = (values, values) if empty is None else (values.masked_fill(empty, x) for x in (math.inf, -math.inf))
    low, high = below.amin(within, keepdim=True), above.amax(within, keepdim=True)
    if empty is not None:
        nothing = low > high
        low, high = low.masked_fill(nothing, 0.0), high.masked_fill(nothing, 0.0)
    levels = 2**bits - 1
    offset = _half(low, up=False)
    scale = _half((high - offset.float()) / levels, up=True)
    step = torch.where(scale > 0, scale.float(), 1.0)
    codes.copy_(((values - offset.float()) / step).round_().clamp_(0, levels))
    return scale.squeeze(within), offset.squeeze(within)


def _parts(x: Tensor, axis: Axis, size: int) -> list[Tensor]:
    """Views with an axis for the groups and one within them: the groups of full size, and a smaller last one."""
    along = _AXES[axis]
    length = x.shape[along]
    full = length - length % size
    shape = (*x.shape[:along], full // size, size, *x.shape[along + 1 :])
    parts = [x.narrow(along, 0, full).view(shape)]
    if full < length:
        parts.append(x.narrow(along, full, length - full).unsqueeze(along))
    return parts


def _size(length: int, group: int) -> int:
    """The size of equal groups, as near to what is asked for as there is."""
    return math.ceil(length / max(1, round(length / group))) if length else group


def _exponent(top: float) -> int:
    """What power of two a tensor is divided by, so that float16 holds its steps and offsets."""
    if top == 0 or 2.0**_BOTTOM <= top < 2.0**_TOP:
        return 0
    return max(_LEAST_EXPONENT, math.frexp(top)[1] - _TOP)


def _half(x: Tensor, *, up: bool) -> Tensor:
    """Float16 of float32 values, rounded up or down."""
    near = x.half()
    wrong = near.float() < x if up else near.float() > x
    # The bits of a float count up with its magnitude. Zero steps to the least magnitude of the sign that is needed.
    bits = near.view(torch.int16)
    away = torch.where((near < 0) != up, bits + 1, bits - 1)
    away = torch.where(near == 0, torch.tensor(1 if up else -32767, dtype=torch.int16, device=x.device), away)
    return torch.where(wrong, away, bits).view(torch.float16)


def _nibbles(codes: Tensor) -> Tensor:
    """Two codes to a byte: the first half of the channels low, the rest high."""
    width = codes.shape[-1]
    packed = codes[..., : math.ceil(width / 2)].clone()
    packed[..., : width // 2] |= codes[..., math.ceil(width / 2) :] << 4
    return packed


def _layout(q: QuantizedTensor) -> list[tuple[torch.dtype, tuple[int, ...]]]:
    """Types and shapes that the tensors must have."""
    batch, heads, n = q.codes.shape[:3]
    number = math.ceil((n if q.axis == "channel" else q.width) / q.group)
    groups = (batch, heads, number, q.width) if q.axis == "channel" else (batch, heads, n, number)
    packed = q.width if q.bits == 8 else math.ceil(q.width / 2)
    return [(torch.uint8, (batch, heads, n, packed)), (torch.float16, groups), (torch.float16, groups)]


def _checked(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a header, or an error."""
    numbers = {name: meta[name] for name in ("bits", "group", "width", "exponent")}
    good = all(type(n) is int for n in numbers.values()) and isinstance(meta["dtype"], str)
    if (
        not good
        or meta["axis"] not in get_args(Axis)
        or meta["dtype"] not in _TYPES
        or numbers["bits"] not in (4, 8)
        or not 1 <= numbers["group"] < 2**31
        or numbers["width"] < 0
        or not _LEAST_EXPONENT <= numbers["exponent"] <= 128
    ):
        raise ModelError(f"not the description of a quantized tensor: {dict(meta)}")
    return {**numbers, "axis": meta["axis"], "dtype": _TYPES[meta["dtype"]]}
