"""Checks the HTML of a company's own templates: only text and its formatting are allowed."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import NoReturn

from mail.rendering import BrokenTemplateError

TAGS = (
    "a b blockquote br div em h1 h2 h3 hr i li ol p small span strong sub sup table tbody td th "
    "thead tr u ul"
)
VOID = frozenset({"br", "hr"})
ATTRIBUTES = (
    "align bgcolor border cellpadding cellspacing class colspan dir href lang role rowspan style "
    "title valign width"
)
LINKS = ("https://", "mailto:", "{{")
NOT_IN_STYLES = ("url", "\\", "@", "expression", "position")


def check_markup(html: str) -> None:
    """Raises BrokenTemplateError."""
    reader = Reader()
    reader.feed(html)
    reader.close()
    if reader.unclosed:
        tag, line = reader.unclosed[-1]
        raise BrokenTemplateError(line, f"<{tag}> is not closed")


class Reader(HTMLParser):
    """Raises BrokenTemplateError at the first part that is not known to be harmless."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.unclosed: list[tuple[str, int]] = []

    def refuse(self, words: str) -> NoReturn:
        raise BrokenTemplateError(self.getpos()[0], words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS.split():
            self.refuse(f"<{tag}> cannot be used; allowed are {TAGS}")
        for name, value in attrs:
            self.check_attribute(name, (value or "").strip())
        if tag not in VOID:
            self.unclosed.append((tag, self.getpos()[0]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.refuse(f"<{tag}/> is no HTML; write <{tag}></{tag}>")
        self.handle_starttag(tag, attrs)

    def check_attribute(self, name: str, value: str) -> None:
        if name not in ATTRIBUTES.split():
            self.refuse(f"{name!r} cannot be used; allowed are {ATTRIBUTES}")
        if name == "href" and not value.lower().startswith(LINKS):
            self.refuse("a link begins with https://, mailto: or {{ link }}")
        if name == "style" and any(part in value.lower() for part in NOT_IN_STYLES):
            self.refuse(f"a style cannot use any of {', '.join(NOT_IN_STYLES)}")

    def handle_endtag(self, tag: str) -> None:
        if not self.unclosed or self.unclosed[-1][0] != tag:
            self.refuse(f"</{tag}> closes nothing that is open here")
        self.unclosed.pop()

    def handle_data(self, data: str) -> None:
        # A browser might read a tag where this parser found none.
        if "<" in data:
            self.refuse("a < that begins no tag; write &lt;")

    def handle_comment(self, data: str) -> None:
        self.refuse("comments cannot be used: some mail programs run what is in them")

    def handle_decl(self, decl: str) -> None:
        self.refuse("a declaration is not needed: these words stand within our page")

    def handle_pi(self, data: str) -> None:
        self.refuse("a processing instruction cannot be used")

    def unknown_decl(self, data: str) -> None:
        self.refuse("a declaration is not needed: these words stand within our page")
