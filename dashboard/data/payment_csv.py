"""A payment as a row of the CSV file that creators download: it says what the page says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from dashboard.data.overview import copy_payment
from db.models import Payment
from recovery.labels import CLOSED_REASONS, REASONS, RECOVERED_BY, STATUSES


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
        "Refunded",
        "Reason",
        "Reason group",
        "Status",
        "Retries",
        f"Next retry at ({zone})",
        f"Whop's next retry at ({zone})",
        f"Deadline ({zone})",
        f"Paid at ({zone})",
        "Recovered by",
        "Why not recovered",
    )


def list_rows(chosen: Iterator[Payment], zone: ZoneInfo) -> Iterator[tuple[object, ...]]:
    yield name_columns(zone)
    for payment in chosen:
        row = copy_payment(payment)
        yield (
            payment.payment_id,
            write_time(payment.failed_at, zone),
            row.member,
            payment.member_email,
            payment.product,
            payment.amount,
            payment.currency.upper(),
            payment.amount_usd,
            payment.refunded_amount,
            row.reason,
            REASONS[payment.decline_class],
            STATUSES[payment.status],
            row.retries,
            write_time(payment.next_retry_at, zone),
            write_time(payment.whop_next_attempt_at, zone),
            write_time(payment.window_ends_at, zone),
            write_time(payment.recovered_at, zone),
            RECOVERED_BY[payment.recovered_by] if payment.recovered_by else None,
            CLOSED_REASONS[payment.closed_reason] if payment.closed_reason else None,
        )


def write_time(moment: datetime | None, zone: ZoneInfo) -> str | None:
    return None if moment is None else f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
