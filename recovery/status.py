"""The states of payments, attempts, messages and notices, and which moves are allowed."""

from __future__ import annotations

from enum import StrEnum


class PaymentStatus(StrEnum):
    # Unpaid and no retry is scheduled: it waits for the member or for Whop.
    FAILED = "failed"
    # Unpaid, and we charge again at `next_retry_at`.
    PENDING_RETRY = "pending_retry"
    # Whop says it is paid. A later refund is recorded beside it and subtracted from money figures.
    RECOVERED = "recovered"
    # Given up: no retries left, the window has ended, or a stop rule applied.
    PERMANENT_FAIL = "permanent_fail"


class AttemptOutcome(StrEnum):
    # Committed before the charge; the outcome is not known yet.
    OPEN = "open"
    PAID = "paid"
    DECLINED = "declined"
    # The bank accepted it and has not settled it yet.
    PENDING = "pending"
    # No charge was made: Whop refused, or the payment was no longer due.
    REFUSED = "refused"
    # No usable answer: it may or may not have charged. We ask Whop, and never charge blindly.
    UNKNOWN = "unknown"


class Trigger(StrEnum):
    SCHEDULE = "schedule"
    # The creator asked to retry now.
    CREATOR = "creator"
    WHOP = "whop"
    MEMBER = "member"


class ChargeMethod(StrEnum):
    # The card on file, charged again.
    RETRY = "retry"
    # Another saved card of the member; once per payment, and only if the creator allows it.
    BACKUP_CARD = "backup_card"


class RecoveredBy(StrEnum):
    # One of our own charges collected it.
    RETRY = "retry"
    # The member clicked the link in one of our messages, and then paid.
    CLICK = "click"
    # The member paid after one of our messages, which nobody clicked.
    MEMBER = "member"
    # Whop's own retry, or the member without a message. Never claimed as ours.
    WITHOUT_US = "without_us"


# A part of each would have come anyway.
CLAIMED = (RecoveredBy.RETRY, RecoveredBy.CLICK, RecoveredBy.MEMBER)


class ClosedReason(StrEnum):
    RETRIES_USED = "retries_used"
    WINDOW_CLOSED = "window_closed"
    MEMBERSHIP_ENDED = "membership_ended"
    # The membership runs to the end of its period, and the member canceled its renewal.
    MEMBER_CANCELED = "member_canceled"
    BOUGHT_ANEW = "bought_anew"
    # Whop voided the payment or marked it uncollectible.
    CANCELED = "canceled"
    # The member disputes this payment or another one of the same company.
    DISPUTED = "disputed"
    REFUNDED = "refunded"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    # The creator asked to stop.
    STOPPED = "stopped"
    # Whop answers 404: such as for a payment that somebody made up. It is in no figure.
    UNKNOWN_AT_WHOP = "unknown_at_whop"


class RequestKind(StrEnum):
    STOP = "stop"
    RETRY_NOW = "retry_now"
    # About a company's poison events; the other kinds are about one payment.
    REPLAY = "replay"


class Action(StrEnum):
    """What the audit log records that somebody did."""

    SETTINGS = "settings"
    TEMPLATE = "template"
    RETRY = "retry"
    STOP = "stop"
    REPLAY_EVENTS = "replay_events"
    # From before there were actions; the entry's details keep its text.
    OTHER = "other"


class Step(StrEnum):
    """The messages to a member about one payment, in order (message_schedule.py)."""

    PAYMENT_FAILED = "payment_failed"
    REMINDER = "reminder"
    # States the exact time at which the membership ends.
    LAST_DAY = "last_day"
    # Neutral and the only message, where we may not ask the member to pay.
    NOTICE = "notice"


class Channel(StrEnum):
    EMAIL = "email"
    # The company's support chat with the member, inside Whop.
    WHOP = "whop"


class MessageState(StrEnum):
    QUEUED = "queued"
    # Committed before the send. If found later, the send was interrupted and is never repeated.
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    # The service may have accepted it. It is not sent again, so at most one arrives.
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    # Another payment's message to the same member covered this one too (`joined_to`).
    JOINED = "joined"


class NoticeKind(StrEnum):
    DIGEST = "digest"
    RECOVERY = "recovery"
    KEY_REFUSED = "key_refused"
    KEY_REFUSED_OVER = "key_refused_over"
    WEBHOOK_SILENT = "webhook_silent"
    WEBHOOK_SILENT_OVER = "webhook_silent_over"
    MAILS_BOUNCING = "mails_bouncing"
    MAILS_BOUNCING_OVER = "mails_bouncing_over"
    MAILS_REFUSED = "mails_refused"
    MAILS_REFUSED_OVER = "mails_refused_over"


class NoticeChannel(StrEnum):
    EMAIL = "email"
    POST = "post"


class SyncError(StrEnum):
    """Why a company's payments could not be read back from Whop."""

    # Whop refuses our key.
    ACCESS_DENIED = "access_denied"
    # Whop accepts our key but does not let it read payments.
    PERMISSION_MISSING = "permission_missing"
    # Anything else: no answer, or one that is not about the key.
    UNAVAILABLE = "unavailable"


UNSETTLED = frozenset({AttemptOutcome.OPEN, AttemptOutcome.PENDING, AttemptOutcome.UNKNOWN})
OUR_TRIGGERS = frozenset({Trigger.SCHEDULE, Trigger.CREATOR})
UNPAID = frozenset({PaymentStatus.FAILED, PaymentStatus.PENDING_RETRY})

MOVES: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    PaymentStatus.FAILED: frozenset(
        {PaymentStatus.PENDING_RETRY, PaymentStatus.RECOVERED, PaymentStatus.PERMANENT_FAIL}
    ),
    PaymentStatus.PENDING_RETRY: frozenset(
        {PaymentStatus.FAILED, PaymentStatus.RECOVERED, PaymentStatus.PERMANENT_FAIL}
    ),
    PaymentStatus.RECOVERED: frozenset(),
    # A late payment is still money.
    PaymentStatus.PERMANENT_FAIL: frozenset({PaymentStatus.RECOVERED}),
}


def may_move(before: PaymentStatus, after: PaymentStatus) -> bool:
    """Staying in the same status is always allowed."""
    return before == after or after in MOVES[before]
