"""The one word for each thing that people read: pages, emails, files, posts and commands take it
from here. docs/glossary.md explains the words; tests/test_labels.py refuses a second one.

A label begins with a capital; `continue_with` puts it into a sentence.
"""

from __future__ import annotations

from recovery.action_required import LeadAction, Need, NextStepKind
from recovery.declines import DeclineClass
from recovery.delivery import DeliveryFailure, MailEventKind
from recovery.standing import Hold
from recovery.status import (
    Action,
    AttemptOutcome,
    Channel,
    ChargeMethod,
    ClosedReason,
    MessageState,
    NoticeKind,
    PaymentStatus,
    RecoveredBy,
    RequestKind,
    Step,
    Trigger,
)

STATUSES: dict[PaymentStatus, str] = {
    PaymentStatus.FAILED: "Waiting",
    PaymentStatus.PENDING_RETRY: "Retry scheduled",
    PaymentStatus.RECOVERED: "Recovered",
    PaymentStatus.PERMANENT_FAIL: "Not recovered",
}
# decline_codes.CODES has a finer word for each code of a class, and the same where they mean the
# same.
REASONS: dict[DeclineClass, str] = {
    DeclineClass.FUNDS: "Insufficient funds",
    DeclineClass.ISSUER: "Declined by the bank",
    DeclineClass.TECHNICAL: "Technical error",
    DeclineClass.AUTHENTICATION: "Bank confirmation needed",
    DeclineClass.CARD: "Card problem",
    DeclineClass.FRAUD: "Suspected fraud",
    DeclineClass.CONSENT: "Stopped by the member",
    DeclineClass.DUPLICATE: "Possible duplicate charge",
    DeclineClass.AMOUNT: "Wrong amount",
    DeclineClass.BANK_DEBIT: "Must be paid anew",
    DeclineClass.TEST: "Test payment",
    DeclineClass.UNKNOWN: "Unknown reason",
}
RECOVERED_BY: dict[RecoveredBy, str] = {
    RecoveredBy.RETRY: "Recovered by our retry",
    RecoveredBy.CLICK: "Clicked our link, then paid",
    RecoveredBy.MEMBER: "Paid after our message",
    RecoveredBy.WITHOUT_US: "Would have come anyway",
}
CLOSED_REASONS: dict[ClosedReason, str] = {
    ClosedReason.RETRIES_USED: "All retries declined",
    ClosedReason.WINDOW_CLOSED: "Deadline passed",
    ClosedReason.MEMBERSHIP_ENDED: "Membership ended",
    ClosedReason.MEMBER_CANCELED: "Canceled by the member",
    ClosedReason.BOUGHT_ANEW: "Bought again by the member",
    ClosedReason.CANCELED: "Canceled on Whop",
    ClosedReason.DISPUTED: "Disputed by the member",
    ClosedReason.REFUNDED: "Refunded",
    ClosedReason.CONSENT_WITHDRAWN: "Stopped by the member",
    ClosedReason.STOPPED: "Stopped by you",
    ClosedReason.UNKNOWN_AT_WHOP: "Whop does not know this payment",
}
HOLDS: dict[Hold, str] = {Hold.PAUSED: "Paused on Whop", Hold.INQUIRY: "Bank inquiry open"}
NEXT_STEPS: dict[NextStepKind, str] = {
    NextStepKind.RECOVERED: STATUSES[PaymentStatus.RECOVERED],
    NextStepKind.NOT_RECOVERED: STATUSES[PaymentStatus.PERMANENT_FAIL],
    NextStepKind.STOPPING: "Stopping",
    NextStepKind.CHARGING: "Charging now",
    NextStepKind.CONFIRMING: "Confirming the charge",
    NextStepKind.CHARGE_REQUESTED: "Charging within a minute",
    NextStepKind.CLOSING: "Closing",
    NextStepKind.ON_HOLD: "On hold",
    NextStepKind.RETRY: STATUSES[PaymentStatus.PENDING_RETRY],
    NextStepKind.NEEDS_YOU: "Needs you",
    NextStepKind.WHOP: f"{STATUSES[PaymentStatus.FAILED]} for Whop",
    NextStepKind.MEMBER: f"{STATUSES[PaymentStatus.FAILED]} for the member",
}
LEAD_ACTIONS: dict[LeadAction, str] = {
    LeadAction.RETRY: "Retry now",
    LeadAction.WRITE: "Write to the member",
    LeadAction.OPEN_ON_WHOP: "Open on Whop",
}
NEEDS: dict[Need, str] = {
    Need.AMOUNT: "Wrong amount",
    Need.DUPLICATE: "Possible duplicate charge",
    Need.NO_ADDRESS: "No email address",
    Need.UNREACHED: "No message arrived",
}

# --- charges -----------------------------------------------------------------------------------

TRIGGERS: dict[Trigger, str] = {
    Trigger.SCHEDULE: "Our retry",
    Trigger.CREATOR: "Retry you requested",
    Trigger.WHOP: "Whop's retry",
    Trigger.MEMBER: "Member's payment",
}
OUTCOMES: dict[AttemptOutcome, str] = {
    AttemptOutcome.OPEN: "In progress",
    AttemptOutcome.PAID: "Paid",
    AttemptOutcome.DECLINED: "Declined",
    AttemptOutcome.PENDING: "Waiting for the bank",
    AttemptOutcome.REFUSED: "Not charged",
    AttemptOutcome.UNKNOWN: "No answer yet",
}
CHARGE_METHODS: dict[ChargeMethod, str] = {
    ChargeMethod.RETRY: "Card on file",
    ChargeMethod.BACKUP_CARD: "Backup card",
}

