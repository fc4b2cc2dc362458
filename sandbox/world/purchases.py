"""Members who buy once more what they have."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sandbox.model.people import identifier
from sandbox.model.records import PAID
from sandbox.state.store import Store
from sandbox.world.announcing import Announcer
from sandbox.world.charging import Charging


class Purchases:
    def __init__(self, store: Store, charging: Charging, announcer: Announcer) -> None:
        self.store, self.charging, self.announcer = store, charging, announcer

    def buy_again(self, payment_id: str, at: datetime) -> None:
        """The member of a payment buys its product anew: another membership, paid at once."""
        owed = self.store.payment(payment_id)
        known = self.store.membership(owed.membership_id)
        key = f"{owed.id}/{self.store.next_number('purchase')}"
        bought = replace(
            known,
            id=identifier("mem", key),
            status="active",
            created_at=at,
            updated_at=at,
            period_start=at,
            period_end=at,
            canceled_at=None,
            cancel_at_period_end=False,
            paused_at=None,
        )
        self.store.save_membership(bought)
        payment = replace(
            owed,
            id=identifier("pay", key),
            membership_id=bought.id,
            billing_reason="subscription_create",
            status="open",
            substatus="incomplete",
            created_at=at,
            script=(PAID,),
            charges=0,
            retries=0,
            payments_failed=0,
            decline_code=None,
            failure_message=None,
            paid_at=None,
            next_attempt_at=None,
            in_flight=False,
            settles_at=None,
            refund_asked=Decimal(0),
            refunded_amount=Decimal(0),
            refunded_at=None,
            dispute_alerted_at=None,
        )
        self.charging.charge(payment, "member", at, outcome=PAID)
        bought = self.store.membership(bought.id)
        self.announcer.membership("membership.activated", bought, at)
