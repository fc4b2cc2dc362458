"""One charge and its consequences: the ledger, the payment, its webhooks."""

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from sandbox.model import bank
from sandbox.model.pace import Pace
from sandbox.model.people import PERIOD
from sandbox.model.population import NEEDS_AUTHENTICATION, REFUNDED_SHARE, failure_message
from sandbox.model.records import PAID, PENDING, By, Charge, Due, Payment
from sandbox.model.switches import Switches
from sandbox.state.ledger import Ledger
from sandbox.state.store import Store
from sandbox.world.announcing import Announcer
from sandbox.world.cards import Cards

MOVED_BY = timedelta(hours=24)
OURS: tuple[By, ...] = ("retry", "backup")


class Charging:
    def __init__(self, store: Store, announcer: Announcer, switches: Switches, pace: Pace) -> None:
        self.store = store
        self.announcer = announcer
        self.switches = switches
        self.pace = pace
        self.cards = Cards(store)
        self.ledger = Ledger(store)

    def charge(
        self,
        payment: Payment,
        by: By,
        at: datetime,
        *,
        key: str | None = None,
        outcome: str | None = None,
    ) -> Payment:
        """Charges the card and applies the outcome. `outcome` is set if it is known beforehand."""
        asked = outcome or self.ask_bank(payment, at)
        outcome, _, settles_as = asked.partition(":")
        self.ledger.record(make_charge(payment, at, by, outcome, key))
        payment = self.count_charge(payment, by, at)
        if outcome == PENDING:
            return self.begin_clearing(payment, at, settles_as or PAID)
        return self.conclude(payment, outcome, by, at)

    def conclude(self, payment: Payment, outcome: str, by: By, at: datetime) -> Payment:
        """Applies an outcome: PAID or a decline code."""
        if outcome == PAID:
            return self.collect(payment, at)
        return self.decline(payment, outcome, by, at)

    def stop_trying(self, payment: Payment) -> None:
        for kind in ("retry_charges", "backup_charges", "whop_attempt", "member_pays"):
            self.store.forget_due(kind, payment.id)

    def pass_over(self, payment: Payment, at: datetime) -> None:
        """Whop skips one of its own attempts and plans the next."""
        payment = replace(payment, next_attempt_at=self.find_next_attempt(payment, "whop", at))
        self.store.save_payment(payment)
        self.plan_attempt(payment)

    def ask_bank(self, payment: Payment, at: datetime) -> str:
        if outcome := self.cards.next_outcome(payment.card.method_id):
            return outcome
        if payment.script:
            return bank.scripted(payment.script, payment.charges)
        attempt = payment.charges + 1
        code = payment.decline_code or "generic_decline"
        return bank.decide(payment.scenario, code, at, attempt, self.pace)

    def count_charge(self, payment: Payment, by: By, at: datetime) -> Payment:
        retries = payment.retries + (by == "retry")
        if by == "whop" and self.switches.retry_rearmed_by_whop_attempt:
            retries = 0
        return replace(
            payment,
            charges=payment.charges + 1,
            retries=retries,
            in_flight=False,
            last_attempt_at=at,
            updated_at=at,
        )

    def begin_clearing(self, payment: Payment, at: datetime, settles_as: str) -> Payment:
        settles_at = at + self.pace.pending_settles
        payment = replace(
            payment,
            status=PENDING,
            substatus=PENDING,
            settles_at=settles_at,
            next_attempt_at=None,
            decline_code=None,
            failure_message=None,
        )
        self.store.save_payment(payment)
        self.store.schedule(Due("settle", payment.id, settles_at, settles_as))
        self.store.forget_due("whop_attempt", payment.id)
        self.announcer.payment("payment.pending", payment, at)
        return payment

    def collect(self, payment: Payment, at: datetime) -> Payment:
        self.begin_period(payment, at)
        payment = replace(
            payment,
            status=PAID,
            substatus="succeeded",
            paid_at=at,
            updated_at=at,
            settles_at=None,
            next_attempt_at=None,
            decline_code=None,
            failure_message=None,
        )
        self.store.save_payment(payment)
        self.stop_trying(payment)
        self.store.forget_due("cancel", payment.id)
        self.plan_refund(payment, at)
        self.announcer.payment("payment.succeeded", payment, at)
        return payment

    def begin_period(self, paid: Payment, at: datetime) -> None:
        """The membership is active again, unless another period is unpaid too."""
        membership = self.store.membership(paid.membership_id)
        unpaid = self.store.payments_of(membership.id, "open", PENDING)
        status = "past_due" if any(other.id != paid.id for other in unpaid) else "active"
        if membership.status == "canceling":
            status = "canceling"
        period_end = membership.period_end + PERIOD
        self.store.save_membership(
            replace(
                membership,
                status=status,
                period_start=membership.period_end,
                period_end=period_end,
                updated_at=at,
            )
        )
        if membership.cancel_at_period_end:
            self.store.schedule(Due("period_ends", membership.id, period_end))

    def decline(self, payment: Payment, code: str, by: By, at: datetime) -> Payment:
        membership = self.store.membership(payment.membership_id)
        if membership.status == "active":
            self.store.save_membership(replace(membership, status="past_due", updated_at=at))
        payment = replace(
            payment,
            status="open",
            substatus="past_due",
            decline_code=code,
            failure_message=failure_message(code),
            payments_failed=payment.payments_failed + 1,
            settles_at=None,
            updated_at=at,
            next_attempt_at=self.find_next_attempt(payment, by, at),
        )
        self.store.save_payment(payment)
        self.plan_attempt(payment)
        first = payment.payments_failed == 1
        if first or self.switches.failed_webhook_for == "every_attempt":
            self.announcer.payment("payment.failed", payment, at)
        if code in NEEDS_AUTHENTICATION:
            self.announcer.payment("payment.requires_action", payment, at)
        return payment

    def plan_attempt(self, payment: Payment) -> None:
        if payment.next_attempt_at:
            self.store.schedule(Due("whop_attempt", payment.id, payment.next_attempt_at))

    def find_next_attempt(self, payment: Payment, by: By, at: datetime) -> datetime | None:
        """When Whop tries again by itself. None: never."""
        if by in OURS and self.switches.retry_moves_next_attempt and payment.next_attempt_at:
            return at + MOVED_BY
        offsets = map(_hours, self.switches.whop_attempts_after_hours)
        return next((to for offset in offsets if (to := payment.created_at + offset) > at), None)

    def plan_refund(self, payment: Payment, at: datetime) -> None:
        if payment.script or payment.payments_failed == 0:
            return
        if Random(f"{payment.scenario.luck}/refund").random() < REFUNDED_SHARE:
            self.store.schedule(Due("refund", payment.id, at + self.pace.refund_after))


def _hours(hours: float) -> timedelta:
    return timedelta(hours=hours)


def make_charge(payment: Payment, at: datetime, by: By, outcome: str, key: str | None) -> Charge:
    return Charge(
        payment.id,
        at,
        by,
        outcome,
        payment.amount,
        payment.usd_amount,
        payment.currency,
        key,
    )
