"""The payments table, as HTML: a real table, which becomes a list of cards on a phone.

Streamlit's own table would read a member's name as Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from markupsafe import Markup

from dashboard.data.overview import PaymentRow
from dashboard.text.next_step import describe_next, format_when
from dashboard.text.payments import describe_recovery
from dashboard.text.state import describe_state
from dashboard.ui.html import fill
from dashboard.ui.links import address
from dashboard.ui.state import render_state
from recovery.wording import format_money

COLUMNS = ("Member", "Amount", "Reason", "Status", "Retries", "Next step")


@dataclass(frozen=True, slots=True)
class Line:
    """A row's cells, in words."""

    link: str
    member: str
    product: str | None
    amount: str
    reason: str
    failed: str
    state: Markup
    retries: int
    next: str


def link_to_detail(row: PaymentRow) -> str:
    return address("payments", {"payment": row.payment_id})


def render_table(
    rows: Sequence[PaymentRow],
    now: datetime,
    zone: ZoneInfo,
    label: str = "Newest failed payments",
    link: Callable[[PaymentRow], str] = link_to_detail,
) -> Markup:
    """`link`: the address that a row leads to."""
    lines = [describe_row(row, now, zone, link(row)) for row in rows]
    return fill("ui/table.html", columns=COLUMNS, rows=lines, label=label)


def describe_row(row: PaymentRow, now: datetime, zone: ZoneInfo, link: str) -> Line:
    return Line(
        link,
        row.member,
        row.product,
        format_money(row.amount, row.currency),
        row.reason,
        format_when(row.failed_at, zone),
        render_state(describe_state(row.next_step, now, describe_recovery(row))),
        row.retries,
        describe_next(row.next_step, now, zone),
    )
