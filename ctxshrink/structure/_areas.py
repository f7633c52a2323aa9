"""What an element says of its content: whether it shows, and how much it matters."""

from __future__ import annotations

import re
from collections.abc import Mapping

MAIN, NAVIGATION, FOOTER, ASIDE, HEADER, FORM, BOILERPLATE = 1.2, 0.15, 0.2, 0.4, 0.5, 0.3, 0.3
"""Weights of areas, by element or by the words of their class and id."""

_UNSEEN = frozenset(
    ("script", "style", "template", "svg", "math", "iframe", "object", "canvas", "audio", "video", "noembed")
)
_AREAS = {
    "main": MAIN, "article": MAIN, "nav": NAVIGATION, "menu": NAVIGATION, "footer": FOOTER, "aside": ASIDE,
    "header": HEADER, "form": FORM, "select": FORM, "button": FORM,
}  # fmt: skip
_ROLES = {
    "navigation": NAVIGATION, "banner": HEADER, "contentinfo": FOOTER, "complementary": ASIDE, "main": MAIN,
    "search": FORM,
}  # fmt: skip
_BOILERPLATE = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navigation|menu|footer|sidebar|cookies?|consent|breadcrumbs?|share|social|advert|ads?|"
    r"promo|popup|modal|related|newsletter|subscribe|pagination|skip)(?:$|[\s_-])",
    re.I,
)
_UNSEEN_STYLE = re.compile(r"display\s{0,9}:\s{0,9}none|visibility\s{0,9}:\s{0,9}hidden", re.I)


def unseen(name: str, has: Mapping[str, str]) -> bool:
    """Whether an element with these attributes does not show on the page."""
    return (
        name in _UNSEEN
        or "hidden" in has
        or has.get("aria-hidden", "").lower() == "true"
        or _UNSEEN_STYLE.search(has.get("style", "")[:500]) is not None
    )


def area(name: str, has: Mapping[str, str], outer: float) -> float:
    """The weight of what stands in an element with these attributes, within something of the weight `outer`."""
    own = _AREAS.get(name, _ROLES.get(has.get("role", "").lower(), 0.0))
    if name == "header" and outer >= MAIN:  # an article's own
        own = 0.0
    if (
        not own
        and name not in ("html", "body")
        and _BOILERPLATE.search(f"{has.get('class', '')} {has.get('id', '')}"[:300])
    ):
        own = BOILERPLATE
    if not own:
        return outer
    return min(own, outer) if own < 1 or outer < 1 else max(own, outer)
