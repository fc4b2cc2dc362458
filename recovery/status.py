"""What a payment can be, and where it may go from there."""

from __future__ import annotations

from enum import StrEnum


class PaymentStatus(StrEnum):
    FAILED = "failed"
    """Unpaid, no retry scheduled: it waits for the member or for Whop."""
    PENDING_RETRY = "pending_retry"
    """Unpaid, we charge again at `next_retry_at`."""
    RECOVERED = "recovered"
    """Whop says it is paid. A refund later is recorded beside it and nets out of money figures."""
    PERMANENT_FAIL = "permanent_fail"
    """Given up: retries used, window closed, or a stop rule fired."""


class AttemptOutcome(StrEnum):
    OPEN = "open"
    """Committed before the charge; nothing is known yet."""
    PAID = "paid"
    DECLINED = "declined"
    PENDING = "pending"
    """The bank took it and has not settled it."""
    REFUSED = "refused"
    """No charge was made: Whop would not, or it was no longer owed."""
    UNKNOWN = "unknown"
    """No usable answer: it may or may not have charged. Whop is asked, never charged blindly."""


class Trigger(StrEnum):
    SCHEDULE = "schedule"
    CREATOR = "creator"
    """A creator asked for it now."""
    WHOP = "whop"
    MEMBER = "member"


class ChargeMethod(StrEnum):
    RETRY = "retry"
    """The card on file, charged again."""
    BACKUP_CARD = "backup_card"
    """Another card that the member has saved; once per payment, and only where a creator allows."""


class RecoveredBy(StrEnum):
    RETRY = "retry"
    """One of our attempts collected it."""
    MEMBER = "member"
    """The member, after a message of ours."""
    WITHOUT_US = "without_us"
    """Whop's own retry, or the member unprompted. Never claimed as ours."""


class ClosedReason(StrEnum):
    RETRIES_USED = "retries_used"
    WINDOW_CLOSED = "window_closed"
    MEMBERSHIP_ENDED = "membership_ended"
    MEMBER_CANCELED = "member_canceled"
    """The membership runs on to the end of its period, but the member wants no renewal."""
    CANCELED = "canceled"
    """Whop voided the payment or called it uncollectible."""
    DISPUTED = "disputed"
    """The member disputes this payment or another one of the same seller."""
    REFUNDED = "refunded"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    STOPPED = "stopped"
    """The creator asked for no more tries."""


class RequestKind(StrEnum):
    STOP = "stop"
    RETRY_NOW = "retry_now"
    REPLAY = "replay"
    """Of a company's poison events; the others are about one payment."""


class Action(StrEnum):
    """What the audit list keeps that somebody did. The dashboard says it in words."""

    SETTINGS = "settings"
    TEMPLATE = "template"
    RETRY = "retry"
    STOP = "stop"
    REPLAY_EVENTS = "replay_events"
    OTHER = "other"
    """From before there were codes; the entry's details keep its words."""


class Step(StrEnum):
    """A member's messages about one payment, in order. message_schedule.py says who gets which."""

    PAYMENT_FAILED = "payment_failed"
    REMINDER = "reminder"
    LAST_DAY = "last_day"
    """With the exact time at which the membership ends."""
    NOTICE = "notice"
    """Neutral, and the only one: where nothing more may be asked of the member."""


class Channel(StrEnum):
    EMAIL = "email"
    WHOP = "whop"
    """The creator's support chat with the member, inside Whop."""


class DeliveryFailure(StrEnum):
    """Why a mail did not arrive, or why no more may be sent to its address."""

    BOUNCED = "bounced"
    DROPPED = "dropped"
    SPAM_REPORT = "spam_report"
    UNSUBSCRIBED = "unsubscribed"


NOT_ARRIVED = frozenset({DeliveryFailure.BOUNCED, DeliveryFailure.DROPPED})
"""The member has not read it. A spam report or an opt-out comes from somebody who has."""
AGAINST_THE_SENDER = NOT_ARRIVED | {DeliveryFailure.SPAM_REPORT}
"""What makes mail services distrust our mails, a report by a reader included."""


class MailEventKind(StrEnum):
    """What the mail service tells of a mail."""

    PROCESSED = "processed"
    """It has taken the mail and will deliver it."""
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    """The address does not exist."""
    BLOCKED = "blocked"
    """Refused this once: the address may still be good."""
    DROPPED = "dropped"
    """Not even tried."""
    SPAM_REPORT = "spam_report"
    UNSUBSCRIBED = "unsubscribed"


class MessageState(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    """Committed before the send. Found later, it was interrupted, and is never sent again."""
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The mail service may have taken it. Not sent again: at most one mail."""
    SKIPPED = "skipped"
    JOINED = "joined"
    """Another payment's message to the same member spoke for this one too (`joined_to`)."""


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

    ACCESS_DENIED = "access_denied"
    """Whop refuses our key."""
    PERMISSION_MISSING = "permission_missing"
    """Whop takes our key and does not let it read payments."""
    UNAVAILABLE = "unavailable"
    """Anything else: no answer, or one that says nothing about the key."""


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