# --- messages to members -----------------------------------------------------------------------

CHANNELS: dict[Channel, str] = {Channel.EMAIL: "Email", Channel.WHOP: "Whop chat"}
# Where the channel is not known, or both are meant.
MESSAGES: dict[Step, str] = {
    Step.PAYMENT_FAILED: "First message",
    Step.REMINDER: "Reminder",
    Step.LAST_DAY: "Last-day message",
    Step.NOTICE: "Notice",
}
EMAILS: dict[Step, str] = {
    Step.PAYMENT_FAILED: "First email",
    Step.REMINDER: "Email reminder",
    Step.LAST_DAY: "Last-day email",
    Step.NOTICE: "Email notice",
}
CHAT_MESSAGES: dict[Step, str] = {
    Step.PAYMENT_FAILED: "First chat message",
    Step.REMINDER: "Chat reminder",
    Step.LAST_DAY: "Last-day chat message",
    Step.NOTICE: "Chat notice",
}
MESSAGE_STATES: dict[MessageState, str] = {
    MessageState.QUEUED: "Scheduled",
    MessageState.SENDING: "Sending",
    MessageState.SENT: "Sent",
    MessageState.FAILED: "Not sent",
    MessageState.UNKNOWN: "Possibly sent",
    MessageState.SKIPPED: "Skipped",
    MessageState.JOINED: "Sent with another payment's message",
}
EMAIL_EVENTS: dict[MailEventKind, str] = {
    MailEventKind.PROCESSED: "Accepted",
    MailEventKind.DEFERRED: "Delayed",
    MailEventKind.DELIVERED: "Delivered",
    MailEventKind.OPENED: "Opened",
    MailEventKind.CLICKED: "Clicked",
    MailEventKind.BOUNCED: "Bounced",
    MailEventKind.BLOCKED: "Blocked",
    MailEventKind.DROPPED: "Dropped",
    MailEventKind.SPAM_REPORT: "Reported as spam",
    MailEventKind.UNSUBSCRIBED: "Unsubscribed",
}
DELIVERY_FAILURES: dict[DeliveryFailure, str] = {
    failure: EMAIL_EVENTS[MailEventKind(failure)] for failure in DeliveryFailure
}

# --- what creators ask for, and are told -------------------------------------------------------

REQUESTS: dict[RequestKind, str] = {
    RequestKind.RETRY_NOW: "Retry now",
    RequestKind.STOP: "Stop recovery",
    RequestKind.REPLAY: "Replay events",
}
ACTIONS: dict[Action, str] = {
    Action.SETTINGS: "Changed settings",
    Action.TEMPLATE: "Changed a message",
    Action.RETRY: "Requested a retry",
    Action.STOP: "Stopped recovery",
    Action.REPLAY_EVENTS: "Requested an event replay",
    Action.OTHER: "Other",
}
NOTICES: dict[NoticeKind, str] = {
    NoticeKind.DIGEST: "Weekly digest",
    NoticeKind.RECOVERY: "Payments recovered",
    NoticeKind.KEY_REFUSED: "Whop refuses our key",
    NoticeKind.KEY_REFUSED_OVER: "Whop accepts our key again",
    NoticeKind.WEBHOOK_SILENT: "No webhooks from Whop",
    NoticeKind.WEBHOOK_SILENT_OVER: "Webhooks from Whop arrive again",
    NoticeKind.MAILS_BOUNCING: "Emails to members do not arrive",
    NoticeKind.MAILS_BOUNCING_OVER: "Emails to members arrive again",
    NoticeKind.MAILS_REFUSED: "SendGrid refuses our emails",
    NoticeKind.MAILS_REFUSED_OVER: "SendGrid accepts our emails again",
}


def name_end(status: PaymentStatus, reason: ClosedReason | None) -> str:
    """Why nothing more is done about a payment; where it has no reason, it is recovered."""
    return STATUSES[status] if reason is None else CLOSED_REASONS[reason]


def name_message(step: Step, channel: Channel | None = None) -> str:
    match channel:
        case Channel.EMAIL:
            return EMAILS[step]
        case Channel.WHOP:
            return CHAT_MESSAGES[step]
        case None:
            return MESSAGES[step]


def name_recovery(by: RecoveredBy | None, channel: Channel | None = None) -> str:
    """`channel`: by which the member was written to, where that is known. None is never ours."""
    if by is RecoveredBy.MEMBER and channel is not None:
        return f"Paid after our {'email' if channel is Channel.EMAIL else 'chat message'}"
    return RECOVERED_BY[by or RecoveredBy.WITHOUT_US]


def name_way(by: RecoveredBy | None) -> str:
    """The same after the word "recovered": `by our retry`, `paid after our message`."""
    return continue_with(name_recovery(by)).removeprefix("recovered ")


def continue_with(label: str) -> str:
    """The label within a sentence: `paid after our message`, but `Whop chat`."""
    return label if label.startswith("Whop") else label[:1].lower() + label[1:]
