"""Retries payments. Each attempt charges at most once, whatever fails on the way.

1. Claim: commit the attempt as `open`, before anything is sent.
2. Read the payment from Whop. If it is paid, ended or not retryable, do not charge.
3. Mark: commit `sent_at`. From here on a charge may exist.
4. Charge: one POST with the attempt's own idempotency key. Or, if the creator allows it, switch
   the membership to the member's other saved card, which makes Whop charge that card.
5. Conclude. Without a usable answer nothing is concluded: the attempt is `unknown`.

If an attempt stops at any step (killed, cut off, timed out), another worker takes it over once its
lease has lapsed, and starts again at 2. The POST is repeated only if Whop shows no trace of a
charge, and with the same key, which Whop runs at most once. A change of card has no such key and
is never repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from functools import partial

from daemon.outcomes import (
    SHORT_WAIT,
    interpret,
    interpret_charge,
    interpret_charge_error,
    interpret_read_error,
)
from db.ledger import claims, conclusions
from db.ledger.claims import ChargeIntent, Claim
from db.ledger.conclusions import Conclusion
from db.session import SessionFactory
from recovery.payment_methods import Ban, Card, find_held
from recovery.reports import PaymentReport
from recovery.retrying.context import RetryRules
from recovery.status import AttemptOutcome, ChargeMethod
from whop.client import WhopClient
from whop.errors import AccessError, NoAnswerError, WhopError
from whop.lists import SavedCard

log = logging.getLogger(__name__)


class Retrier:
    """`credential` is a fingerprint of our API key, not the key itself."""

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
        """Retries one due payment. False: none was due."""
        return self.work_on(partial(claims.claim_due, rules=self.rules))

    def retry_requested(self) -> bool:
        """Retries one payment that a creator asked to retry now. False: there was none."""
        return self.work_on(partial(claims.claim_due, rules=self.rules, retry_now=True))

    def settle_one(self) -> bool:
        """Finds the outcome of one unsettled attempt. False: there was none."""
        return self.work_on(claims.claim_unsettled)

    def work_on(self, claim_next: Callable[..., Claim | None]) -> bool:
        if self.whop.circuit.is_open():
            # Not claimed, so that it stays due: a claim would end as an attempt that was not sent.
            return False
        with self.sessions.begin() as session:
            # invariant 5: Whop is called outside the transaction
            claim = claim_next(session, self.clock())
        if claim is None:
            return False
        conclusion = self.run_attempt(claim)
        with self.sessions.begin() as session:
            conclusions.conclude(session, claim, conclusion, self.clock(), self.rules)
        log.info(describe(claim, conclusion))
        return True

    def run_attempt(self, claim: Claim) -> Conclusion:
        use_backup = claim.charge_method is ChargeMethod.BACKUP_CARD
        try:
            before = self.whop.get_payment(claim.payment_id, claim.company_id)
            known = interpret(claim, before, self.rules, self.credential, self.clock())
            if known is not None:
                return known
            backup_card = self.find_backup_card(claim) if use_backup else None
        except WhopError as error:
            log_access_error(error)
            return interpret_read_error(claim, error, self.clock())
        if use_backup and backup_card is None:
            return Conclusion(AttemptOutcome.REFUSED, before, "the member has no other card")
        sending = ChargeIntent(before, self.credential, backup_card)
        with self.sessions.begin() as session:
            if not claims.mark_sent(session, claim, sending, self.clock(), self.rules):
                return self.conclude_lost_claim(claim, before)
        if backup_card is None:
            return self.charge(claim, before)
        return self.charge_backup_card(claim, before, backup_card)

    def conclude_lost_claim(self, claim: Claim, payment: PaymentReport) -> Conclusion:
        """While we read it, the payment was settled or stopped, or our lease lapsed."""
        outcome = AttemptOutcome.REFUSED if claim.sent_at is None else AttemptOutcome.UNKNOWN
        again = self.clock() + SHORT_WAIT
        return Conclusion(outcome, payment, "not sent: no longer ours to charge", again)

    def charge(self, claim: Claim, before: PaymentReport) -> Conclusion:
        try:
            after = self.whop.retry_payment(
                claim.payment_id, claim.company_id, claim.idempotency_key
            )
        except WhopError as error:
            log_access_error(error)
            return interpret_charge_error(claim, error, self.clock())
        return interpret_charge(before, after)

    def find_backup_card(self, claim: Claim) -> Card | None:
        """A saved card that may be charged in place of the one that was declined."""
        assert claim.member_id is not None
        saved = self.whop.list_saved_cards(claim.member_id, claim.company_id)
        with self.sessions() as session:
            bans = claims.list_bans(session, claim)
        return choose_backup_card(saved, claim, bans, self.clock())

    def charge_backup_card(
        self, claim: Claim, before: PaymentReport, backup_card: Card
    ) -> Conclusion:
        """Whop answers a change of card with the membership, so the payment is read afterwards.

        Tried once: after a refusal it is not tried again.
        """
        assert claim.membership_id is not None
        assert backup_card.payment_method_id is not None
        try:
            self.whop.change_card(claim.membership_id, backup_card.payment_method_id)
        except NoAnswerError as error:
            return Conclusion(AttemptOutcome.UNKNOWN, detail=str(error))
        except WhopError as error:
            return Conclusion(AttemptOutcome.REFUSED, detail=str(error))
        try:
            after = self.whop.get_payment(claim.payment_id, claim.company_id)
        except WhopError as error:
            return Conclusion(AttemptOutcome.UNKNOWN, detail=str(error))
        return interpret_charge(before, after)


def choose_backup_card(
    saved: Iterable[SavedCard], claim: Claim, bans: Collection[Ban], now: datetime
) -> Card | None:
    """The first that has not expired, is not the one on file, and is not banned."""
    for each in saved:
        year, month = each.exp_year or now.year, each.exp_month or 12
        same = each.method_id == claim.payment_method_id or each.last4 == claim.card_last4
        expiry = f"{year:04}-{month:02}" if each.exp_year and each.exp_month else None
        card = Card(each.method_id, each.brand, each.last4, expiry)
        # invariant 3: a banned card is not charged in another's place either
        banned = find_held(bans, claim.payment_id, card) is not None
        if not (same or banned or (year, month) < (now.year, now.month)):
            return card
    return None


def describe(claim: Claim, conclusion: Conclusion) -> str:
    """`retry 2 of pay_x declined: insufficient_funds`."""
    detail = conclusion.detail
    if conclusion.outcome is AttemptOutcome.DECLINED and conclusion.report is not None:
        detail = conclusion.report.decline_code or detail
    reason = f": {detail}" if detail else ""
    return f"retry {claim.number} of {claim.payment_id} {conclusion.outcome}{reason}"


def log_access_error(error: WhopError) -> None:
    """Only an operator can fix these; retrying does not help."""
    if isinstance(error, AccessError):
        log.error("Whop does not accept our key or its permissions: %s", error)
