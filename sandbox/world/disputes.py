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
        """An inquiry about it becomes this dispute. Raises ValueError if the payment is not paid or
        is already disputed."""
        payment = self.find_paid(payment_id)
        known = self.find(payment_id)
        if known is not None and not known.status.startswith("warning_"):
            raise ValueError(f"{payment_id} is disputed already")
        return self.announce(known or self.draw(payment, at), "needs_response", at)

    def inquire(self, payment_id: str, at: datetime) -> Dispute:
        """The bank asks, and no money moves. Raises ValueError as `open` does."""
        payment = self.find_paid(payment_id)
        if self.find(payment_id) is not None:
            raise ValueError(f"{payment_id} is disputed already")
        return self.announce(self.draw(payment, at), "warning_needs_response", at)

    def rule(self, payment_id: str, status: str, at: datetime) -> Dispute:
        """The dispute goes on or ends. Raises ValueError if there is none."""
        known = self.find(payment_id)
        if known is None:
            raise ValueError(f"{payment_id} is not disputed")
        return self.announce(known, status, at)

    def draw(self, payment: Payment, at: datetime) -> Dispute:
        return Dispute(
            id=identifier("dspt", self.seed, self.store.next_number("dispute")),
            account_id=payment.account_id,
            payment_id=payment.id,
            amount=payment.amount,
            currency=payment.currency,
            status="",
            created_at=at,
            updated_at=at,
        )

    def announce(self, dispute: Dispute, status: str, at: datetime) -> Dispute:
        event = "dispute.updated" if dispute.status else "dispute.created"
        dispute = replace(dispute, status=status, updated_at=at)
        self.store.save(
            "disputes",
            dispute.id,
            DISPUTE.dump_json(dispute),
            account_id=dispute.account_id,
            payment_id=dispute.payment_id,
            created_at=sortable(dispute.created_at),
        )
        payment = self.store.payment(dispute.payment_id)
        substatus = f"dispute_{status}"
        self.store.save_payment(replace(payment, substatus=substatus, updated_at=at))
        self.announcer.dispute(event, dispute, at)
        return dispute

    def find(self, payment_id: str) -> Dispute | None:
        found = self.store.row("select document from disputes where payment_id = ?", payment_id)
        return DISPUTE.validate_json(found[0]) if found else None

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
        disputed = self.find(payment_id) is not None
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
