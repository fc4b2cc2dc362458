"""A payment as a row of the CSV file that creators download: it says what the page says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from dashboard.data.overview import PaymentRow
from dashboard.data.payments import Portion
from dashboard.text.next_step import describe_next
from db.models import Payment
from recovery.labels import CLOSED_REASONS, NEXT_STEPS, REASONS, RECOVERED_BY


def name_columns(zone: ZoneInfo) -> tuple[str, ...]:
    """Spreadsheets read no offsets, so the zone stands above the times."""
    return (
        "Payment",
        f"Failed at ({zone})",
        "Member",
        "Email",
        "Product",
        "Amount",
        "Currency",
        "Amount in US dollars",
        "Amount that failed",
        "Currency that failed",
        "Refunded",
        "Disputed",
        "Left in US dollars",
        "Reason",
        "Reason group",
        "Status",
        "Next step",
        "Retries",
        f"Next retry at ({zone})",
        f"Whop's next retry at ({zone})",
        f"Deadline ({zone})",
        f"Paid at ({zone})",
        "Recovered by",
        "Why not recovered",
    )


def list_rows(
    portions: Iterable[Portion], zone: ZoneInfo, now: datetime
) -> Iterator[tuple[object, ...]]:
    yield name_columns(zone)
    for payments, rows in portions:
        yield from describe_rows(payments, rows, zone, now)


def describe_rows(
    payments: Sequence[Payment], rows: Sequence[PaymentRow], zone: ZoneInfo, now: datetime
) -> Iterator[tuple[object, ...]]:
    for payment, row in zip(payments, rows, strict=True):
        step = row.next_step
        yield (
            payment.payment_id,
            write_time(payment.failed_at, zone),
            row.member,
            payment.member_email,
            row.product,
            payment.amount,
            payment.currency.upper(),
            payment.amount_usd,
            payment.failed_amount,
            payment.failed_currency.upper(),
            payment.refunded_amount,
            payment.disputed_amount,
            payment.kept_usd,
            row.reason,
            REASONS[payment.decline_class],
            NEXT_STEPS[step.kind],
            describe_next(step, now, zone),
            row.retries,
            write_time(step.charge.at if step.charge else None, zone),
            write_time(step.whop_at, zone),
            write_time(payment.window_ends_at, zone),
            write_time(payment.recovered_at, zone),
            RECOVERED_BY[payment.recovered_by] if payment.recovered_by else None,
            CLOSED_REASONS[payment.closed_reason] if payment.closed_reason else None,
        )


def write_time(moment: datetime | None, zone: ZoneInfo) -> str | None:
    return None if moment is None else f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
