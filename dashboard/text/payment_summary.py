"""A payment in one or two sentences: its state, what happens next, and why. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from dashboard.text.payments import format_when
from db.reporting.payment_detail import PaymentDetail
from recovery.action_required import REMEDIES
from recovery.decline_codes import name_decline
from recovery.declines import explain_to_creator
from recovery.labels import (
    CHARGE_METHODS,
    CLOSED_REASONS,
    NEEDS,
    STATUSES,
    continue_with,
    name_recovery,
)
from recovery.money import format_money
from recovery.status import Channel, PaymentStatus, Trigger
from recovery.wording import format_span


def summarize_payment(detail: PaymentDetail, now: datetime) -> str:
    payment, zone = detail.payment, ZoneInfo(detail.time_zone)
    match payment.status:
        case PaymentStatus.RECOVERED:
            return describe_paid(detail, zone)
        case PaymentStatus.PERMANENT_FAIL:
            closed = payment.closed_reason
            why = f": {continue_with(CLOSED_REASONS[closed])}" if closed else ""
            return (
                f"{STATUSES[payment.status]}{why}. We do not charge it again; a late payment still "
                "counts."
            )
        case PaymentStatus.PENDING_RETRY:
            return f"{describe_charge(detail, now, zone)} {explain(detail)}"
        case PaymentStatus.FAILED:
            return f"{describe_wait(detail, now, zone)} {explain(detail)}"
        case _:
            assert_never(payment.status)


def explain(detail: PaymentDetail) -> str:
    payment = detail.payment
    words = name_decline(payment.decline_code, payment.reason)
    return explain_to_creator(words, payment.decline_class)


def describe_paid(detail: PaymentDetail, zone: ZoneInfo) -> str:
    payment = detail.payment
    who = continue_with(name_recovery(payment.recovered_by, find_channel(detail)))
    when = f" on {format_when(payment.recovered_at, zone)}" if payment.recovered_at else ""
    back = ""
    if payment.refunded_amount:
        back = f" Refunded since: {format_money(payment.refunded_amount, payment.currency)}."
    return f"Paid{when}: {who}.{back}"


def find_channel(detail: PaymentDetail) -> Channel | None:
    """The channel of the last message before the payment. None: there was none."""
    paid = detail.payment.recovered_at
    before = [one for one in detail.messages if one.sent_at and paid and one.sent_at <= paid]
    return before[-1].channel if before else None


def describe_charge(detail: PaymentDetail, now: datetime, zone: ZoneInfo) -> str:
    payment = detail.payment
    if payment.claimed_until is not None and payment.claimed_until > now:
        return "We are charging it now."
    card = f"the {continue_with(CHARGE_METHODS[payment.next_charge_method])}"
    if payment.next_retry_at is None or payment.next_retry_at <= now:
        soon = "minute" if payment.next_trigger is Trigger.CREATOR else "hour"
        return f"We charge {card} within the next {soon}."
    return f"We charge {card} again on {format_ahead(payment.next_retry_at, now, zone)}."


def describe_wait(detail: PaymentDetail, now: datetime, zone: ZoneInfo) -> str:
    payment = detail.payment
    if detail.need is not None:
        remedy = continue_with(REMEDIES[detail.need])
        return f"Needs you. {NEEDS[detail.need]}: {remedy}."
    why = f" We do not retry: {detail.why_not}." if detail.why_not else ""
    if payment.window_ends_at <= now:
        return f"The deadline has passed; the payment closes within the hour.{why}"
    whop = ""
    if payment.whop_next_attempt_at is not None and payment.whop_next_attempt_at > now:
        whop = f" Whop retries on {format_when(payment.whop_next_attempt_at, zone)}."
    deadline = format_ahead(payment.window_ends_at, now, zone)
    return f"{STATUSES[payment.status]} for the member. Deadline: {deadline}.{why}{whop}"


def format_ahead(moment: datetime, now: datetime, zone: ZoneInfo) -> str:
    return f"{format_when(moment, zone)}, in {format_span(moment - now)}"
