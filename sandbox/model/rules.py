"""When Whop allows a payment to be retried."""

from dataclasses import dataclass

from sandbox.model.records import PENDING, Membership, Payment
from sandbox.model.switches import Switches

COLLECTING = frozenset({"active", "trialing", "completed", "past_due"})


@dataclass(frozen=True)
class Refusal:
    code: str
    message: str


IN_FLIGHT = Refusal("payment_in_progress", "This payment is already being charged")
SETTLING = Refusal("payment_pending", "This payment is still clearing")
ALREADY_PAID = Refusal("payment_already_paid", "This payment has already been paid")
CLOSED = Refusal("payment_not_retryable", "This payment can no longer be retried")
MEMBERSHIP_ENDED = Refusal(
    "payment_not_retryable",
    "You can only retry payments where the membership status is past due.",
)
PAUSED = Refusal("payment_not_retryable", "Payment collection is paused for this membership")
LIMIT_REACHED = Refusal(
    "retry_limit_reached",
    "This receipt has already been re-tried the maximum number of times",
)


def refusal(payment: Payment, membership: Membership, switches: Switches) -> Refusal | None:
    """Why a retry is refused; None: it is allowed. The codes are invented: Whop publishes none."""
    if payment.status == "paid":
        return ALREADY_PAID
    if payment.status == PENDING:
        return SETTLING
    if payment.status != "open":
        return CLOSED
    if membership.status not in COLLECTING:
        return MEMBERSHIP_ENDED
    if membership.paused_at is not None and switches.pause_stops_retries:
        return PAUSED
    if payment.in_flight:
        return IN_FLIGHT
    if payment.retries >= switches.retry_limit:
        return LIMIT_REACHED
    return None


def retryable(payment: Payment, membership: Membership, switches: Switches) -> bool:
    reason = refusal(payment, membership, switches)
    if reason is LIMIT_REACHED:
        return not switches.retryable_shows_limit
    return reason is None or reason is IN_FLIGHT
