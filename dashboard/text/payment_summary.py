"""A payment in one or two sentences: its state, what happens next, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from dashboard.text.next_step import describe_message, explain_next, format_when
from db.reporting.payment_detail import PaymentDetail
from recovery.action_required import NextStepKind
from recovery.decline_codes import name_decline
from recovery.declines import explain_to_creator
from recovery.labels import CLOSED_REASONS, NEXT_STEPS, continue_with, name_recovery
from recovery.standing import SETTLED_AGAINST
from recovery.status import Channel
from recovery.wording import format_money


def summarize_payment(detail: PaymentDetail, now: datetime) -> str:
    payment, zone, step = detail.payment, ZoneInfo(detail.time_zone), detail.next_step
    match step.kind:
        case NextStepKind.RECOVERED:
            return describe_paid(detail, zone)
        case NextStepKind.NOT_RECOVERED:
            closed = payment.closed_reason
            why = f": {continue_with(CLOSED_REASONS[closed])}" if closed else ""
            message = describe_message(step.message, now, zone)
            return (
                f"{NEXT_STEPS[step.kind]}{why}. We do not charge it again; a late payment still "
                f"counts.{f' {message}.' if message else ''}"
            )
        case _:
            return f"{explain_next(step, now, zone)} {explain_reason(detail)}"


def explain_reason(detail: PaymentDetail) -> str:
    payment = detail.payment
    words = name_decline(payment.decline_code, payment.reason)
    retrying = detail.next_step.charge is not None or detail.next_step.whop_at is not None
    return explain_to_creator(words, payment.decline_class, retrying=retrying)


def describe_paid(detail: PaymentDetail, zone: ZoneInfo) -> str:
    payment = detail.payment
    who = continue_with(name_recovery(payment.recovered_by, find_channel(detail)))
    when = f" on {format_when(payment.recovered_at, zone)}" if payment.recovered_at else ""
    return " ".join([f"Paid{when}: {who}.", *describe_money(detail)])


def describe_money(detail: PaymentDetail) -> Iterator[str]:
    """Where another amount was paid than failed, or less of it is left."""
    payment = detail.payment
    failed, paid = (
        format_money(payment.failed_amount, payment.failed_currency),
        format_money(payment.amount, payment.currency),
    )
    if failed != paid:
        yield f"{failed} failed, {paid} was paid."
    if payment.refunded_amount:
        yield f"Refunded since: {format_money(payment.refunded_amount, payment.currency)}."
    if payment.disputed_amount:
        disputed = format_money(payment.disputed_amount, payment.currency)
        lost = any(
            one.payment_id == payment.payment_id and one.status in SETTLED_AGAINST
            for one in detail.disputes
        )
        won = ", which counts again if you win it"
        yield f"Lost in a dispute: {disputed}." if lost else f"In a dispute: {disputed}{won}."
    if payment.kept_usd is None and payment.amount_usd is not None:
        yield "A refund was made in another currency, so what is left is in no sum yet."


def find_channel(detail: PaymentDetail) -> Channel | None:
    """The channel of the last message before the payment. None: there was none."""
    paid = detail.payment.recovered_at
    before = [one for one in detail.messages if one.sent_at and paid and one.sent_at <= paid]
    return before[-1].channel if before else None
