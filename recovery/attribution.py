"""Whose a charge was. Conservative: what Whop's own retry explains is never claimed.

Nobody tells us who made a payment; the circumstances do. docs/creators/attribution.md
gives the rules in a creator's words. Pure, so that the order in which we heard of
the circumstances plays no part.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from recovery.reports import PaymentReport
from recovery.status import RecoveredBy

# How far Whop's own charge may be from the time it announced. Our assumption: not published.
WHOP_DELAY = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Evidence:
    """`paid_at`: when the charge was made that paid it; a bank may settle it days later. `proven`:
    Whop's answer to our own key says paid. `charge_sent_at`: a charge of ours whose
    end was unknown. `whops_attempt_at`: the last one that Whop announced while it was unpaid.
    `message_sent_at`: the first message about it that the mail service took.
    """

    paid_at: datetime
    proven: bool = False
    charge_sent_at: datetime | None = None
    whop_attempt_at: datetime | None = None
    message_sent_at: datetime | None = None


def attribute(evidence: Evidence) -> RecoveredBy:
    if evidence.proven or collected_by_our_charge(evidence):
        return RecoveredBy.RETRY
    if evidence.message_sent_at is None or evidence.message_sent_at > evidence.paid_at:
        return RecoveredBy.WITHOUT_US
    return RecoveredBy.WITHOUT_US if may_be_whop_charge(evidence) else RecoveredBy.MEMBER


def collected_by_our_charge(evidence: Evidence) -> bool:
    """Sent, paid after it was sent, and no charge of Whop's own due in between."""
    sent_at, whop_attempt_at = evidence.charge_sent_at, evidence.whop_attempt_at
    # Whop's times may come in whole seconds.
    if sent_at is None or evidence.paid_at < sent_at.replace(microsecond=0):
        return False
    # Just before the charge Whop was asked: what it had announced for earlier has been and gone.
    return (
        whop_attempt_at is None
        or not sent_at - WHOP_DELAY <= whop_attempt_at <= evidence.paid_at + WHOP_DELAY
    )


def may_be_whop_charge(evidence: Evidence) -> bool:
    """Whether an announced attempt of Whop's had come by the time of the payment.

    However long ago: since then Whop may have announced others that we have not heard of.
    """
    whop_attempt_at = evidence.whop_attempt_at
    return whop_attempt_at is not None and whop_attempt_at <= evidence.paid_at + WHOP_DELAY


def counts_failure(report: PaymentReport, failures_before: int | None) -> bool:
    """Whether Whop counts a failure more than when our charge was sent."""
    counted = report.failures
    return counted is not None and failures_before is not None and counted > failures_before


def shows_decline(
    report: PaymentReport, sent_at: datetime | None, failures_before: int | None
) -> bool:
    """Whether this report of an unpaid payment shows that our charge ran and was declined.

    Whop counts failures per payment; without the count (older shapes) its time of the last try
    must be at or after ours.
    """
    if sent_at is None:
        return False
    if report.failures is not None and failures_before is not None:
        return counts_failure(report, failures_before)
    return report.last_attempt_at is not None and report.last_attempt_at >= sent_at
