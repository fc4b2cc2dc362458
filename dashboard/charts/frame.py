"""The layout that all charts of the insights page share. Pure."""

from __future__ import annotations

import plotly.graph_objects as go

from dashboard.charts.money import FONT
from dashboard.ui.palette import Palette


def start(colours: Palette, height: int) -> go.Figure:
    return go.Figure(
        layout={
            "barmode": "overlay",
            "height": height,
            "margin": {"l": 0, "r": 0, "t": 24, "b": 0},
            "paper_bgcolor": colours.page,
            "plot_bgcolor": colours.page,
            "font": {"family": FONT, "size": 13, "color": colours.muted},
            "hoverlabel": {
                "bgcolor": colours.surface,
                "bordercolor": colours.line,
                "font": {"color": colours.ink},
            },
            "showlegend": False,
            "dragmode": False,
            "clickmode": "event+select",
            "modebar": {
                "bgcolor": "rgba(0,0,0,0)",
                "color": colours.muted,
                "activecolor": colours.ink,
            },
        }
    )
