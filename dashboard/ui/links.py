"""Links between the pages: plain HTML that can be copied, opened in a new tab and reached by
keyboard, and that a plain click follows without loading the page again."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

import streamlit as st
from markupsafe import Markup

from recovery.wording import UNSTORABLE

KEY = "links"
LONGEST_VALUE = 500
# The list of payments that the figures are about.
SINCE = {"setup": "since"}
LINK = Markup('<a class="inside {}" href="{}" target="_self">{}</a>')
# A click with a modifier is the browser's: it opens a tab or a window.
FOLLOW = """
export default function ({ setTriggerValue }) {
  const follow = event => {
    const link = event.target.closest && event.target.closest("a.inside")
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    setTriggerValue("went", link.getAttribute("href"))
  }
  document.addEventListener("click", follow)
  return () => document.removeEventListener("click", follow)
}
"""


def address(page: str, query: Mapping[str, str] | None = None) -> str:
    """`page` is its path. Empty values are left out."""
    kept = {name: value for name, value in (query or {}).items() if value}
    # The overview lies at the root, and every other page beside it.
    path = "." if page == "overview" else page
    return f"{path}?{urlencode(kept)}" if kept else path


def read_address() -> dict[str, str]:
    """The query in the address of the page that is shown."""
    return clean_address(st.query_params)


def clean_address(query: Mapping[str, str]) -> dict[str, str]:
    """Nonsense is left out: anybody can type an address. No value that the database could not
    compare, and none that is longer than anything it has."""
    return {
        name: value
        for name, value in query.items()
        if len(value) <= LONGEST_VALUE and not UNSTORABLE.search(value)
    }


def render_link(words: str, to: str, css: str = "") -> Markup:
    return LINK.format(css, to, words)


def follow(pages: Mapping[str, st.Page]) -> None:
    """Follows the link that the reader clicked. Call it once in each run, before the page."""
    component = st.components.v2.component("links", js=FOLLOW)
    went = component(key=KEY, on_went_change=lambda: None).went
    if not went:
        return
    parts = urlsplit(str(went))
    page = pages.get("overview" if parts.path in (".", "") else parts.path)
    if page is not None:
        st.switch_page(page, query_params=dict(parse_qsl(parts.query)))
