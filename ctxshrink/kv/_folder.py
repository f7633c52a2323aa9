"""A model and its tokenizer from a folder, for commands; every way in which that fails is one clear error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from ctxshrink.errors import ConfigError, MissingExtraError

__all__ = ["check_model_folder", "load_model", "read_context"]


def check_model_folder(folder: Path) -> None:
    """Says what a folder lacks before anything heavy is imported.

    Raises:
        ConfigError: It is no folder of a Hugging Face model with its weights and tokenizer.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"--model {folder}: no such folder; name one that save_pretrained wrote or that you downloaded before"
        )
    if not (folder / "config.json").is_file():
        raise ConfigError(f"--model {folder}: not a model folder: it has no config.json")
    if not any(
        (folder / name).is_file()
        for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json")
    ):
        raise ConfigError(f"--model {folder}: has no tokenizer; save it there with tokenizer.save_pretrained")


def load_model(folder: Path, device: str | None) -> tuple[Any, Any]:
    """The causal language model of a folder in evaluation mode, and its tokenizer. Nothing is downloaded.

    Args:
        folder: The folder.
        device: Where it goes; None takes a GPU where torch finds one.

    Raises:
        ConfigError: The folder, a file in it or the device cannot be used.
        MissingExtraError: torch or transformers is not installed.
    """
    check_model_folder(folder)
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError("ctxshrink kv", "kv") from error
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    try:
        auto: Any = transformers.AutoTokenizer
        tokenizer = auto.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # every library that reads some file there has errors of its own
        raise ConfigError(f"--model {folder}: its tokenizer cannot be read: {_first_line(error)}") from error
    try:
        made: Any = transformers.AutoModelForCausalLM
        model = made.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # likewise
        raise ConfigError(f"--model {folder}: cannot be read as a causal model: {_first_line(error)}") from error
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return model.to(where).eval(), tokenizer
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {where}: cannot be used: {_first_line(error)}") from error


def read_context(file: Path, kind: str) -> str | list[dict[str, Any]]:
    """Text, or the messages of a JSON file: a list of objects with a role, or an object with ``messages``.

    Args:
        file: UTF-8.
        kind: "text", "messages", or "auto".

    Raises:
        ConfigError: It cannot be read, is not UTF-8, or is not what `kind` says.
    """
    try:
        text = file.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text (byte {error.start}); convert it first") from error
    if kind == "text":
        return text
    if kind not in ("auto", "messages"):
        raise ConfigError(f"--as must be auto, text or messages; got {kind!r}")
    found = _messages(text.removeprefix("\ufeff"))
    if found is None and kind == "messages":
        raise ConfigError(f'{file}: holds no messages: a JSON list of objects with "role" and "content" is needed')
    return text if found is None else found


def _messages(text: str) -> list[dict[str, Any]] | None:
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        value = cast("dict[str, object]", value).get("messages")
    items = cast("list[object]", value) if isinstance(value, list) else []
    if not items or not all(isinstance(item, dict) and "role" in item for item in items):
        return None
    return cast("list[dict[str, Any]]", items)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
