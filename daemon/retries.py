"""Charging again, at most once per attempt, whatever breaks on the way.

1. Claim: the attempt is committed `open`, before anything leaves this machine.
2. Ask Whop how the payment stands. Paid, ended or not retryable: nothing is charged.
3. Mark: `sent_at` is committed. From here on a charge may exist.
4. Charge: one POST with the attempt's own key; or, where a creator allows it, one change to the
   member's other saved card, which charges it too.
5. Conclude. No usable answer concludes nothing: the attempt is `unknown`.

An attempt left at any step (killed, cut off, timed out) is taken over when its lease has lapsed,
and starts at 2. Only if Whop shows no trace of a charge is the POST repeated, with the same key,
which Whop runs once at most. A change of card has no such key and is never repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

from daemon.outcomes import SOON, compare, interpret, read_charge, read_unasked
from db.ledger import claims, conclusions
from db.ledger.claims import ChargeIntent, Claim
from db.ledger.conclusions import Conclusion
from db.session import SessionFactory
from recovery.reports import PaymentReport
from recovery.retry_policy import RetryRules
from recovery.status import AttemptOutcome, ChargeMethod
from whop.client import WhopClient
from whop.errors import AccessError, NoAnswerError, WhopError

log = logging.getLogger(__name__)


class Retrier:
    """`credential` names our key at Whop without giving it away."""

    def __init__(
        self,
        sessions: SessionFactory,
        whop: WhopClient,
        rules: RetryRules,
        clock: Callable[[], datetime],
        credential: str,
    ) -> None:
        self.sessions, self.whop, self.rules = sessions, whop, rules
        self.clock, self.credential = clock, credential

    def retry_one(self) -> bool:
        """One payment that is due. False: there was none."""
        return self.work_on(claims.claim_due)

    def retry_requested(self) -> bool:
        """One that a creator asked to be charged now. False: there was none."""
        return self.work_on(partial(claims.claim_due, retry_now=True))

    def settle_one(self) -> bool:
        """One attempt that nobody knows the end of. False: there was none."""
        return self.work_on(claims.claim_unsettled)

    def work_on(self, take: Callable[..., Claim | None]) -> bool:
        if self.whop.circuit.is_open():
            return False  # it stays due: claiming it would only write down that nothing was sent
        with self.sessions.begin() as session:
            # invariant 5: Whop is called outside the transaction
            claim = take(session, self.clock())
        if claim is None:
            return False
        conclusion = self.pursue(claim)
        with self.sessions.begin() as session:
            conclusions.conclude(session, claim, conclusion, self.clock(), self.rules)
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
            known = interpret(claim, before, self.rules, self.credential, self.clock())
            if known is not None:
                return known
            other = (
                self.find_other_card(claim)
                if claim.charge_method is ChargeMethod.BACKUP_CARD
                else None
            )
        except WhopError as error:
            warn_operator(error)
            return read_unasked(claim, error, self.clock())
        if claim.charge_method is ChargeMethod.BACKUP_CARD and other is None:
            return Conclusion(AttemptOutcome.REFUSED, before, "the member has no other card")
        sending = ChargeIntent(before, self.credential, other)
        with self.sessions.begin() as session:
            if not claims.mark_sent(session, claim, sending, self.clock(), self.rules):
                return self.stand_back(claim, before)
        return self.charge(claim, before) if other is None else self.swap(claim, before, other)

    def stand_back(self, claim: Claim, payment: PaymentReport) -> Conclusion:
        """The payment was settled or stopped, or the lease lapsed, while we asked."""
        outcome = AttemptOutcome.REFUSED if claim.sent_at is None else AttemptOutcome.UNKNOWN
        again = self.clock() + SOON
        return Conclusion(outcome, payment, "not sent: no longer ours to charge", again)

    def charge(self, claim: Claim, before: PaymentReport) -> Conclusion:
        try:
            after = self.whop.retry_payment(
                claim.payment_id, claim.company_id, claim.idempotency_key
            )
        except WhopError as error:
            warn_operator(error)
            return read_charge(claim, error, self.clock())
        return compare(before, after)

    def find_other_card(self, claim: Claim) -> str | None:
        """One that has not run out and is not the one declined."""
        assert claim.member_id is not None
        now = self.clock()
        for card in self.whop.list_saved_cards(claim.member_id, claim.company_id):
            expired = (card.exp_year or now.year, card.exp_month or 12) < (now.year, now.month)
            same = card.method_id == claim.payment_method_id or card.last4 == claim.card_last4
            if not (same or expired):
                return card.method_id
        return None

    def swap(self, claim: Claim, before: PaymentReport, other: str) -> Conclusion:
        """What answers a change of card is the membership; the payment has to be read. Tried once:
        after any refusal there is no second time."""
        assert claim.membership_id is not None
        try:
            self.whop.change_card(claim.membership_id, other)
        except NoAnswerError as error:
            return Conclusion(AttemptOutcome.UNKNOWN, detail=str(error))
        except WhopError as error:
            return Conclusion(AttemptOutcome.REFUSED, detail=str(error))
        try:
            after = self.whop.get_payment(claim.payment_id, claim.company_id)
        except WhopError as error:
            return Conclusion(AttemptOutcome.UNKNOWN, detail=str(error))
        return compare(before, after)


def warn_operator(error: WhopError) -> None:
    """Of what no retry mends."""
    if isinstance(error, AccessError):
        log.error("Whop does not accept our key or its permissions: %s", error)
