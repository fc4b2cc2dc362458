"""How HTML gets onto a page: as Markup, which escapes whatever is put into it.

One element is written where it is drawn, `Markup("<b>{}</b>").format(words)`. A list or a table is
a template beside its module: filled in one go, it costs a quarter of as many elements one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import streamlit as st
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,  # otherwise each filling asks the disk whether its template has changed
)


def show_html(markup: Markup) -> None:
    """`st.html` reads no Markdown and no LaTeX: a member's name shows as it was typed."""
    st.html(str(markup))


def show_note(words: str) -> None:
    show_html(Markup('<p class="note">{}</p>').format(words))


def render_facts(facts: Iterable[tuple[str, Markup]]) -> Markup:
    fact = Markup("<div><dt>{}</dt><dd>{}</dd></div>")
    listed = Markup("").join(fact.format(name, value) for name, value in facts)
    return Markup('<dl class="facts results">{}</dl>').format(listed)


def fill(template: str, **values: object) -> Markup:
    """`template`: its path below dashboard/."""
    filled = TEMPLATES.get_template(template).render(values)
    return Markup(filled)  # noqa: S704 - the template has escaped all of its values
