"""A chart with its title, its sentence and its clicks, and the chips of the filters.

All filters stand in the page's address, so that a link shows the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import plotly.graph_objects as go
import streamlit as st
from markupsafe import Markup

from dashboard.charts.bars import NOT_BACK
from dashboard.charts.money import TONES
from dashboard.charts.tables import Rows
from dashboard.data.csv_export import to_csv
from dashboard.text.groups import NAMES, name_group
from dashboard.ui.html import show_html, show_note
from dashboard.ui.links import read_address
from db.reporting.cohorts import Dimension
from recovery.labels import RECOVERED_BY

PARTS = tuple(RECOVERED_BY.values())
MARKDOWN = re.compile(r"([!-/:-@\[-`{-~])")
Choices = tuple[tuple[Dimension, str], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """`name` names its files. A click on a bar filters by `dimension`."""

    name: str
    title: str
    figure: go.Figure | None
    sentence: str
    rows: Rows
    dimension: Dimension | None = None
    note: str = ""


def read_choices() -> Choices:
    """The filters in the address."""
    return choose_filters(read_address())


def choose_filters(query: Mapping[str, str]) -> Choices:
    return tuple((one, value) for one in Dimension if (value := query.get(one.value)))


def show_chips(choices: Choices) -> None:
    if not choices:
        show_note("Click a bar to filter all charts by it.")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for dimension, value in choices:
            words = f"{NAMES[dimension]}: {name_group(dimension, value)}"
            st.button(
                f"✕ {escape_markdown(words)}",
                key=f"chip-{dimension}",
                help="Remove this filter",
                on_click=forget,
                args=[dimension],
            )
        if len(choices) > 1:
            st.button("Clear filters", key="chip-all", type="tertiary", on_click=forget_all)


def escape_markdown(words: str) -> str:
    """Streamlit reads a button's label as Markdown: a product may be named anything."""
    return MARKDOWN.sub(r"\\\1", " ".join(words.split()))


def forget(dimension: Dimension) -> None:
    st.query_params.pop(dimension.value, None)


def forget_all() -> None:
    for dimension in Dimension:
        forget(dimension)


def choose(key: str, dimension: Dimension) -> None:
    """Filters by the clicked group; a second click removes the filter."""
    points = st.session_state[key].selection.points
    if not points:
        return
    value = str(points[0]["customdata"][0])
    narrow(dimension, None if st.query_params.get(dimension.value) == value else value)


def choose_named(key: str, dimension: Dimension) -> None:
    narrow(dimension, st.session_state[key])


def narrow(dimension: Dimension, value: str | None) -> None:
    if value is None:
        forget(dimension)
    else:
        st.query_params[dimension.value] = value


def show_panel(panel: Panel) -> None:
    with st.container(key=f"panel-{panel.name}", gap="small"):
        st.header(panel.title, anchor=False)
        show_html(Markup('<p class="sentence">{}</p>').format(panel.sentence))
        if panel.figure is None:
            return
        draw(panel, panel.figure)
        if panel.dimension is not None:
            offer_groups(panel, panel.figure, panel.dimension)
        with st.container(horizontal=True, vertical_alignment="center"):
            show_note(panel.note)
            st.download_button(
                "↓ Download CSV",
                to_csv(panel.rows),
                f"{panel.name}.csv",
                "text/csv",
                key=f"csv-{panel.name}",
                help=f"{panel.title}, as a table for spreadsheets",
                on_click="ignore",
                type="tertiary",
            )


def draw(panel: Panel, figure: go.Figure) -> None:
    dimension = panel.dimension
    chosen = read_address().get(dimension.value, "") if dimension else ""
    # A new key for a new choice: the browser's own mark of the last click must not outlive it.
    key = f"{panel.name}:{chosen}"
    options: dict[str, object] = {"responsive": True, "displaylogo": False}
    options |= {"displayModeBar": True, "modeBarButtons": [["toImage"]]}
    options["toImageButtonOptions"] = {"filename": panel.name, "format": "png", "scale": 2}
    st.plotly_chart(
        figure,
        key=key,
        theme=None,
        config=options,
        on_select=partial(choose, key, dimension) if dimension else "ignore",
        selection_mode="points",
        alt=f"{panel.title}. {panel.sentence}",
    )


def offer_groups(panel: Panel, figure: go.Figure, dimension: Dimension) -> None:
    """The same filter by keyboard. Visible once the focus reaches it."""
    groups = list_groups(figure)
    chosen = read_address().get(dimension.value)
    key = f"choose-{panel.name}"
    st.session_state[key] = chosen if chosen in groups else None
    with st.container(key=f"groups-{panel.name}"):
        st.pills(
            f"{panel.title}: filter by one",
            groups,
            format_func=lambda group: escape_markdown(name_group(dimension, group)),
            key=key,
            on_change=choose_named,
            args=[key, dimension],
        )


def list_groups(figure: go.Figure) -> list[str]:
    """The groups that can be clicked, in the chart's order."""
    return list(dict.fromkeys(str(point[0]) for bars in figure.data for point in bars.customdata))


def render_key(more: Sequence[tuple[str, str]] = (("failed", NOT_BACK),)) -> Markup:
    """The legend of all charts on the page; it wraps on a phone."""
    entries = [*zip(TONES.values(), PARTS, strict=True), *more]
    item = Markup('<li><i class="{}" aria-hidden="true"></i>{}</li>')
    items = Markup("").join(item.format(tone, name) for tone, name in entries)
    return Markup('<ul class="key patterned">{}</ul>').format(items)
