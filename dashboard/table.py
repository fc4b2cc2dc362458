"""The payments table, as HTML: a real table, which becomes a list of cards on a phone.

Every text is escaped here, and `st.html` reads no Markdown and no LaTeX: a member's name shows as
it was typed. Streamlit's own table would read it as Markdown.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from dashboard.data.overview import PaymentRow
from dashboard.words import MARKS, State, describe_state
from db.money import format_money

COLUMNS = ("Member", "Amount", "Reason", "Status", "Retries")


def render_table(rows: Sequence[PaymentRow], now: datetime) -> str:
    head = "".join(f'<th role="columnheader" scope="col">{name}</th>' for name in COLUMNS)
    body = "".join(render_row(row, now) for row in rows)
    # The roles again in words: as cards the rows are no longer laid out as a table, and browsers
    # then stop telling screen readers that they are one.
    return (
        '<table class="payments" role="table" aria-label="Newest failed payments">'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )


def render_row(row: PaymentRow, now: datetime) -> str:
    cells = (
        render_two(row.member, row.product or ""),
        escape(format_money(row.amount, row.currency)),
        escape(row.reason),
        render_state(describe_state(row, now)),
        f'<span class="unit">Retries: </span>{row.retries}',
    )
    columns = zip(COLUMNS, cells, strict=True)
    inner = "".join(f'<td role="cell" class="{n.lower()}">{cell}</td>' for n, cell in columns)
    return f'<tr role="row">{inner}</tr>'


def render_two(first: str, second: str) -> str:
    below = f'<span class="below">{escape(second)}</span>' if second else ""
    return f'<span class="first">{escape(first)}</span>{below}'


def render_state(state: State) -> str:
    mark = f'<span aria-hidden="true">{MARKS[state.tone]}</span>'
    below = f'<span class="below">{escape(state.detail)}</span>' if state.detail else ""
    return f'<span class="state {state.tone}">{mark} {escape(state.words)}</span>{below}'
