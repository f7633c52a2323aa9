"""Reports that people can look at: what was kept, dropped, locked, frozen and why, on one page of HTML.

`ShrinkResult.to_html` makes one of a call. For real traffic a `Trace` records the calls of a shrinker, opt-in because
it holds all texts, and ``ctxshrink report TRACE.jsonl`` makes a page of it.
"""

from __future__ import annotations

from ctxshrink.report._reader import Recording, read_trace
from ctxshrink.report.trace import Trace

__all__ = ["Recording", "Trace", "read_trace"]
