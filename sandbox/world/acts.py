"""What happens in the world: scheduled events, and what somebody asks for.

Every method is called inside a transaction of the store, so that a charge and its traces are
written together.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import assert_never

from sandbox.model.assumptions import Assumptions
from sandbox.model.pace import Pace
from sandbox.model.records import PAID, Due, Membership, Payment
from sandbox.model.renewals import (
    HandMade,
    Overrides,
    Renewal,
    draw_leaving,
    draw_member_pays,
    draw_renewal,
    first_decline,
    make_overrides,
    renewing_member,
)
from sandbox.model.rules import COLLECTING, Refusal, refusal
from sandbox.model.switches import Switches
from sandbox.state.store import Missing, Store
from sandbox.wire.mail_events import MailEvents
from sandbox.world.announcing import Announcer
from sandbox.world.backup import Backup
from sandbox.world.charging import Charging
from sandbox.world.disputes import Disputes
from sandbox.world.endings import Endings
from sandbox.world.members import Members
from sandbox.world.purchases import Purchases
from sandbox.world.refunds import Refunds


class Acts:
    def __init__(
        self,
        store: Store,
        charging: Charging,
        announcer: Announcer,
        switches: Switches,
        pace: Pace,
        seed: int,
        assumed: Assumptions,
        mail_events: MailEvents,
    ) -> None:
        self.store = store
        self.charging = charging
        self.switches = switches
        self.pace = pace
        self.seed = seed
        self.assumed = assumed
        self.mail_events = mail_events
        self.members = Members(store, charging, switches, pace, assumed)
        self.backup = Backup(store, charging, announcer, switches)
        self.endings = Endings(store, charging, announcer, switches)
        self.purchases = Purchases(store, charging, announcer)
        self.refunds = Refunds(store, announcer, pace, seed)
        self.disputes = Disputes(store, announcer, seed)

    def perform(self, due: Due) -> None:
        match due.kind:
            case "retry_charges":
                self.charge_in_flight(due)
            case "backup_charges":
                self.backup.charge_in_flight(due)
            case "whop_attempt":
                self.attempt_by_whop(due)
            case "settle":
                self.settle(due)
            case "cancel":
                self.endings.give_up(due.subject, due.at)
            case "period_ends":
                self.endings.period_ends(due.subject, due.at)
            case "member_pays":
                self.members.pay(due.subject, due.at)
            case "refund":
                self.refunds.give(due.subject, due.at)
            case "refund_settles":
                self.refunds.settle(due.subject, due.at)
            case "mail_events":
                self.mail_events.post(due.at)
            case _:
                assert_never(due.kind)

    def fail_renewal(self, account_id: str, wanted: Overrides, at: datetime) -> Payment:
        key = f"{self.seed}/{self.store.next_number('renewal')}"
        random = Random(key)
        code = first_decline(random, wanted, self.assumed)
        membership = self.find_or_draw_membership(random, account_id, key, wanted, at, code)
        payment = draw_renewal(random, membership, key, wanted, at, code, self.assumed)
        payment = replace(payment, script=tuple(wanted.get("script", ())))
        return self.begin_failing(payment, random, wanted, at, code)

    def adopt(self, made: HandMade, at: datetime) -> Payment:
        """Makes a payment real that was told by hand: a renewal with that id has just failed.

        Adopted already: it stays as it is. Raises ValueError if the id is another account's.
        """
        account_id, payment_id = made["account_id"], made["payment_id"]
        with suppress(Missing):
            known = self.store.payment(payment_id)
            if known.account_id != account_id:
                raise ValueError(f"{payment_id} belongs to another account")
            return known
        random, wanted = Random(payment_id), make_overrides(made)
        code = first_decline(random, wanted, self.assumed)
        membership = renewing_member(random, account_id, payment_id, wanted, at, code)
        membership = replace(membership, member_id=made.get("member_id", membership.member_id))
        self.store.save_membership(membership)
        self.charging.cards.save_card(membership, membership.card, membership.created_at)
        payment = draw_renewal(random, membership, payment_id, wanted, at, code, self.assumed)
        payment = replace(payment, id=payment_id, script=tuple(wanted["script"]))
        return self.begin_failing(payment, random, wanted, at, code)

    def begin_failing(
        self, payment: Payment, random: Random, wanted: Overrides, at: datetime, code: str
    ) -> Payment:
        payment = self.charging.charge(payment, "whop", at, outcome=code)
        if (days := self.switches.whop_cancels_after_days) is not None:
            self.store.schedule(Due("cancel", payment.id, at + timedelta(days=days)))
        speed = self.pace.member_speed
        if due := draw_member_pays(random, payment, wanted, at, code, speed, self.assumed):
            self.store.schedule(due)
        if due := draw_leaving(payment, at, speed, self.assumed):
            self.members.leave(due)
        return payment

    def renew(self, account_id: str, wanted: Renewal, at: datetime) -> Payment:
        """A renewal that is paid at once. Its own random numbers leave failing ones unchanged."""
        key = f"{self.seed}/paid/{self.store.next_number('paid renewal')}"
        random = Random(key)
        membership = self.find_or_draw_membership(random, account_id, key, wanted, at, "")
        payment = draw_renewal(random, membership, key, wanted, at, "", self.assumed)
        return self.charging.charge(payment, "whop", at, outcome=PAID)

    def find_or_draw_membership(
        self, random: Random, account_id: str, key: str, wanted: Renewal, at: datetime, code: str
    ) -> Membership:
        """A new membership, or the existing one that is asked for, with its cards saved.

        Raises ValueError if it has ended.
        """
        membership = renewing_member(random, account_id, key, wanted, at, code)
        if membership_id := wanted.get("membership_id"):
            membership = self.store.membership(membership_id)
            if membership.status == "canceled":
                raise ValueError(f"{membership_id} has ended: it does not renew")
        else:
            self.store.save_membership(membership)
            if membership.card.is_card:
                self.charging.cards.save_card(membership, membership.card, membership.created_at)
        self.charging.cards.save_spares(membership, key, wanted, at)
        return membership

    def retry(self, payment_id: str, at: datetime, key: str | None) -> Payment | Refusal:
        """Charges now or, with `retry_answers="async"`, some seconds later."""
        payment = self.store.payment(payment_id)
        membership = self.store.membership(payment.membership_id)
        if refused := refusal(payment, membership, self.switches):
            return refused
        if self.switches.retry_answers == "sync":
            return self.members.maybe_leave(self.charging.charge(payment, "retry", at, key=key), at)
        charges_at = at + timedelta(seconds=self.switches.async_seconds)
        self.store.schedule(Due("retry_charges", payment.id, charges_at, key or ""))
        # The answer shows the payment unchanged, because it has not been charged yet.
        self.store.save_payment(replace(payment, in_flight=True))
        return payment

    def attempt_by_whop(self, due: Due) -> None:
        payment = self.store.payment(due.subject)
        if payment.status != "open" or payment.in_flight:
            return
        membership = self.store.membership(payment.membership_id)
        if membership.status in COLLECTING and membership.paused_at is None:
            self.members.maybe_leave(self.charging.charge(payment, "whop", due.at), due.at)
        else:
            self.charging.pass_over(payment, due.at)

    def charge_in_flight(self, due: Due) -> None:
        payment = self.store.payment(due.subject)
        payment = self.charging.charge(payment, "retry", due.at, key=due.detail or None)
        self.members.maybe_leave(payment, due.at)

    def settle(self, due: Due) -> None:
        payment = self.store.payment(due.subject)
        self.charging.ledger.settle(payment.id, due.detail)
        self.charging.conclude(payment, due.detail, "whop", due.at)
