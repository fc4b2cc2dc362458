"""Disputes (chargebacks), and the alerts that may come before them."""

from dataclasses import replace
from datetime import datetime

from sandbox.model.people import identifier
from sandbox.model.records import PAID, Dispute, DisputeAlert, Payment
from sandbox.model.times import sortable
from sandbox.state.store import DISPUTE, Store
from sandbox.world.announcing import Announcer


class Disputes:
    def __init__(self, store: Store, announcer: Announcer, seed: int) -> None:
        self.store = store
        self.announcer = announcer
        self.seed = seed

    def open(self, payment_id: str, at: datetime) -> Dispute:
        """Raises ValueError if the payment is not paid or is already disputed."""
        payment = self.find_paid(payment_id)
        if self.store.row("select 1 from disputes where payment_id = ?", payment_id):
            raise ValueError(f"{payment_id} is disputed already")
        dispute = Dispute(
            id=identifier("dspt", self.seed, self.store.next_number("dispute")),
            account_id=payment.account_id,
            payment_id=payment.id,
            amount=payment.amount,
            currency=payment.currency,
            status="needs_response",
            created_at=at,
            updated_at=at,
        )
        self.store.save(
            "disputes",
            dispute.id,
            DISPUTE.dump_json(dispute),
            account_id=dispute.account_id,
            payment_id=dispute.payment_id,
            created_at=sortable(at),
        )
        self.store.save_payment(replace(payment, substatus="dispute_needs_response", updated_at=at))
        self.announcer.dispute("dispute.created", dispute, at)
        return dispute

    def alert(self, payment_id: str, at: datetime) -> DisputeAlert:
        """Raises ValueError if the payment is not paid."""
        payment = self.find_paid(payment_id)
        alert = DisputeAlert(
            id=identifier("dspa", self.seed, self.store.next_number("dispute_alert")),
            account_id=payment.account_id,
            payment_id=payment.id,
            amount=payment.amount,
            currency=payment.currency,
            created_at=at,
        )
        disputed = payment.substatus == "dispute_needs_response"
        substatus = payment.substatus if disputed else "dispute_warning"
        self.store.save_payment(
            replace(payment, substatus=substatus, dispute_alerted_at=at, updated_at=at)
        )
        self.announcer.dispute_alert("dispute_alert.created", alert, at)
        return alert

    def find_paid(self, payment_id: str) -> Payment:
        payment = self.store.payment(payment_id)
        if payment.status != PAID:
            raise ValueError(f"only a paid payment can be disputed; {payment_id} is not")
        return payment
