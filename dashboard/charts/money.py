"""The chart of failed and recovered money. Pure. Floats only where money becomes pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import plotly.graph_objects as go
from markupsafe import Markup

from dashboard.ui.links import render_link
from dashboard.ui.palette import LIGHT, Palette, name_tone
from db.reporting.figures import Day
from recovery.labels import RECOVERED_BY
from recovery.status import RecoveredBy
from recovery.wording import Period, format_usd

WEEK = 7
FAILED = "Failed"
# The class of each part in the key.
TONES = {by: name_tone(by).replace("_", "-") for by in RecoveredBy}
KEY_ITEM = Markup('<li><i class="{}" aria-hidden="true"></i>{} {}</li>')
FONT = '"Source Sans", -apple-system, "Segoe UI", sans-serif'


PERIODS = (Period.MONTH, Period.QUARTER, Period.HALF_YEAR)


def count_days_per_bar(period: Period) -> int:
    return WEEK if period is Period.HALF_YEAR else 1


@dataclass(frozen=True, slots=True)
class Bar:
    start: date
    failed: Decimal
    recovered: tuple[Decimal, ...]


def group_days(days: Sequence[Day], per_bar: int) -> list[Bar]:
    """Whole bars of `per_bar` days, the last ending today, so that all are comparable."""
    return [sum_up(days[n : n + per_bar]) for n in range(0, len(days), per_bar)]


def narrow(days: Sequence[Day], period: Period, start: str, end: str) -> Sequence[Day]:
    """The days whose bars have their middle between two of Plotly's dates; all, if none has."""
    step = count_days_per_bar(period)
    first, last = sorted((start, end))
    starts = range(0, len(days), step)
    inside = [n for n in starts if first <= days[n].day.isoformat() <= last]
    return days[inside[0] : inside[-1] + step] if inside else days


def sum_up(days: Sequence[Day]) -> Bar:
    return Bar(
        days[0].day,
        sum((day.failed for day in days), Decimal(0)),
        tuple(
            sum(amounts, Decimal(0))
            for amounts in zip(*(day.recovered.parts for day in days), strict=True)
        ),
    )


def list_totals(days: Sequence[Day]) -> list[tuple[str, str, Decimal]]:
    """Each colour's class, name and sum."""
    total = sum_up(days)
    return [
        ("failed", FAILED, total.failed),
        *(
            (TONES[by], RECOVERED_BY[by], amount)
            for by, amount in zip(RecoveredBy, total.recovered, strict=True)
        ),
    ]


def describe_money(days: Sequence[Day]) -> str:
    """The chart in words, for those who do not see it."""
    sums = ", ".join(f"{name} {format_usd(amount)}" for _, name, amount in list_totals(days))
    return f"Failed and recovered money from {days[0].day:%-d %B} to {days[-1].day:%-d %B}: {sums}."


def render_key(days: Sequence[Day], links: Mapping[str, str] | None = None) -> Markup:
    """The legend, with each colour's total: it wraps on a phone, which Plotly's own does badly.

    `links`: where a total leads to, by the name of its colour.
    """
    items = []
    for tone, name, amount in list_totals(days):
        figure = Markup("<b>{}</b>").format(format_usd(amount))
        if links is not None:
            figure = render_link(figure, links[tone], "figure")
        items.append(KEY_ITEM.format(tone, name, figure))
    return Markup('<ul class="key">{}</ul>').format(Markup("").join(items))


def draw_money(
    days: Sequence[Day], period: Period, colours: Palette = LIGHT, *, zoom: bool = True
) -> go.Figure:
    """Failed money behind, wide and pale; recovered money before it, stacked by who brought it.

    With `zoom` dragging marks a range of days; without, a finger on the chart scrolls the page.
    """
    bars = group_days(days, count_days_per_bar(period))
    step = timedelta(days=count_days_per_bar(period)) / timedelta(milliseconds=1)
    place = {"type": "bar", "x": [bar.start.isoformat() for bar in bars]}
    failed = describe_bars(FAILED, colours.failed, [bar.failed for bar in bars])
    traces = [place | failed | {"width": 0.86 * step}]
    below = [Decimal(0)] * len(bars)
    for number, by in enumerate(RecoveredBy):
        name, colour = RECOVERED_BY[by], colours.of(by)
        amounts = [bar.recovered[number] for bar in bars]
        stacked = {"width": 0.5 * step, "base": [float(amount) for amount in below]}
        traces.append(place | describe_bars(name, colour, amounts) | stacked)
        below = [one + other for one, other in zip(below, amounts, strict=True)]
    is_empty = not any((*below, *(bar.failed for bar in bars)))
    layout = describe_layout(colours) | {
        "dragmode": "select" if zoom else False,
        "xaxis": describe_dates(period, len(bars), colours),
        "yaxis": AMOUNTS | {"gridcolor": colours.line} | ({"range": [0, 100]} if is_empty else {}),
    }
    # Described whole and checked by Plotly once: each of its update_ calls costs as much again.
    return go.Figure(traces, layout)


def describe_bars(name: str, colour: str, amounts: Sequence[Decimal]) -> dict[str, object]:
    return {
        "name": name,
        "y": [float(amount) for amount in amounts],
        "marker": {"color": colour, "line": {"width": 0}},
        "customdata": [format_usd(amount) for amount in amounts],
        "hovertemplate": "%{customdata}",
    }


AMOUNTS = {
    "tickprefix": "$",
    "tickformat": "~s",
    "nticks": 5,
    "automargin": True,
    "rangemode": "tozero",
    "fixedrange": True,
    "zeroline": False,
}


def describe_layout(colours: Palette) -> dict[str, object]:
    """What all charts share."""
    return {
        "barmode": "overlay",
        "height": 340,
        "margin": {"l": 0, "r": 0, "t": 8, "b": 0},
        "paper_bgcolor": colours.page,
        "plot_bgcolor": colours.page,
        "font": {"family": FONT, "size": 13, "color": colours.muted},
        "hovermode": "x unified",
        "hoverlabel": {
            "bgcolor": colours.surface,
            "bordercolor": colours.line,
            "font": {"color": colours.ink},
        },
        "showlegend": False,  # render_key is the legend
        "selectdirection": "h",
    }


def describe_dates(period: Period, bars: int, colours: Palette) -> dict[str, object]:
    weekly = period is Period.HALF_YEAR
    return {
        "type": "date",
        "showgrid": False,
        "tickformat": "%b" if weekly and bars > 8 else "%-d %b",
        "hoverformat": "7 days from %-d %b %Y" if weekly else "%a %-d %b %Y",
        "nticks": 7,
        "automargin": True,
        "spikecolor": colours.muted,
        "spikethickness": 1,
        "spikedash": "solid",
    }
