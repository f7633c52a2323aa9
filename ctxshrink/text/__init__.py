"""Text: what it looks like, its sentences, its units of selection, and what must never be cut in half.

All functions return half-open character ranges (`Span`) of the text they were given, are deterministic and take time
linear in its length. Six languages are handled: English, German, French, Spanish, Chinese and Japanese.
"""

from ctxshrink.text._detect import content_type
from ctxshrink.text._protected import protected_spans
from ctxshrink.text._script import CJK
from ctxshrink.text._sentences import sentences
from ctxshrink.text._units import MAX_UNIT, json_parents, units

__all__ = ["CJK", "MAX_UNIT", "content_type", "json_parents", "protected_spans", "sentences", "units"]
