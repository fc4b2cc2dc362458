"""Refunds: requested, then settled some time later."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from random import Random

from sandbox.model.pace import Pace
from sandbox.model.people import identifier
from sandbox.model.population import PARTLY_REFUNDED_SHARE
from sandbox.model.records import PAID, Due, Refund
from sandbox.state.store import Store
from sandbox.world.announcing import Announcer


class Refunds:
    def __init__(self, store: Store, announcer: Announcer, pace: Pace, seed: int) -> None:
        self.store = store
        self.announcer = announcer
        self.pace = pace
        self.seed = seed

    def give(self, payment_id: str, at: datetime, amount: Decimal | None = None) -> Refund | None:
        """Refunds `amount`; by default all or, for some payments, half. None: nothing is left."""
        payment = self.store.payment(payment_id)
        left = payment.amount - payment.refund_asked
        if payment.status != PAID or left <= 0:
            return None
        if amount is None:
            partly = Random(f"{payment.scenario.luck}/part").random() < PARTLY_REFUNDED_SHARE
            amount = (left / 2).quantize(Decimal("0.01")) if partly else left
        refund = Refund(
            id=identifier("rf", self.seed, self.store.next_number("refund")),
            account_id=payment.account_id,
            payment_id=payment.id,
            amount=min(amount, left),
            currency=payment.currency,
            status="pending",
            created_at=at,
            updated_at=at,
        )
        self.store.save_refund(refund)
        asked = payment.refund_asked + refund.amount
        self.store.save_payment(replace(payment, refund_asked=asked))
        self.store.schedule(Due("refund_settles", refund.id, at + self.pace.refund_settles))
        self.announcer.refund("refund.created", refund, at)
        return refund

    def settle(self, refund_id: str, at: datetime) -> None:
        refund = replace(self.store.refund(refund_id), status="succeeded", updated_at=at)
        self.store.save_refund(refund)
        payment = self.store.payment(refund.payment_id)
        refunded = payment.refunded_amount + refund.amount
        whole = refunded >= payment.amount
        payment = replace(
            payment,
            refunded_amount=refunded,
            refunded_at=at,
            substatus="refunded" if whole else "partially_refunded",
            updated_at=at,
        )
        self.store.save_payment(payment)
        self.announcer.refund("refund.updated", refund, at)
