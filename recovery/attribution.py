"""Who brought a payment. Conservative: we never claim what Whop's own retry explains.

Whop does not say who made a payment, so it is inferred from the evidence.
docs/creators/attribution.md has the rules in plain words. A pure function, so the order in which
the evidence arrived does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from recovery.reports import PaymentReport
from recovery.status import RecoveredBy

# How far Whop's own charge may be from the time that Whop announced. An assumption: Whop does not
# publish it.
WHOP_DELAY = timedelta(minutes=15)
# How much earlier than announced it may come: as long as we keep away from it
# (retrying/good_hours.py).
WHOP_EARLY = timedelta(hours=6)
# Whop runs a charge at once, so what is paid later than this after an unanswered one was another's.
CHARGE_TAKES = timedelta(minutes=15)
# Who pays later than this after a message has hardly been moved by it.
MESSAGE_WORKS = timedelta(hours=72)
# A membership that ended so long ago is not what a message about it asked to keep.
AFTER_WINDOW = timedelta(days=3)
# What opens a link this soon after the email has come is a scanner of the mailbox, not its reader.
SCANNED_WITHIN = timedelta(minutes=1)
# Two times of one charge, as two reports tell it.
SAME_CHARGE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Evidence:
    """`paid_at`: when the successful charge was made; a bank may settle it days later.
    `proven`: Whop says paid in its answer to our own key.
    `charge_sent_at`: when we sent a charge whose outcome is unknown.
    `whop_attempt_at`: the last attempt that Whop announced while the payment was unpaid; None: it
    plans none, or, unless `plan_told`, has never told.
    `message_at`: when the last message about it arrived before the payment; none that bounced or
    was dropped, and no notice, which asks for nothing.
    `clicked_at`: when the member last opened the link of such a message, before the payment.
    """

    paid_at: datetime
    window_ends_at: datetime
    proven: bool = False
    charge_sent_at: datetime | None = None
    whop_attempt_at: datetime | None = None
    plan_told: bool = False
    message_at: datetime | None = None
    clicked_at: datetime | None = None


def find_charge_time(
    paid_at: datetime, last_attempt_at: datetime, last_failed_at: datetime
) -> datetime:
    """When the charge that paid it was made: a bank may settle it days later. Some reports of a
    paid payment still name the last charge that failed; they tell no more than `paid_at`."""
    if last_attempt_at <= last_failed_at + SAME_CHARGE:
        return paid_at
    return min(paid_at, last_attempt_at)


def attribute(evidence: Evidence) -> RecoveredBy:
    if evidence.proven or collected_by_our_charge(evidence):
        return RecoveredBy.RETRY
    # A doubt about whether money is ours is answered with no.
    if not may_follow_message(evidence) or may_be_whop_charge(evidence) or is_untold(evidence):
        return RecoveredBy.WITHOUT_US
    return RecoveredBy.CLICK if follows_click(evidence) else RecoveredBy.MEMBER


def may_follow_message(evidence: Evidence) -> bool:
    message_at = evidence.message_at
    if message_at is None or message_at > evidence.paid_at:
        return False
    latest = min(message_at + MESSAGE_WORKS, evidence.window_ends_at + AFTER_WINDOW)
    return evidence.paid_at <= latest


def follows_click(evidence: Evidence) -> bool:
    clicked_at = evidence.clicked_at
    return clicked_at is not None and clicked_at <= evidence.paid_at <= clicked_at + MESSAGE_WORKS


def is_untold(evidence: Evidence) -> bool:
    """Whether Whop may still have tried without having told when."""
    told = evidence.plan_told or evidence.whop_attempt_at is not None
    return not told and evidence.paid_at < evidence.window_ends_at


def collected_by_our_charge(evidence: Evidence) -> bool:
    """Whether our charge was sent, the payment came soon after it, and Whop had none due in
    between."""
    sent_at, whop_attempt_at = evidence.charge_sent_at, evidence.whop_attempt_at
    if sent_at is None:
        return False
    # Whop's times may come in whole seconds.
    earliest = sent_at.replace(microsecond=0)
    if not earliest <= evidence.paid_at <= sent_at + CHARGE_TAKES:
        return False
    # We ask Whop just before a charge, so an attempt announced for earlier is already over.
    return (
        whop_attempt_at is None
        or not sent_at - WHOP_DELAY <= whop_attempt_at <= evidence.paid_at + WHOP_EARLY
    )


def may_be_whop_charge(evidence: Evidence, early: timedelta = WHOP_EARLY) -> bool:
    """Whether an attempt that Whop announced was due, or nearly, by the time of the payment.

    However long ago: Whop may have announced later ones that we never received.
    """
    whop_attempt_at = evidence.whop_attempt_at
    return whop_attempt_at is not None and whop_attempt_at <= evidence.paid_at + early


def proves_ours(report: PaymentReport | None, sent_at: datetime | None) -> bool:
    """Whether Whop's answer "paid" to our own key means our charge. It may tell of an earlier
    payment, made by somebody else before our charge was sent."""
    paid_at = report.paid_at if report else None
    return paid_at is None or sent_at is None or paid_at >= sent_at - SAME_CHARGE


def counts_failure(report: PaymentReport, failures_before: int | None) -> bool:
    """Whether Whop counts more failures than when our charge was sent."""
    counted = report.failures
    return counted is not None and failures_before is not None and counted > failures_before


def shows_decline(
    report: PaymentReport, sent_at: datetime | None, failures_before: int | None
) -> bool:
    """Whether this report of an unpaid payment shows that our charge was made and declined.

    Whop counts the failures of a payment. Older payloads have no count; there the last attempt must
    be at or after our charge.
    """
    if sent_at is None:
        return False
    if report.failures is not None and failures_before is not None:
        return counts_failure(report, failures_before)
    return report.last_attempt_at is not None and report.last_attempt_at >= sent_at
