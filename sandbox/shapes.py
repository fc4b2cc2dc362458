"""Chooses the shape an answer or a webhook is given, and gathers what that shape shows."""

from typing import Any, Literal

from sandbox import current, legacy
from sandbox.listing import Page, find
from sandbox.records import Company, Membership, Payment, Refund
from sandbox.rules import retryable
from sandbox.store import REFUND, Store
from sandbox.switches import Switches

Shape = Literal["current", "legacy"]


class Shapes:
    def __init__(self, store: Store, switches: Switches, company: Company) -> None:
        self._store = store
        self._switches = switches
        self._company = company

    def company(self, account_id: str) -> Company:
        if account_id == self._company.id:
            return self._company
        route = account_id.removeprefix("biz_").lower()
        return Company(account_id, route.title(), route)

    def payment(self, payment: Payment, shape: Shape, *, in_list: bool = False) -> dict[str, Any]:
        membership = self._store.membership(payment.membership_id)
        can_retry = retryable(payment, membership, self._switches)
        if shape == "current":
            return current.payment(payment, membership, retryable=can_retry, in_list=in_list)
        page = Page("refunds", {"payment_id": [payment.id]})
        refunds = [REFUND.validate_json(text) for _, _, text in find(self._store, page)]
        return legacy.payment(
            payment,
            membership,
            self.company(payment.account_id),
            refunds,
            retryable=can_retry,
            in_list=in_list,
        )

    def membership(self, membership: Membership, shape: Shape) -> dict[str, Any]:
        company = self.company(membership.account_id)
        if shape == "current":
            return current.membership(membership, company)
        return legacy.membership(membership, company)

    def refund(self, refund: Refund, shape: Shape) -> dict[str, Any]:
        if shape == "current":
            return current.refund(refund)
        payment = self._store.payment(refund.payment_id)
        return legacy.refund(refund, self.payment(payment, shape))
