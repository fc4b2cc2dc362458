"""What members do: pay, save another card, react to a message, cancel."""

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from sandbox.model import bank
from sandbox.model.assumptions import Assumptions
from sandbox.model.pace import Pace
from sandbox.model.people import draw_card
from sandbox.model.population import MONEY, cause_of
from sandbox.model.records import PAID, Due, Payment
from sandbox.model.renewals import draw_delay, draw_losing_patience
from sandbox.model.switches import Switches
from sandbox.state.store import Store
from sandbox.world.charging import Charging

# Years, as banks mostly do.
RENEWED_FOR = 4


class Members:
    def __init__(
        self,
        store: Store,
        charging: Charging,
        switches: Switches,
        pace: Pace,
        assumed: Assumptions,
    ) -> None:
        self.store = store
        self.charging = charging
        self.switches = switches
        self.pace = pace
        self.assumed = assumed

    def pay(self, payment_id: str, at: datetime) -> bool:
        """The member pays, with a new card unless money was missing. False: it is not open."""
        payment = self.store.payment(payment_id)
        if payment.status != "open" or payment.in_flight:
            return False
        if cause_of(payment.decline_code or "") != MONEY:
            payment = self.with_new_card(payment, at)
        self.charging.charge(payment, "member", at, outcome=PAID)
        return True

    def change_card(self, payment_id: str, at: datetime) -> None:
        """The member saves a new card. It charges the open payment at once or on the next retry."""
        payment = self.store.payment(payment_id)
        if self.switches.card_change_charges and self.pay(payment_id, at):
            return
        changed = self.with_new_card(payment, at)
        if payment.status != "open":
            return
        if self.switches.retry_uses_new_card:
            payment = changed
        if self.switches.retry_rearmed_by_card_change:
            payment = replace(payment, retries=0)
        self.store.save_payment(replace(payment, updated_at=at))

    def renew_card(self, payment_id: str, at: datetime) -> None:
        """The bank sends the card on file anew: the same card, under the same id, with a later
        date. Other ways to pay have none."""
        payment = self.store.payment(payment_id)
        membership = self.store.membership(payment.membership_id)
        if not membership.card.is_card:
            return
        card = replace(membership.card, exp_year=membership.card.exp_year + RENEWED_FOR)
        self.store.save_membership(replace(membership, card=card, updated_at=at))
        self.charging.cards.renew(card)
        if payment.card.method_id == card.method_id:
            self.store.save_payment(replace(payment, card=card, updated_at=at))

    def mail_arrives(self, payment_id: str, at: datetime) -> datetime | None:
        """A message about a payment makes some members pay. Returns when; None: it does not."""
        payment = self.store.payment(payment_id)
        number = self.store.next_number(f"mail/{payment_id}")
        random = Random(f"{payment.scenario.luck}/mail/{number}")
        assumed = self.assumed
        helps = assumed.odds_of(payment.decline_code or "").member_pays * assumed.mail_helps
        helps *= assumed.mail_fades ** (number - 1)
        if payment.script or payment.status != "open" or random.random() >= helps:
            return None
        hours = draw_delay(random, assumed.mail_hours) / self.pace.member_speed
        pays_at = at + timedelta(hours=hours)
        planned = self.store.planned("member_pays", payment_id)
        if planned is None or pays_at < planned:
            self.store.schedule(Due("member_pays", payment_id, pays_at))
        return pays_at

    def maybe_leave(self, payment: Payment, at: datetime) -> Payment:
        speed, failures = self.pace.member_speed, payment.payments_failed
        due = draw_losing_patience(payment, failures, at, speed, self.assumed)
        if due is not None and payment.status == "open":
            self.leave(due)
        return payment

    def leave(self, due: Due) -> None:
        planned = self.store.planned(due.kind, due.subject)
        if planned is None or due.at < planned:
            self.store.schedule(due)

    def with_new_card(self, payment: Payment, at: datetime) -> Payment:
        membership = self.store.membership(payment.membership_id)
        key = f"{payment.id}/{at.isoformat()}"
        card = draw_card(Random(key), key, at)
        self.store.save_membership(replace(membership, card=card, updated_at=at))
        self.charging.cards.save_card(membership, card, at)
        return replace(payment, card=card, scenario=bank.new_card(payment.scenario, at))
