"""The embedded weights: where they lie and how they are loaded.

A model is a folder with ``config.json``, ``tokenizer.json``, ``model.onnx`` and ``CARD.md``. ``config.json`` holds the
SHA-256 of the files, and a file is only used when it has that sum: a truncated download or a file of another model is
one `ModelError` that names it, not a strange score. Everything is loaded on first use and shared in the process.
"""

from __future__ import annotations

import hashlib
import json
import platform
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from ctxshrink.errors import ModelError

__all__ = ["PRUNER", "SCORER", "load_session", "load_tokenizer", "read_config", "read_file"]

PRUNER = Path(__file__).parent / "pruner"
"""Folder of the embedded pruner's encoder."""
SCORER = Path(__file__).parent / "scorer"
"""Folder of the embedded scorer."""

_MEND = "reinstall ctxshrink, or export the model again"
_T = TypeVar("_T")
_lock = threading.Lock()
_shared: dict[tuple[object, ...], Any] = {}


def read_config(folder: Path) -> Mapping[str, Any]:
    """The ``config.json`` of a model folder.

    Raises:
        ModelError: It is missing or is not one of ours.
    """
    path = folder / "config.json"
    try:
        config: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as a model's configuration: {error}; {_MEND}") from error
    if not isinstance(config, dict) or not isinstance(cast("dict[str, Any]", config).get("sha256"), dict):
        raise ModelError(f"{path}: not a configuration of a ctxshrink model")
    return cast("dict[str, Any]", config)


def read_file(folder: Path, name: str) -> bytes:
    """The bytes of a file of a model folder, checked against the sum in its ``config.json``.

    Raises:
        ModelError: The file is missing, truncated or another one.
    """
    path = folder / name
    expected = read_config(folder)["sha256"].get(name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: missing or unreadable ({error}); {_MEND}") from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise ModelError(f"{path}: truncated or not the file that config.json names ({len(data)} bytes); {_MEND}")
    return data


def load_tokenizer(folder: Path = SCORER) -> Any:
    """The `tokenizers.Tokenizer` of a model folder, shared in the process. It is safe to use from several threads.

    Raises:
        ModelError: The file is missing, truncated or foreign.
    """

    def make() -> Any:
        from tokenizers import Tokenizer

        text = read_file(folder, "tokenizer.json").decode("utf-8")
        try:
            return Tokenizer.from_str(text)
        except Exception as error:  # tokenizers raises bare exceptions
            raise ModelError(f"{folder / 'tokenizer.json'}: not a tokenizer: {error}") from error

    return _share(("tokenizer", folder), make)


def load_session(folder: Path = SCORER, threads: int = 0) -> Any:
    """The `onnxruntime.InferenceSession` of a model folder, one per folder and thread count in a process.

    Args:
        folder: The model folder.
        threads: Threads inside an operator; 0 leaves it to onnxruntime (the physical cores).

    Raises:
        ModelError: The file is missing, truncated or foreign.
    """

    def make() -> Any:
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

        ort: Any = onnxruntime
        data = read_file(folder, "model.onnx")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Waiting threads sleep instead of spinning: this runs inside other people's servers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.x64quantprecision", "1" if _products_overflow() else "0")
        try:
            return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no common class of their own
            raise ModelError(f"{folder / 'model.onnx'}: onnxruntime cannot load it: {error}") from error

    return _share(("session", folder, threads), make)


def _products_overflow() -> bool:
    """True where int8 products need onnxruntime's slower, exact kernels: x86 without VNNI adds them in 16 bits."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:  # not Linux: exact at half the speed rather than fast and possibly wrong
        return True
    return "avx512_vnni" not in flags and "avx_vnni" not in flags


def _share(key: tuple[object, ...], make: Callable[[], _T]) -> _T:
    found = _shared.get(key)
    if found is None:
        with _lock:
            found = _shared.get(key)
            if found is None:
                found = _shared[key] = make()
    return cast(_T, found)
