"""A payment's timeline in words: what happened, and what is planned. Pure: `now` is passed in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from dashboard.text.audit_log import name_actor
from dashboard.text.next_step import list_plans, mention_backup_card
from dashboard.text.payment_summary import find_channel
from dashboard.text.payments import capitalize
from dashboard.text.state import Tone
from dashboard.text.why_then import explain_moment
from db.models import Attempt, Dispute, Message, Request, RetryDecision
from db.reporting.payment_detail import PaymentDetail
from recovery.decline_codes import name_decline
from recovery.delivery import MailEventKind
from recovery.labels import (
    ACTIONS,
    DELIVERY_FAILURES,
    EMAIL_EVENTS,
    MESSAGE_STATES,
    OUTCOMES,
    TRIGGERS,
    continue_with,
    name_message,
    name_recovery,
)
from recovery.standing import ALERT, Renewal
from recovery.status import Action, AttemptOutcome, MessageState, RequestKind
from recovery.wording import format_money

# A dispute from before its status was kept.
UNTOLD = "unknown"
# Whop says of an end neither who caused it nor why.
ENDINGS: dict[Renewal | None, str] = {
    Renewal.CANCELED: "The member canceled the membership",
    Renewal.ENDED: "The membership ended on Whop",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline. `planned`: it has not happened yet. `timed`: `at` is its time; else
    it happens shortly."""

    at: datetime
    words: str
    tone: Tone
    detail: str = ""
    planned: bool = False
    timed: bool = True


def list_entries(detail: PaymentDetail, now: datetime) -> list[Entry]:
    """What has happened, the oldest first, and then what is planned."""
    payment = detail.payment
    reason = name_decline(payment.decline_code, payment.reason)
    failed = Entry(payment.failed_at, "The charge failed", Tone.OVER, reason)
    entries = [
        failed,
        *(describe_attempt(attempt, detail.decisions) for attempt in detail.attempts),
        *(entry for message in detail.messages for entry in describe_message(message)),
        *(describe_request(request) for request in detail.requests),
        *(
            Entry(
                refund.observed_at,
                f"Refund of {format_money(refund.amount, refund.currency or payment.currency)}",
                Tone.OVER,
                refund.status.replace("_", " "),
            )
            for refund in detail.refunds
        ),
        *(describe_dispute(dispute, payment.payment_id) for dispute in detail.disputes),
        *list_standing(detail),
        *list_planned(detail, now),
    ]
    listed = any(attempt.outcome is AttemptOutcome.PAID for attempt in detail.attempts)
    if payment.recovered_at is not None and not listed:
        who = name_recovery(payment.recovered_by, find_channel(detail))
        entries.append(Entry(payment.recovered_at, "Paid", Tone.GOOD, who))
    return sorted(entries, key=lambda entry: (entry.planned, entry.at))


def describe_dispute(dispute: Dispute, payment_id: str) -> Entry:
    which = "this payment" if dispute.payment_id == payment_id else "another one"
    if dispute.status == ALERT:
        words = f"The member's bank announces a dispute of {which}"
        return Entry(dispute.recorded_at, words, Tone.OVER)
    inquiry = dispute.status.startswith("warning_")
    words = f"The member's bank asks about {which}" if inquiry else f"The member disputes {which}"
    status = dispute.status.removeprefix("warning_").replace("_", " ")
    detail = "" if status == UNTOLD else f"now: {status}"
    return Entry(dispute.recorded_at, words, Tone.OVER, detail)


def list_standing(detail: PaymentDetail) -> Iterator[Entry]:
    """How the membership stands, since when, and by whose doing as far as Whop says."""
    membership = detail.membership
    if detail.bought_anew_at is not None:
        yield Entry(detail.bought_anew_at, "The member bought the product again", Tone.OVER)
    if membership is None:
        return
    if membership.renewal in ENDINGS and membership.renewal_since is not None:
        yield Entry(membership.renewal_since, ENDINGS[membership.renewal], Tone.OVER)
    if membership.paused and membership.paused_since is not None:
        yield Entry(membership.paused_since, "You paused the membership on Whop", Tone.WAITING)


