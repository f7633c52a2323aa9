"""Files that commands write at the end: checked before the work, and what stands in a report beside its figures."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import ConfigError


def check_outfile(path: Path | None, option: str) -> None:
    """Say before the work, which may take hours, that its outcome has no place.

    Args:
        path: The file that will be written; None for none.
        option: What named it, for the message.

    Raises:
        ConfigError: Its folder is missing, it is a folder itself, or it cannot be written.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: no such folder; make {path.parent} first")
    if path.is_dir():
        raise ConfigError(f"{option} {path}: is a folder; name a file")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError(f"{option} {path}: cannot be written: permission denied; name another file")


def write_report(path: Path | None, settings: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Write settings, environment and figures as JSON.

    Args:
        path: The file of ``--json``; None for none.
        settings: What was asked for.
        found: The figures, by name.

    Raises:
        ConfigError: It cannot be written after all.
    """
    if path is None:
        return
    from ._environment import environment

    report = {"settings": settings, "environment": environment(), **found}
    try:
        path.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json {path}: cannot be written: {error.strerror}") from error
