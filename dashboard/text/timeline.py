"""A payment's story in words: what happened when, and what is planned. Pure: `now` is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from dashboard.text.payments import RECOVERED, Tone
from db.models import Attempt, Message, Request
from db.reporting.payment_detail import PaymentDetail
from recovery.money import format_money
from recovery.status import (
    AttemptOutcome,
    Channel,
    ChargeMethod,
    DeliveryFailure,
    MessageState,
    PaymentStatus,
    RecoveredBy,
    RequestKind,
    Step,
    Trigger,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline. `planned`: it has not happened."""

    at: datetime
    words: str
    tone: Tone
    detail: str = ""
    planned: bool = False


def list_entries(detail: PaymentDetail, now: datetime) -> list[Entry]:
    """What has happened, the oldest first, and then what is planned."""
    payment = detail.payment
    failed = Entry(payment.failed_at, "The charge failed", Tone.OVER, payment.reason)
    entries = [
        failed,
        *(describe_attempt(attempt) for attempt in detail.attempts),
        *(entry for message in detail.messages for entry in describe_message(message)),
        *(describe_request(request) for request in detail.requests),
        *(
            Entry(
                refund.observed_at,
                f"Refund of {format_money(refund.amount, payment.currency)}",
                Tone.OVER,
                refund.status.replace("_", " "),
            )
            for refund in detail.refunds
        ),
        *(
            Entry(dispute.heard_at, "The member disputes a payment", Tone.OVER, dispute.payment_id)
            for dispute in detail.disputes
        ),
        *list_planned(detail, now),
    ]
    told = any(attempt.outcome is AttemptOutcome.PAID for attempt in detail.attempts)
    if payment.recovered_at is not None and not told:
        who = RECOVERED[payment.recovered_by or RecoveredBy.WITHOUT_US]
        entries.append(Entry(payment.recovered_at, "Paid", Tone.GOOD, who))
    return sorted(entries, key=lambda entry: (entry.planned, entry.at))


def list_planned(detail: PaymentDetail, now: datetime) -> list[Entry]:
    payment = detail.payment
    if payment.status not in (PaymentStatus.FAILED, PaymentStatus.PENDING_RETRY):
        return []
    planned: list[Entry] = []
    if payment.next_retry_at is not None:
        planned.append(plan(payment.next_retry_at, "We charge again", Tone.WORKING))
    whops = payment.whop_next_attempt_at
    if whops is not None and whops > now:
        planned.append(plan(whops, "Whop tries by itself", Tone.WAITING))
    if payment.next_message_at is not None and payment.next_step is not None:
        step = STEPS[payment.next_step]
        planned.append(
            plan(payment.next_message_at, f"We write to the member: {step}", Tone.WORKING)
        )
    ends = payment.window_ends_at
    planned.append(plan(ends, "Time is up: Whop ends the membership", Tone.OVER))
    return planned


def plan(at: datetime, words: str, tone: Tone) -> Entry:
    return Entry(at, words, tone, planned=True)


OUTCOMES: dict[AttemptOutcome, tuple[str, Tone]] = {
    AttemptOutcome.OPEN: ("in hand", Tone.WORKING),
    AttemptOutcome.PAID: ("paid", Tone.GOOD),
    AttemptOutcome.DECLINED: ("declined", Tone.OVER),
    AttemptOutcome.PENDING: ("the bank has not settled it", Tone.WORKING),
    AttemptOutcome.REFUSED: ("not charged", Tone.OVER),
    AttemptOutcome.UNKNOWN: ("no answer; Whop is asked what became of it", Tone.WORKING),
}
WHO: dict[Trigger, str] = {
    Trigger.SCHEDULE: "Our retry",
    Trigger.CREATOR: "Our retry, asked for",
    Trigger.WHOP: "Whop's own try",
    Trigger.MEMBER: "The member's payment",
}
STEPS: dict[Step, str] = {
    Step.PAYMENT_FAILED: "the payment failed",
    Step.REMINDER: "a reminder",
    Step.LAST_DAY: "the last day",
    Step.NOTICE: "a notice",
}
ASKED: dict[RequestKind, str] = {
    RequestKind.RETRY_NOW: "A retry now",
    RequestKind.STOP: "An end of the work",
}
CHANNELS: dict[Channel, str] = {Channel.EMAIL: "Mail", Channel.WHOP: "Whop chat"}
TROUBLES: dict[DeliveryFailure, str] = {
    DeliveryFailure.BOUNCED: "it bounced",
    DeliveryFailure.DROPPED: "the mail service dropped it",
    DeliveryFailure.SPAM_REPORT: "the member called it spam",
    DeliveryFailure.UNSUBSCRIBED: "the member wants no more mails",
}


def describe_attempt(attempt: Attempt) -> Entry:
    outcome, tone = OUTCOMES[attempt.outcome]
    card = " with another saved card" if attempt.charge_method is ChargeMethod.BACKUP_CARD else ""
    detail = (attempt.detail or attempt.decline_code or "").replace("_", " ")
    at = attempt.finished_at or attempt.started_at
    return Entry(at, f"{WHO[attempt.trigger]}{card}: {outcome}", tone, detail)


def describe_message(message: Message) -> list[Entry]:
    """Its sending, and what became of it, each at its time."""
    what = f"{CHANNELS[message.channel]}, {STEPS[message.step]}"
    match message.state:
        case MessageState.QUEUED:
            return [plan(message.due_at, f"{what}: to be sent", Tone.WORKING)]
        case MessageState.SENT:
            sent = Entry(message.sent_at or message.due_at, f"{what}: sent", Tone.GOOD)
        case MessageState.SENDING:
            return [Entry(message.sending_at or message.due_at, f"{what}: going out", Tone.WORKING)]
        case MessageState.JOINED:
            said = "said together with another payment's"
            return [Entry(message.sent_at or message.due_at, f"{what}: {said}", Tone.GOOD)]
        case MessageState.FAILED | MessageState.SKIPPED | MessageState.UNKNOWN:
            words = {"failed": "not sent", "skipped": "not needed", "unknown": "perhaps sent"}
            at = message.sending_at or message.due_at
            state = words[message.state]
            return [Entry(at, f"{what}: {state}", Tone.OVER, message.detail or "")]
        case _:
            assert_never(message.state)
    later = (
        (message.delivered_at, "delivered", Tone.GOOD),
        (message.opened_at, "opened", Tone.GOOD),
        (message.clicked_at, "the member followed its link", Tone.GOOD),
        (
            message.delivery_failed_at,
            TROUBLES.get(message.delivery_failure) if message.delivery_failure else "",
            Tone.OVER,
        ),
    )
    return [sent, *(Entry(at, f"{what}: {words}", tone) for at, words, tone in later if at)]


def describe_request(request: Request) -> Entry:
    answer = request.answer or "the daemon does it within a minute"
    tone = Tone.WORKING if request.done_at is None else Tone.GOOD
    return Entry(
        request.requested_at,
        f"{ASKED[request.kind]} was asked for",
        tone,
        f"{request.requested_by}: {answer}",
    )
