"""The message funnel: how many of each message were sent, opened, clicked and followed by a
payment. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from markupsafe import Markup, escape

from dashboard.charts.bars import FADED
from dashboard.charts.frame import start
from dashboard.text.groups import THEN_PAID, name_step
from dashboard.ui.palette import Palette
from db.reporting.insights import StepCount
from recovery.delivery import MailEventKind
from recovery.labels import EMAIL_EVENTS, MESSAGE_STATES, continue_with
from recovery.status import Channel, MessageState
from recovery.wording import format_share

STAGES = (
    MESSAGE_STATES[MessageState.SENT],
    EMAIL_EVENTS[MailEventKind.DELIVERED],
    EMAIL_EVENTS[MailEventKind.OPENED],
    EMAIL_EVENTS[MailEventKind.CLICKED],
    THEN_PAID,
)
STAGE = 26
HEADING = 40
NAMES_WIDTH = 84


def draw_steps(
    steps: Sequence[StepCount], colours: Palette, chosen: str | None = None
) -> go.Figure:
    """A block for each message and channel."""
    blocks = [(one, list_stages(one)) for one in steps]
    height = sum(HEADING + STAGE * len(stages) for _, stages in blocks)
    figure = start(colours, height=height + 24)
    most = max((one.sent for one in steps), default=1)
    at = 0
    for one, stages in blocks:
        add_heading(figure, one, at + HEADING / 2, colours, chosen)
        at += HEADING
        add_stages(figure, one, stages, at, colours, chosen)
        at += STAGE * len(stages)
    figure.update_layout(margin={"l": NAMES_WIDTH})
    figure.update_xaxes(visible=False, range=[0, 1.15 * most], fixedrange=True)
    figure.update_yaxes(visible=False, range=[max(at, 1), 0], fixedrange=True)
    return figure


def add_heading(
    figure: go.Figure, one: StepCount, at: float, colours: Palette, chosen: str | None
) -> None:
    mark = "✓ " if one.step == chosen else ""
    figure.add_annotation(
        x=0,
        y=at,
        xref="paper",
        xanchor="left",
        showarrow=False,
        xshift=-NAMES_WIDTH,
        text=Markup("<b>{}{}</b>").format(mark, name_step(one)),
        font={"color": colours.ink, "size": 14},
    )


def list_stages(one: StepCount) -> list[tuple[str, int]]:
    """Nobody tells whether a chat message was opened."""
    numbers = (one.sent, one.delivered, one.opened, one.clicked, one.paid)
    stages = list(zip(STAGES, numbers, strict=True))
    return stages if one.channel == Channel.EMAIL else [stages[0], stages[-1]]


def add_stages(
    figure: go.Figure,
    one: StepCount,
    stages: Sequence[tuple[str, int]],
    top: int,
    colours: Palette,
    chosen: str | None,
) -> None:
    places = [top + STAGE * (number + 0.5) for number in range(len(stages))]
    figure.add_bar(
        orientation="h",
        y=places,
        x=[number for _, number in stages],
        width=STAGE * 0.6,
        text=[format_stage(one, number, first=n == 0) for n, (_, number) in enumerate(stages)],
        textposition="outside",
        cliponaxis=False,
        textfont={"color": colours.ink},
        marker=mark_stages(one, stages, colours, chosen),
        customdata=[[one.step, continue_with(name)] for name, _ in stages],
        hovertemplate="%{x:,} %{customdata[1]}<extra></extra>",
    )
    for place, (name, _) in zip(places, stages, strict=True):
        name_stage(figure, place, name, colours)


def format_stage(one: StepCount, number: int, *, first: bool) -> str:
    return f"{number:,}" if first else escape(format_share(number, one.sent))


def mark_stages(
    one: StepCount, stages: Sequence[tuple[str, int]], colours: Palette, chosen: str | None
) -> dict[str, object]:
    paid = [name == STAGES[-1] for name, _ in stages]
    tones = [colours.by_member if last else colours.without_us for last in paid]
    return {
        "color": tones,
        "opacity": 1.0 if chosen in (None, one.step) else FADED,
        "line": {"width": 0},
        "pattern": {
            "shape": ["/" if last else "" for last in paid],
            "fgcolor": colours.page,
            "bgcolor": tones,
            "size": 6,
            "solidity": 0.3,
        },
    }


def name_stage(figure: go.Figure, place: float, name: str, colours: Palette) -> None:
    figure.add_annotation(
        x=0,
        y=place,
        xanchor="right",
        xshift=-8,
        showarrow=False,
        text=name,
        font={"color": colours.muted, "size": 13},
    )
