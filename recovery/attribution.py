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
# Whop runs a charge at once, so what is paid later than this after an unanswered one was another's.
CHARGE_TAKES = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Evidence:
    """`paid_at`: when the successful charge was made; a bank may settle it days later.
    `proven`: Whop says paid in its answer to our own key.
    `charge_sent_at`: when we sent a charge whose outcome is unknown.
    `whop_attempt_at`: the last attempt that Whop announced while the payment was unpaid.
    `message_sent_at`: the first message about it that the mail service accepted.
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
        or not sent_at - WHOP_DELAY <= whop_attempt_at <= evidence.paid_at + WHOP_DELAY
    )


def may_be_whop_charge(evidence: Evidence) -> bool:
    """Whether an attempt that Whop announced was due by the time of the payment.

    However long ago: Whop may have announced later ones that we never received.
    """
    whop_attempt_at = evidence.whop_attempt_at
    return whop_attempt_at is not None and whop_attempt_at <= evidence.paid_at + WHOP_DELAY


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
