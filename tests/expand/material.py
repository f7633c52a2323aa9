"""A log and the smallest store."""

from ctxshrink.expand import Expander
from ctxshrink.store import reference

TAIL = 220
"""Most characters of what is added to the bound: the closing line."""


LOG = "\n".join(
    f"10:{i // 60:02d}:{i % 60:02d} job {i} {'FAILED' if i in (50, 52, 90) else 'done'}" for i in range(1, 121)
)


LINES = LOG.split("\n")


class Texts:
    """The smallest store."""

    def __init__(self, *texts: str) -> None:
        self.texts = {reference(text): text for text in texts}

    def save(self, texts: object, /) -> list[str]:
        raise NotImplementedError

    def load(self, id: str, /) -> str | None:
        return self.texts.get(id)


def show(text: str, lines: str | None = None, search: str | None = None, max_chars: int | None = None) -> str:
    return Expander(Texts(text)).expand(reference(text), lines, search, max_chars)
