"""Scripts that are written without spaces."""

from typing import Final

CJK: Final = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f"
"""Chinese and Japanese characters, halfwidth kana included, for use inside the brackets of a regular expression."""
