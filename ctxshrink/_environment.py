"""What is installed on this machine, without importing any of it."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Final

BASE: Final = ("ctxshrink", "numpy", "onnxruntime", "tokenizers")
"""Distributions that every installation has."""

OPTIONAL: Final = {
    "tiktoken": "tiktoken",
    "transformers": "transformers",
    "torch": "train",
    "llmlingua": "llmlingua",
    "sqlalchemy": "store",
    "psycopg": "postgres",
    "tenacity": "distill",
    "pypdf": "distill",
    "ray": "ray",
    "tree-sitter": "code",
    "opentelemetry-api": "otel",
    "langchain-core": "langchain",
    "langchain": "langchain",
    "llama-index-core": "llama-index",
}
"""Optional distributions and the extra that brings each."""


def version(distribution: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def environment() -> dict[str, str | int | None]:
    """What a measurement depends on: Python, machine, processors, base versions."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "processors": os.cpu_count(),
        **{name: version(name) for name in BASE},
    }
