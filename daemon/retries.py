"""Charging again, at most once per attempt, whatever breaks on the way.

1. Claim: the attempt is committed `open`, before anything leaves this machine.
2. Ask Whop how the payment stands. Paid, ended or not retryable: nothing is charged.
3. Mark: `sent_at` is committed. From here on a charge may exist.
4. Charge: one POST with the attempt's own key.
5. Conclude. No usable answer concludes nothing: the attempt is `unknown`.

An attempt left at any step (killed, cut off, timed out) is taken over when its lease has lapsed,
and starts at 2. Only if Whop shows no trace of a charge is the POST repeated, with the same key,
which Whop runs once at most.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from db import claims
from db.attempts import shows_decline
from db.claims import Claim, Conclusion
from db.policy import Settings
from db.session import SessionFactory
from db.status import AttemptOutcome
from whop.client import WhopClient
from whop.errors import AccessError, BusyError, DownError, NoAnswerError, WhopError
from whop.payloads import Payment

log = logging.getLogger(__name__)

KEY_IS_GOOD_FOR = timedelta(hours=23)
"""Whop keeps an idempotency key for 24 hours; an hour is kept back for clocks that differ."""
SOON = timedelta(minutes=1)
LATER = timedelta(hours=1)


class Retrier:
    def __init__(
        self,
        sessions: SessionFactory,
        whop: WhopClient,
        rules: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self.sessions, self.whop, self.rules, self.clock = sessions, whop, rules, clock

    def retry_one(self) -> bool:
        """One payment that is due. False: there was none."""
        return self.work_on(claims.claim_due)

    def settle_one(self) -> bool:
        """One attempt that nobody knows the end of. False: there was none."""
        return self.work_on(claims.claim_unsettled)

    def work_on(self, take: Callable[..., Claim | None]) -> bool:
        if self.whop.circuit.is_resting():
            return False  # it stays due: claiming it would only write down that nothing was sent
        with self.sessions.begin() as session:
            claim = take(session, self.clock())
        if claim is None:
            return False
        conclusion = self.pursue(claim)
        with self.sessions.begin() as session:
            claims.conclude(session, claim, conclusion, self.clock(), self.rules)
        log.info(
            "payment %s attempt %d: %s%s",
            claim.payment_id,
            claim.number,
            conclusion.outcome,
            f" ({conclusion.detail})" if conclusion.detail else "",
        )
        return True

    def pursue(self, claim: Claim) -> Conclusion:
        try:
            before = self.whop.get_payment(claim.payment_id, claim.company_id)
        except WhopError as error:
            return self.leave(claim, error)
        known = self.judge(claim, before)
        if known is not None:
            return known
        with self.sessions.begin() as session:
            if not claims.mark_sent(session, claim, before.failures, self.clock()):
                return self.stand_back(claim, before)
        try:
            after = self.whop.retry_payment(
                claim.payment_id, claim.company_id, claim.idempotency_key
            )
        except (BusyError, DownError) as error:
            return self.leave(claim, error)
        except WhopError as error:
            return self.read_refusal(error)
        return compare(before, after)

    def judge(self, claim: Claim, payment: Payment) -> Conclusion | None:
        """What Whop's word already settles. None: charge."""
        sent = claim.sent_at is not None
        if payment.paid:
            # Whether a sent attempt collected it, the ledger tells by the circumstances.
            outcome = AttemptOutcome.UNKNOWN if sent else AttemptOutcome.REFUSED
            return Conclusion(outcome, payment, "already paid")
        if payment.pending:
            outcome = AttemptOutcome.PENDING if sent else AttemptOutcome.REFUSED
            return Conclusion(outcome, payment, "a payment is being settled", self.later(SOON))
        if claim.sent_at is not None:
            return self.judge_sent(claim, claim.sent_at, payment)
        if payment.retryable is False or payment.ended or payment.disputed:
            return Conclusion(AttemptOutcome.REFUSED, payment, "Whop says it is not retryable")
        return None

    def judge_sent(self, claim: Claim, sent_at: datetime, payment: Payment) -> Conclusion | None:
        if shows_decline(payment, sent_at, claim.failures_before):
            return Conclusion(AttemptOutcome.DECLINED, payment, payment.failure_message)
        if self.clock() - sent_at > KEY_IS_GOOD_FOR:
            again = None if payment.retryable is False else self.later(SOON)
            return Conclusion(AttemptOutcome.REFUSED, payment, "Whop never ran it", again)
        if payment.retryable is False or payment.ended or payment.disputed:
            return Conclusion(AttemptOutcome.UNKNOWN, payment, "no trace of the charge yet")
        return None

    def leave(self, claim: Claim, error: WhopError) -> Conclusion:
        """Nothing was charged now; whether an earlier call of this attempt did stays unknown."""
        if claim.sent_at is not None:
            return Conclusion(AttemptOutcome.UNKNOWN, detail=str(error))
        return self.read_refusal(error, AttemptOutcome.REFUSED)

    def read_refusal(
        self, error: WhopError, unanswered: AttemptOutcome = AttemptOutcome.UNKNOWN
    ) -> Conclusion:
        match error:
            case NoAnswerError() | DownError():
                return Conclusion(unanswered, detail=str(error), try_again_at=self.later(SOON))
            case BusyError(wait=wait):
                again = self.later(max(wait, SOON))
                return Conclusion(AttemptOutcome.REFUSED, None, str(error), again)
            case AccessError():
                log.error("Whop does not accept our key or its permissions: %s", error)
                return Conclusion(AttemptOutcome.REFUSED, None, str(error), self.later(LATER))
            case _:
                return Conclusion(AttemptOutcome.REFUSED, None, str(error))

    def stand_back(self, claim: Claim, payment: Payment) -> Conclusion:
        """The payment was settled or stopped, or the lease lapsed, while we asked."""
        outcome = AttemptOutcome.REFUSED if claim.sent_at is None else AttemptOutcome.UNKNOWN
        return Conclusion(outcome, payment, "not sent: no longer ours to charge", self.later(SOON))

    def later(self, delay: timedelta) -> datetime:
        return self.clock() + delay


def compare(before: Payment, after: Payment) -> Conclusion:
    """A 200 is an answer, not yet money: the payment itself says (whop-api.md 2.5)."""
    if after.paid:
        return Conclusion(AttemptOutcome.PAID, after)
    if after.pending:
        return Conclusion(AttemptOutcome.PENDING, after, "the bank is settling it")
    if (after.failures, after.last_attempt_at) != (before.failures, before.last_attempt_at):
        return Conclusion(AttemptOutcome.DECLINED, after, after.failure_message)
    return Conclusion(AttemptOutcome.UNKNOWN, after, "Whop is still charging")
