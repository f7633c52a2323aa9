"""The offline pipeline: documents from files and loaders, distilled once, kept in a store; ``ctxshrink distill``.

`read` gives the documents of files and folders, `from_langchain` and `from_llama_index` those of a loader or reader;
`run` takes them through a distiller into a store and says what it did; `plan` says what it would do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctxshrink._lazy import lazy

if TYPE_CHECKING:
    from ._skips import Skipped
    from .adapters import from_langchain, from_llama_index
    from .local import StoppedError, plan, run
    from .report import Figures, Report
    from .sources import Files, read

__all__ = [
    "Figures",
    "Files",
    "Report",
    "Skipped",
    "StoppedError",
    "from_langchain",
    "from_llama_index",
    "plan",
    "read",
    "run",
]

__getattr__ = lazy(
    __name__,
    {
        "_skips": ("Skipped",),
        "adapters": ("from_langchain", "from_llama_index"),
        "local": ("StoppedError", "plan", "run"),
        "report": ("Figures", "Report"),
        "sources": ("Files", "read"),
    },
)
