"""How memberships end, and how payments are closed unpaid."""

from dataclasses import replace
from datetime import datetime, timedelta

from sandbox.model.records import PENDING, Due, Membership, Payment
from sandbox.model.switches import Switches
from sandbox.state.store import Store
from sandbox.world.announcing import Announcer
from sandbox.world.charging import Charging

SUBSTATUS = {"uncollectible": "uncollectible", "void": "canceled"}


class Endings:
    def __init__(
        self, store: Store, charging: Charging, announcer: Announcer, switches: Switches
    ) -> None:
        self.store = store
        self.charging = charging
        self.announcer = announcer
        self.switches = switches

    def give_up(self, payment_id: str, at: datetime) -> None:
        """Whop gives up on the payment. A membership that is active again meanwhile stays."""
        if self.find_membership(payment_id).status != "active":
            self.cancel_membership(payment_id, at)

    def cancel_membership(self, payment_id: str, at: datetime) -> None:
        """Ends the membership. Its unpaid payments can no longer be collected by retries."""
        membership = self.find_membership(payment_id)
        if membership.status == "canceled":
            return
        unpaid = self.store.payments_of(membership.id, "open", PENDING)
        if any(payment.in_flight or payment.status == PENDING for payment in unpaid):
            # A charge is under way, so it cannot end yet: try again when the outcome is known.
            in_flight = any(payment.in_flight for payment in unpaid)
            wait = timedelta(minutes=1) if in_flight else timedelta(days=1)
            self.store.schedule(Due("cancel", payment_id, at + wait))
            return
        self.end(membership, unpaid, at)

    def cancel_at_period_end(self, payment_id: str, at: datetime) -> None:
        """The member asks not to renew again. Unpaid payments stay open and may still be paid."""
        membership = self.find_membership(payment_id)
        if membership.status == "canceled" or membership.cancel_at_period_end:
            return
        stops = self.switches.cancel_request_stops_retries
        membership = replace(
            membership,
            status="canceling" if stops else membership.status,
            cancel_at_period_end=True,
            canceled_at=at,
        )
        self.announce_change(membership, at)
        if membership.period_end > at:
            self.store.schedule(Due("period_ends", membership.id, membership.period_end))

    def uncancel(self, payment_id: str, at: datetime) -> None:
        """The member wants to renew after all."""
        membership = self.find_membership(payment_id)
        if membership.status == "canceled" or not membership.cancel_at_period_end:
            return
        status = membership.status
        if status == "canceling":
            status = "past_due" if self.store.payments_of(membership.id, "open") else "active"
        membership = replace(
            membership, status=status, cancel_at_period_end=False, canceled_at=None
        )
        self.store.forget_due("period_ends", membership.id)
        self.announce_change(membership, at)

    def period_ends(self, membership_id: str, at: datetime) -> None:
        """A membership with unpaid payments does not end here but when Whop gives up."""
        membership = self.store.membership(membership_id)
        unpaid = self.store.payments_of(membership_id, "open", PENDING)
        if membership.status != "canceled" and not unpaid:
            self.end(membership, unpaid, at)

    def void(self, payment_id: str, at: datetime) -> None:
        self.close(self.find_open(payment_id), "void", at)

    def mark_uncollectible(self, payment_id: str, at: datetime) -> None:
        self.close(self.find_open(payment_id), "uncollectible", at)

    def pause(self, payment_id: str, at: datetime) -> None:
        """The creator pauses the membership's payments: nobody is charged until they go on."""
        membership = self.find_membership(payment_id)
        if membership.status != "canceled" and membership.paused_at is None:
            self.announce_update(replace(membership, paused_at=at), at)

    def resume(self, payment_id: str, at: datetime) -> None:
        membership = self.find_membership(payment_id)
        if membership.paused_at is not None:
            self.announce_update(replace(membership, paused_at=None), at)

    def end(self, membership: Membership, unpaid: list[Payment], at: datetime) -> None:
        asked_at = membership.canceled_at or at
        membership = replace(membership, status="canceled", canceled_at=asked_at, updated_at=at)
        self.store.save_membership(membership)
        for payment in unpaid:
            self.close(payment, self.switches.lapsed_payment, at)
        self.announcer.membership("membership.deactivated", membership, at)

    def close(self, payment: Payment, status: str, at: datetime) -> None:
        """Whop is not known to send a webhook for a payment that becomes uncollectible."""
        self.charging.stop_trying(payment)
        payment = replace(
            payment,
            status=status,
            substatus=SUBSTATUS.get(status, "past_due"),
            next_attempt_at=None,
            updated_at=at,
        )
        self.store.save_payment(payment)
        if status == "void":
            self.announcer.payment("payment.canceled", payment, at)

    def announce_change(self, membership: Membership, at: datetime) -> None:
        membership = replace(membership, updated_at=at)
        self.announcer.membership("membership.cancel_at_period_end_changed", membership, at)
        self.announce_update(membership, at)

    def announce_update(self, membership: Membership, at: datetime) -> None:
        membership = replace(membership, updated_at=at)
        self.store.save_membership(membership)
        self.announcer.membership("membership.updated", membership, at)

    def find_membership(self, payment_id: str) -> Membership:
        return self.store.membership(self.store.payment(payment_id).membership_id)

    def find_open(self, payment_id: str) -> Payment:
        payment = self.store.payment(payment_id)
        if payment.status != "open" or payment.in_flight:
            standing = "being charged" if payment.in_flight else payment.status
            raise ValueError(f"only an open payment can be closed; {payment_id} is {standing}")
        return payment
