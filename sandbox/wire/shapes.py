"""Writes objects in the chosen API version's shape, with all the records that it needs."""

from typing import Any, Literal

from sandbox.model.records import Company, Dispute, DisputeAlert, Membership, Payment, Refund
from sandbox.model.rules import retryable
from sandbox.model.switches import Switches
from sandbox.state.store import DISPUTE, REFUND, Store
from sandbox.wire import current, dispute_shapes, legacy
from sandbox.wire.membership_shapes import current_membership
from sandbox.wire.pagination import Page, find

Shape = Literal["current", "legacy"]


class Shapes:
    def __init__(self, store: Store, switches: Switches, company: Company) -> None:
        self.store = store
        self.switches = switches
        self.own_company = company

    def company(self, account_id: str) -> Company:
        if account_id == self.own_company.id:
            return self.own_company
        route = account_id.removeprefix("biz_").lower()
        return Company(account_id, route.title(), route)

    def payment(self, payment: Payment, shape: Shape, *, in_list: bool = False) -> dict[str, Any]:
        membership = self.store.membership(payment.membership_id)
        can_retry = retryable(payment, membership, self.switches)
        if shape == "current":
            return current.payment(payment, membership, retryable=can_retry, in_list=in_list)
        refunds = [REFUND.validate_json(text) for text in self.list_documents("refunds", payment)]
        return legacy.payment(
            payment,
            membership,
            self.company(payment.account_id),
            refunds,
            self.list_disputes(payment),
            retryable=can_retry,
            in_list=in_list,
        )

    def membership(self, membership: Membership, shape: Shape) -> dict[str, Any]:
        company = self.company(membership.account_id)
        if shape == "current":
            shows_pause = self.switches.pause_shown == "action"
            return current_membership(membership, company, shows_pause=shows_pause)
        return legacy.membership(membership, company)

    def refund(self, refund: Refund, shape: Shape) -> dict[str, Any]:
        if shape == "current":
            return current.refund(refund)
        payment = self.store.payment(refund.payment_id)
        return legacy.refund(refund, self.payment(payment, shape))

    def dispute(self, dispute: Dispute, shape: Shape) -> dict[str, Any]:
        payment = self.store.payment(dispute.payment_id)
        membership = self.store.membership(payment.membership_id)
        shown = self.payment(payment, shape)
        if shape == "current":
            return dispute_shapes.current_dispute(dispute, payment, shown, membership)
        company = self.company(dispute.account_id)
        return dispute_shapes.legacy_dispute(dispute, shown, membership, company)

    def dispute_alert(self, alert: DisputeAlert, shape: Shape) -> dict[str, Any]:
        payment = self.store.payment(alert.payment_id)
        if shape == "current":
            membership = self.store.membership(payment.membership_id)
            return dispute_shapes.current_alert(alert, payment, membership)
        return dispute_shapes.legacy_alert(alert, payment, self.payment(payment, shape))

    def list_disputes(self, payment: Payment) -> list[dict[str, Any]] | None:
        """None: the permission to read them is missing."""
        if "payment:dispute:read" in self.switches.denied_permissions:
            return None
        disputes = [
            DISPUTE.validate_json(text) for text in self.list_documents("disputes", payment)
        ]
        return [dispute_shapes.inlined_dispute(dispute) for dispute in disputes]

    def list_documents(self, table: str, payment: Payment) -> list[str]:
        """A payment's documents, at most as many as Whop puts inside a payment."""
        page = Page(table, {"payment_id": [payment.id]})
        return [document for _, _, document in find(self.store, page)[: page.size]]
