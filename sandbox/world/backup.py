"""Switches a membership to another saved card, which charges its unpaid payment at once."""

from dataclasses import replace
from datetime import datetime, timedelta

from sandbox.model import bank
from sandbox.model.records import Due, Membership, Payment, SavedCard
from sandbox.model.rules import COLLECTING
from sandbox.model.switches import Switches
from sandbox.state.store import Store
from sandbox.world.announcing import Announcer
from sandbox.world.charging import Charging


class Backup:
    def __init__(
        self, store: Store, charging: Charging, announcer: Announcer, switches: Switches
    ) -> None:
        self.store = store
        self.charging = charging
        self.announcer = announcer
        self.switches = switches

    def set_card(self, membership: Membership, saved: SavedCard, at: datetime) -> Membership:
        """Charges now or, with `card_update_answers="async"`, some seconds later."""
        membership = replace(membership, card=saved.card, updated_at=at)
        self.store.save_membership(membership)
        self.announcer.membership("membership.updated", membership, at)
        for payment in self.list_unpaid(membership):
            if self.switches.card_update_answers == "sync":
                self.charge(payment, saved, at)
                continue
            charges_at = at + timedelta(seconds=self.switches.async_seconds)
            self.store.schedule(Due("backup_charges", payment.id, charges_at, saved.card.method_id))
            self.store.save_payment(replace(payment, in_flight=True))
        return self.store.membership(membership.id)

    def charge_in_flight(self, due: Due) -> None:
        saved = self.charging.cards.find(due.detail)
        assert saved, "a card is never forgotten"
        self.charge(self.store.payment(due.subject), saved, due.at)

    def list_unpaid(self, membership: Membership) -> list[Payment]:
        """The payments that the new card pays. Whop charges one but does not say which."""
        if membership.status not in COLLECTING:
            return []
        unpaid = self.store.payments_of(membership.id, "open")
        unpaid = [payment for payment in unpaid if not payment.in_flight]
        match self.switches.card_update_charges:
            case "oldest":
                return unpaid[:1]
            case "newest":
                return unpaid[-1:]
            case "every":
                return unpaid

    def charge(self, payment: Payment, saved: SavedCard, at: datetime) -> None:
        before = payment
        if saved.created_at > payment.created_at:
            # The card was saved after this failure, so its bank knows nothing of it.
            payment = replace(payment, scenario=bank.new_card(payment.scenario, saved.created_at))
        payment = replace(payment, card=saved.card)
        if self.switches.retry_rearmed_by_card_change:
            payment = replace(payment, retries=0)
        payment = self.charging.charge(payment, "backup", at)
        if payment.status == "open" and not self.switches.retry_uses_new_card:
            self.store.save_payment(replace(payment, card=before.card, scenario=before.scenario))
