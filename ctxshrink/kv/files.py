"""Compressed contexts as files: one safetensors file each, which any process of the same model can go on from.

The header's metadata has one entry, ``ctxshrink-kv``: a JSON object that says which model, tokenizer and chat template
made the context and how its tensors belong together. Its ``sha256`` is that of the whole file with 64 zeros in that
place, so that no byte can change unnoticed. It guards against damage, not against forgery: a file from someone else is
read safely (nothing in it is executed, and nothing is allocated that it does not hold), but says what they wrote.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import IO, Any, cast

from torch import Tensor

from ctxshrink._outfile import check_outfile
from ctxshrink.errors import ConfigError, MissingExtraError, ModelError
from ctxshrink.kv._parts import context_of, parts_of
from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.fingerprint import fingerprint

__all__ = ["VERSION", "load_context", "save_context"]

VERSION = 1
"""Of the format; a file of another one is refused."""

_KEY = "ctxshrink-kv"
_BLANK = "0" * 64
_MOST_HEADER = 64_000_000
"""Bytes of a header that are read: a context of 1,000 layers of 50 blocks needs a third."""
_PIECE = 1 << 22
_MEND = "compress the context again, or copy the file again"


_WORDS = {"model": "model, or one of another type", "tokenizer": "tokenizer", "template": "chat template"}


def save_context(context: CompressedContext, path: str | Path, *, tokenizer: Any = None) -> None:
    """Writes a context into one file, which appears whole or not at all.

    The same context gives the same bytes. The file is its owner's alone, as it holds what was read. One that exists is
    replaced; processes that loaded it keep the old one.

    Args:
        context: The context.
        path: The file.
        tokenizer: A Hugging Face tokenizer: its vocabulary and chat template are noted, for `load_context` to compare.

    Raises:
        ConfigError: Its folder is missing, or it cannot be written there.
        OSError: The disk failed or is full; nothing half-written is left.
        MissingExtraError: safetensors is not installed.
    """
    safetensors = _import()
    target = Path(path)
    check_outfile(target, "context file")
    described, tensors = parts_of(context)
    header = {
        "sha256": _BLANK,
        "version": VERSION,
        "model": context.fingerprint,
        **({} if tokenizer is None else _hashes(tokenizer)),
        "length": context.length,
        "prompt": context.prompt,
        "report": asdict(context.report),
        "layers": described,
    }
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:50]}.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        # One entry: safetensors writes several in no fixed order.
        safetensors.torch.save_file(_own(tensors), part, metadata={_KEY: json.dumps(header)})
        _sign(part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def load_context(
    path: str | Path, model: Any, *, device: Any = None, tokenizer: Any = None
) -> CompressedContext:  # fmt: skip
    """Reads what `save_context` wrote.

    The whole file is read once, to check its sum. On a CPU its tensors are then mapped, not copied: processes that load
    one file share its memory. Do not write to a file that is in use; saving again replaces it and is safe.

    Args:
        path: The file.
        model: The model that is to go on from it.
        device: Where the tensors go; None is the model's device.
        tokenizer: The tokenizer that questions will be put with; None compares none, nor does a file that notes none.

    Raises:
        ConfigError: There is no such file, or another model, tokenizer or chat template made it.
        ModelError: The file is truncated, was changed, is of another version or is not a compressed context.
        MissingExtraError: safetensors is not installed.
    """
    safetensors = _import()
    source = Path(path)
    try:
        before = _stamp(source)
        header = _checked(source)
        with safetensors.safe_open(source, framework="pt", device="cpu") as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _stamp(source) != before:
            raise ModelError(f"{source}: was replaced while it was read; load it again")
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror or error}; name a saved context") from error
    except safetensors.SafetensorError as error:
        raise ModelError(f"{source}: not a compressed context: {error}") from error
    _match(source, header, model, tokenizer)
    try:
        return context_of(header, tensors, model.device if device is None else device)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(f"{source}: its header does not describe a context: {error!r}; {_MEND}") from error
    except ModelError as error:
        raise ModelError(f"{source}: {error}; {_MEND}") from error


def _import() -> Any:
    try:
        import_module("safetensors.torch")
        return import_module("safetensors")
    except ImportError as error:
        raise MissingExtraError("saving and loading compressed contexts", "kv") from error


def _own(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors on the CPU that share no memory with each other, which safetensors asks for."""
    out: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        t = tensor.detach().cpu().contiguous()
        place = t.untyped_storage().data_ptr()
        if place in seen or t.untyped_storage().nbytes() != t.nbytes:
            t = t.clone()
            place = t.untyped_storage().data_ptr()
        seen.add(place)
        out[name] = t
    return out


def _sign(part: Path) -> None:
    """Puts the file's sum into its header, and the file onto the disk."""
    with part.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _MOST_HEADER:
            raise ConfigError(f"a context of so many blocks cannot be saved: its header has {length:,} bytes")
        head = file.read(length)
        file.seek(0)
        total = _sum(file, head=b"")
        file.seek(8 + head.index(_BLANK.encode()))
        file.write(total.encode())
        file.flush()
        os.fsync(file.fileno())


def _checked(source: Path) -> dict[str, Any]:
    """The JSON object of a file whose bytes are those that were written.

    Raises:
        ModelError: They are not.
        OSError: It cannot be read.
    """
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _MOST_HEADER):
            raise ModelError(f"{source}: truncated, or not a compressed context ({size} bytes); {_MEND}")
        raw = file.read(length)
        try:
            header = cast("dict[str, Any]", json.loads(json.loads(raw)["__metadata__"][_KEY]))
            version, told = header["version"], str(header["sha256"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(f"{source}: not a compressed context; {_MEND}") from error
        if version != VERSION:
            raise ModelError(
                f"{source}: of format version {version!r}, and this is {VERSION}; compress the context again"
            )
        if len(told) != len(_BLANK) or not told.isascii() or raw.count(told.encode()) != 1:
            raise ModelError(f"{source}: its sum is missing; {_MEND}")
        head = length.to_bytes(8, "little") + raw.replace(told.encode(), _BLANK.encode())
        if _sum(file, head) != told:
            raise ModelError(f"{source}: truncated or changed since it was saved ({size} bytes); {_MEND}")
    return header


def _sum(file: IO[bytes], head: bytes) -> str:
    """SHA-256 of some bytes and the rest of a file."""
    sha = hashlib.sha256(head)
    while piece := file.read(_PIECE):
        sha.update(piece)
    return sha.hexdigest()


def _stamp(source: Path) -> tuple[int, int, int, int]:
    found = source.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _hashes(tokenizer: Any) -> dict[str, str]:
    from ctxshrink.kv.prompts import template_hash

    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items(), key=lambda item: (item[1], item[0])))
    return {"tokenizer": hashlib.sha256(vocabulary.encode()).hexdigest(), "template": template_hash(tokenizer)}


def _match(source: Path, header: Mapping[str, Any], model: Any, tokenizer: Any) -> None:
    """Whether model, tokenizer and template are those that the file names.

    Raises:
        ConfigError: One is not.
    """
    expected = {"model": fingerprint(model)}
    if tokenizer is not None:
        expected |= _hashes(tokenizer)
    for what, ours in expected.items():
        told = header.get(what, None if what == "model" else ours)
        if told != ours:
            raise ConfigError(
                f"{source}: made with another {_WORDS[what]} ({str(told)[:12]}…, and this is {ours[:12]}…): load it "
                "with the one that made it, or compress the context again"
            )