def list_planned(detail: PaymentDetail, now: datetime) -> list[Entry]:
    """What is due is shown first, without a time."""
    has_membership = detail.payment.membership_id is not None
    retry = detail.next_step.charge
    return [
        Entry(
            plan.at or now,
            plan.words,
            plan.tone,
            explain_moment(detail.decisions, plan.at) if retry and plan.at == retry.at else "",
            planned=True,
            timed=plan.at is not None,
        )
        for plan in list_plans(detail.next_step, now, membership=has_membership)
    ]


REQUESTED: dict[RequestKind, Action] = {
    RequestKind.RETRY_NOW: Action.RETRY,
    RequestKind.STOP: Action.STOP,
    RequestKind.REPLAY: Action.REPLAY_EVENTS,
}
TONES: dict[AttemptOutcome, Tone] = {
    AttemptOutcome.OPEN: Tone.WORKING,
    AttemptOutcome.PAID: Tone.GOOD,
    AttemptOutcome.DECLINED: Tone.OVER,
    AttemptOutcome.PENDING: Tone.WORKING,
    AttemptOutcome.REFUSED: Tone.OVER,
    AttemptOutcome.UNKNOWN: Tone.WORKING,
}


def describe_attempt(attempt: Attempt, decisions: Sequence[RetryDecision]) -> Entry:
    card = mention_backup_card(attempt.charge_method)
    outcome = continue_with(OUTCOMES[attempt.outcome])
    code = attempt.decline_code or ""
    detail = attempt.detail or name_decline(code, code.replace("_", " "))
    details = filter(None, [detail, explain_moment(decisions, attempt.planned_at)])
    at, words = attempt.finished_at or attempt.started_at, TRIGGERS[attempt.trigger]
    return Entry(at, f"{words}{card}: {outcome}", TONES[attempt.outcome], " ".join(details))


def describe_message(message: Message) -> list[Entry]:
    """Its sending and what followed, each at its own time."""
    name = name_message(message.step, message.channel)
    what = f"{name}: {continue_with(MESSAGE_STATES[message.state])}"
    match message.state:
        case MessageState.QUEUED:
            # Among what is planned, with the time at which it leaves.
            return []
        case MessageState.SENDING:
            return [Entry(message.sending_at or message.due_at, what, Tone.WORKING)]
        case MessageState.JOINED if message.sent_at is None:
            return []
        case MessageState.SENT | MessageState.JOINED:
            sent = Entry(message.sent_at or message.due_at, what, Tone.GOOD)
            return [sent, *describe_delivery(message, name)]
        case MessageState.FAILED | MessageState.SKIPPED | MessageState.UNKNOWN:
            at = message.sending_at or message.due_at
            return [Entry(at, what, Tone.OVER, message.detail or "")]
        case _:
            assert_never(message.state)


def describe_delivery(message: Message, name: str) -> Iterator[Entry]:
    failure = message.delivery_failure
    later = (
        (message.delivered_at, EMAIL_EVENTS[MailEventKind.DELIVERED], Tone.GOOD),
        (message.opened_at, EMAIL_EVENTS[MailEventKind.OPENED], Tone.GOOD),
        (message.clicked_at, EMAIL_EVENTS[MailEventKind.CLICKED], Tone.GOOD),
        (message.delivery_failed_at, DELIVERY_FAILURES[failure] if failure else "", Tone.OVER),
    )
    for at, label, tone in later:
        if at is not None and label:
            yield Entry(at, f"{name}: {continue_with(label)}", tone)


def describe_request(request: Request) -> Entry:
    tone = Tone.WORKING if request.done_at is None else Tone.GOOD
    actor = capitalize(name_actor(request.requested_by))
    return Entry(
        request.requested_at,
        f"{actor} {continue_with(ACTIONS[REQUESTED[request.kind]])}",
        tone,
        request.answer or "takes effect within a minute",
    )
