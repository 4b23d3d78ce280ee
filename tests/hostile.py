"""Texts that try to be more than text, and a page as a browser reads it: did one of them get
through?"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser

PLACE = "FIELD"
"""Stands in each text for the name of the field that it is written into."""
TEXTS = {
    "markup": f"=cmd|{PLACE}<script>evil()</script>\"><img src=x onerror=evil()>'><b evil=1>",
    "endings": f"\u202e{PLACE} \u2067\u05e9\u05dc\u200f {{{{7*7}}}}{{% raw %}} %(x)s %s {{0}}"
    "\U0001f695\U0001f469\u200d\U0001f467</p></dd></pre></textarea></title><evil>--&gt;-->",
    "long": f"{PLACE}{'x' * 5000}",
}
CUT = "..."
"""What the panel ends a text with that is too long for a line."""

_ENDLESS = frozenset({"input", "link", "meta", "br", "img", "hr"})
_OURS = ({"src": "/static/admin/panel.js", "defer": None},)
# Where the direction of a text ends with its element.
_APART = frozenset({
    "bdi", "p", "td", "th", "dd", "dt", "li", "div", "pre", "h1", "h2", "h3", "title", "option",
    "button", "summary", "textarea",
})  # fmt: skip


@dataclass
class _Open:
    tag: str
    turned: bool = False


@dataclass
class Read(HTMLParser):
    """A page that was read: its texts, its titles among them, its attributes' values, and what no
    page of ours has."""

    page: str
    texts: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[_Open] = [_Open("document")]
        self.feed(self.page)
        self.close()
        self.wrong += [f"<{left.tag}> is not closed" for left in self._open[1:]]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("img", "b", "evil", "style") or (tag == "script" and dict(attrs) not in _OURS):
            self.wrong.append(f"<{tag}>")
        for name, value in attrs:
            self.texts.append(value or "")
            odd = not name.replace("-", "").isalnum() or name.startswith(("on", "evil", "style"))
            if odd or (name in ("href", "action", "src") and not _is_address(value or "")):
                self.wrong.append(f"{name}={value!r} of <{tag}>")
        if tag == "br":
            self._apart().turned = False
        if tag not in _ENDLESS:
            self._open.append(_Open(tag))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _ENDLESS:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if self._open[-1].tag != tag:
            self.wrong.append(f"</{tag}> within <{self._open[-1].tag}>")
        elif len(self._open) > 1:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._open[-1].tag == "title":
            self.titles.append(data)
        apart = self._apart()
        if apart.turned and data.strip():
            self.wrong.append(f"written backwards: {data.strip()[:40]!r}")
        # What ends a text in its own element turns nothing that follows.
        apart.turned = apart.turned or "\u202e" in data

    def handle_comment(self, data: str) -> None:
        self.wrong.append(f"a comment: {data[:40]!r}")

    def _apart(self) -> _Open:
        found = (one for one in reversed(self._open) if one.tag in _APART)
        return next(found, self._open[0])

    def has(self, text: str) -> bool:
        """It is there as text: whole, as JSON writes it, or cut as the panel cuts."""
        forms = {text, *(json.dumps(text, ensure_ascii=ascii)[1:-1] for ascii in (True, False))}
        whole = any(form in one for form in forms for one in self.texts)
        return whole or any(_is_cut(one.strip(), text) for one in self.texts)


def _is_cut(shown: str, text: str) -> bool:
    kept = shown.removesuffix(CUT)
    return kept != shown and len(kept) >= 20 and text.startswith(kept)


def _is_address(value: str) -> bool:
    return value.startswith(("/", "#", "data:,"))
