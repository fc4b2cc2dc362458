"""The payments table, as HTML: a real table, which becomes a list of cards on a phone.

Every text is escaped here, and `st.html` reads no Markdown and no LaTeX: a member's name shows as
it was typed. Streamlit's own table would read it as Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from html import escape
from zoneinfo import ZoneInfo

from dashboard.data.overview import PaymentRow
from dashboard.text.payments import MARKS, State, describe_next, describe_state, format_when
from dashboard.ui.links import address, render_link
from recovery.money import format_money

COLUMNS = ("Member", "Amount", "Reason", "Status", "Retries", "Next step")


def link_to_story(row: PaymentRow) -> str:
    return address("payments", {"payment": row.payment_id})


def render_table(
    rows: Sequence[PaymentRow],
    now: datetime,
    zone: ZoneInfo,
    label: str = "Newest failed payments",
    link: Callable[[PaymentRow], str] = link_to_story,
) -> str:
    """`link`: where a row leads to."""
    head = "".join(f'<th role="columnheader" scope="col">{name}</th>' for name in COLUMNS)
    body = "".join(render_row(row, now, zone, link(row)) for row in rows)
    # The roles again in words: as cards the rows are no longer laid out as a table, and browsers
    # then stop telling screen readers that they are one.
    return (
        f'<table class="payments" role="table" aria-label="{escape(label)}">'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )


def render_row(row: PaymentRow, now: datetime, zone: ZoneInfo, link: str) -> str:
    member = render_link(f'<span class="first">{escape(row.member)}</span>', link)
    cells = (
        member + render_below(row.product or ""),
        escape(format_money(row.amount, row.currency)),
        escape(row.reason) + render_below(format_when(row.failed_at, zone)),
        render_state(describe_state(row, now)),
        f'<span class="unit">Retries: </span>{row.retries}',
        escape(describe_next(row, now, zone)),
    )
    columns = zip(COLUMNS, cells, strict=True)
    inner = "".join(
        f'<td role="cell" class="{name.lower().replace(" ", "-")}">{cell}</td>'
        for name, cell in columns
    )
    return f'<tr role="row">{inner}</tr>'


def render_below(words: str) -> str:
    return f'<span class="below">{escape(words)}</span>' if words else ""


def render_state(state: State) -> str:
    mark = f'<span aria-hidden="true">{MARKS[state.tone]}</span>'
    return (
        f'<span class="state {state.tone}">{mark} {escape(state.words)}</span>'
        f"{render_below(state.detail)}"
    )
