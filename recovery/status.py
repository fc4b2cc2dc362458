"""What a payment can be, and where it may go from there."""

from __future__ import annotations

from enum import StrEnum


class PaymentStatus(StrEnum):
    # Unpaid, no retry scheduled: it waits for the member or for Whop.
    FAILED = "failed"
    # Unpaid, we charge again at `next_retry_at`.
    PENDING_RETRY = "pending_retry"
    # Whop says it is paid. A refund later is recorded beside it and nets out of money figures.
    RECOVERED = "recovered"
    # Given up: retries used, window closed, or a stop rule fired.
    PERMANENT_FAIL = "permanent_fail"


class AttemptOutcome(StrEnum):
    # Committed before the charge; nothing is known yet.
    OPEN = "open"
    PAID = "paid"
    DECLINED = "declined"
    # The bank took it and has not settled it.
    PENDING = "pending"
    # No charge was made: Whop would not, or it was no longer owed.
    REFUSED = "refused"
    # No usable answer: it may or may not have charged. Whop is asked, never charged blindly.
    UNKNOWN = "unknown"


class Trigger(StrEnum):
    SCHEDULE = "schedule"
    # A creator asked for it now.
    CREATOR = "creator"
    WHOP = "whop"
    MEMBER = "member"


class ChargeMethod(StrEnum):
    # The card on file, charged again.
    RETRY = "retry"
    # Another card that the member has saved; once per payment, and only where a creator allows.
    BACKUP_CARD = "backup_card"


class RecoveredBy(StrEnum):
    # One of our attempts collected it.
    RETRY = "retry"
    # The member, after a message of ours.
    MEMBER = "member"
    # Whop's own retry, or the member unprompted. Never claimed as ours.
    WITHOUT_US = "without_us"


class ClosedReason(StrEnum):
    RETRIES_USED = "retries_used"
    WINDOW_CLOSED = "window_closed"
    MEMBERSHIP_ENDED = "membership_ended"
    # The membership runs on to the end of its period, but the member wants no renewal.
    MEMBER_CANCELED = "member_canceled"
    # Whop voided the payment or called it uncollectible.
    CANCELED = "canceled"
    # The member disputes this payment or another one of the same seller.
    DISPUTED = "disputed"
    REFUNDED = "refunded"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    # The creator asked for no more tries.
    STOPPED = "stopped"


class RequestKind(StrEnum):
    STOP = "stop"
    RETRY_NOW = "retry_now"
    # Of a company's poison events; the others are about one payment.
    REPLAY = "replay"


class Action(StrEnum):
    """What the audit list keeps that somebody did. The dashboard says it in words."""

    SETTINGS = "settings"
    TEMPLATE = "template"
    RETRY = "retry"
    STOP = "stop"
    REPLAY_EVENTS = "replay_events"
    # From before there were codes; the entry's details keep its words.
    OTHER = "other"


class Step(StrEnum):
    """A member's messages about one payment, in order. message_schedule.py says who gets which."""

    PAYMENT_FAILED = "payment_failed"
    REMINDER = "reminder"
    # With the exact time at which the membership ends.
    LAST_DAY = "last_day"
    # Neutral, and the only one: where nothing more may be asked of the member.
    NOTICE = "notice"


class Channel(StrEnum):
    EMAIL = "email"
    # The creator's support chat with the member, inside Whop.
    WHOP = "whop"


class DeliveryFailure(StrEnum):
    """Why a mail did not arrive, or why no more may be sent to its address."""

    BOUNCED = "bounced"
    DROPPED = "dropped"
    SPAM_REPORT = "spam_report"
    UNSUBSCRIBED = "unsubscribed"


# The member has not read it. A spam report or an opt-out comes from somebody who has.
NOT_ARRIVED = frozenset({DeliveryFailure.BOUNCED, DeliveryFailure.DROPPED})
# What makes mail services distrust our mails, a report by a reader included.
AGAINST_THE_SENDER = NOT_ARRIVED | {DeliveryFailure.SPAM_REPORT}


class MailEventKind(StrEnum):
    """What the mail service tells of a mail."""

    # It has taken the mail and will deliver it.
    PROCESSED = "processed"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    # The address does not exist.
    BOUNCED = "bounced"
    # Refused this once: the address may still be good.
    BLOCKED = "blocked"
    # Not even tried.
    DROPPED = "dropped"
    SPAM_REPORT = "spam_report"
    UNSUBSCRIBED = "unsubscribed"


class MessageState(StrEnum):
    QUEUED = "queued"
    # Committed before the send. Found later, it was interrupted, and is never sent again.
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    # The mail service may have taken it. Not sent again: at most one mail.
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    # Another payment's message to the same member spoke for this one too (`joined_to`).
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


class NoticeChannel(StrEnum):
    EMAIL = "email"
    POST = "post"


class SyncError(StrEnum):
    """Why a company's payments could not be read back from Whop."""

    # Whop refuses our key.
    ACCESS_DENIED = "access_denied"
    # Whop takes our key and does not let it read payments.
    PERMISSION_MISSING = "permission_missing"
    # Anything else: no answer, or one that says nothing about the key.
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
    """Staying where it is is always allowed."""
    return before == after or after in MOVES[before]
