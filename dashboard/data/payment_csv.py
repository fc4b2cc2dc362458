"""A payment as a row of the CSV file that creators download."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from db.models import Payment

CSV_COLUMNS = (
    "payment_id",
    "failed_at",
    "member",
    "email",
    "product",
    "amount",
    "currency",
    "amount_usd",
    "refunded",
    "reason",
    "decline_code",
    "decline_class",
    "status",
    "retries",
    "next_retry_at",
    "whop_next_attempt_at",
    "window_ends_at",
    "recovered_at",
    "recovered_by",
    "closed_reason",
)


def list_rows(chosen: Iterator[Payment]) -> Iterator[tuple[object, ...]]:
    yield CSV_COLUMNS
    for payment in chosen:
        yield (
            payment.payment_id,
            payment.failed_at.isoformat(),
            payment.member_name,
            payment.member_email,
            payment.product,
            payment.amount,
            payment.currency,
            payment.amount_usd,
            payment.refunded_amount,
            payment.reason,
            payment.decline_code,
            payment.decline_class.value,
            payment.status.value,
            payment.retry_count,
            write_time(payment.next_retry_at),
            write_time(payment.whop_next_attempt_at),
            payment.window_ends_at.isoformat(),
            write_time(payment.recovered_at),
            payment.recovered_by and payment.recovered_by.value,
            payment.closed_reason and payment.closed_reason.value,
        )


def write_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
