"""The simulated world: renewals fail, Whop tries again, members act, memberships end.

Everything that happens by itself is a row in `due`. Rows are performed in order of time, each at
its own time. The world never reads the machine's clock: its owner passes in the time.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Unpack

from sandbox.model.assumptions import Assumptions
from sandbox.model.levels import MIDDLE
from sandbox.model.pace import HISTORY, Pace
from sandbox.model.records import Company, Membership, Payment, SavedCard
from sandbox.model.renewals import HandMade, Overrides, Renewal
from sandbox.model.rules import Refusal
from sandbox.model.switches import Faults, Switches
from sandbox.model.times import utc
from sandbox.state.ledger import Ledger
from sandbox.state.store import Store
from sandbox.wire.mail_events import MailEvents
from sandbox.wire.mail_signing import SENDGRID_KEY, Signer
from sandbox.wire.shapes import Shapes
from sandbox.wire.webhooks import MAIL_EVENTS, Deliver, Outbox, PendingDelivery, signed
from sandbox.world.acts import Acts
from sandbox.world.announcing import Announcer
from sandbox.world.cards import Cards
from sandbox.world.charging import Charging


class World:
    def __init__(
        self,
        store: Store | None = None,
        *,
        company: Company | None = None,
        switches: Switches | None = None,
        faults: Faults | None = None,
        pace: Pace = HISTORY,
        assumed: Assumptions = MIDDLE,
        seed: int = 7,
        webhook_secret: str = "ws_sandbox_secret",
        deliver: Deliver | None = None,
        deliver_mail_events: Deliver | None = None,
        mail_signer: Signer | None = None,
        sent_at: Callable[[datetime], datetime] = utc,
    ) -> None:
        """`sent_at` turns the time a webhook is due into its timestamp.

        Without `deliver_mail_events`, emails always arrive and have no events.
        """
        self.store = store or Store()
        self.company = company or Company()
        self.switches = switches or Switches()
        self.faults = faults or Faults()
        self.pace = pace
        self.seed = self.store.number("seed", seed)
        self.webhook_secret = webhook_secret
        self.deliver = deliver
        self.deliver_mail_events = deliver_mail_events
        self.mail_signer = mail_signer or Signer(SENDGRID_KEY)
        self.assumed = assumed
        self.shapes = Shapes(self.store, self.switches, self.company)
        self.outbox = Outbox(self.store, self.faults, self.seed)
        self.sent_at = sent_at
        announcer = Announcer(self.shapes, self.outbox, self.switches)
        charging = Charging(self.store, announcer, self.switches, pace)
        self.cards: Cards = charging.cards
        self.ledger: Ledger = charging.ledger
        self.mail_events = MailEvents(self.store, self.outbox, self.seed)
        self.acts = Acts(
            self.store,
            charging,
            announcer,
            self.switches,
            pace,
            self.seed,
            assumed,
            self.mail_events,
        )

    def fail_renewal(self, now: datetime, **wanted: Unpack[Overrides]) -> str:
        """Charges a renewal, which is declined. Returns the payment's id."""
        account_id = wanted.get("account_id", self.company.id)
        with self.store.transaction():
            payment = self.acts.fail_renewal(account_id, wanted, utc(now))
        self.deliver_due(now)
        return payment.id

    def adopt(self, made: HandMade, now: datetime) -> None:
        """A payment that somebody told the receiver by hand is one of this world from now on."""
        with self.store.transaction():
            self.acts.adopt(made, utc(now))
        self.deliver_due(now)

    def renew(self, now: datetime, **wanted: Unpack[Renewal]) -> str:
        """Charges a renewal, which is paid. Returns the payment's id."""
        account_id = wanted.get("account_id", self.company.id)
        with self.store.transaction():
            payment = self.acts.renew(account_id, wanted, utc(now))
        self.deliver_due(now)
        return payment.id

    def retry(self, payment_id: str, now: datetime, key: str | None = None) -> Payment | Refusal:
        """The API's retry. Its webhooks are sent by the next `deliver_due`."""
        with self.store.transaction():
            return self.acts.retry(payment_id, utc(now), key)

    def set_card(self, membership_id: str, card: SavedCard, now: datetime) -> Membership:
        """The API's update of a membership. As with `retry`, webhooks are sent later."""
        with self.store.transaction():
            membership = self.store.membership(membership_id)
            return self.acts.backup.set_card(membership, card, utc(now))

    def member_pays(self, payment_id: str, now: datetime) -> bool:
        with self.store.transaction():
            paid = self.acts.members.pay(payment_id, utc(now))
        self.deliver_due(now)
        return paid

    def change_card(self, payment_id: str, now: datetime) -> None:
        self.perform(self.acts.members.change_card, payment_id, now)

    def renew_card(self, payment_id: str, now: datetime) -> None:
        self.perform(self.acts.members.renew_card, payment_id, now)

    def cancel_membership(self, payment_id: str, now: datetime) -> None:
        self.perform(self.acts.endings.cancel_membership, payment_id, now)

    def cancel_at_period_end(self, payment_id: str, now: datetime) -> None:
        self.perform(self.acts.endings.cancel_at_period_end, payment_id, now)

    def uncancel(self, payment_id: str, now: datetime) -> None:
        self.perform(self.acts.endings.uncancel, payment_id, now)

    def void(self, payment_id: str, now: datetime) -> None:
        self.perform(self.acts.endings.void, payment_id, now)

    def mark_uncollectible(self, payment_id: str, now: datetime) -> None:
        self.perform(self.acts.endings.mark_uncollectible, payment_id, now)

    def dispute(self, payment_id: str, now: datetime) -> None:
        self.perform(self.acts.disputes.open, payment_id, now)

    def dispute_alert(self, payment_id: str, now: datetime) -> None:
        self.perform(self.acts.disputes.alert, payment_id, now)

    def inquiry(self, payment_id: str, now: datetime) -> None:
        self.perform(self.acts.disputes.inquire, payment_id, now)

    def rule_on_dispute(self, status: str, payment_id: str, now: datetime) -> None:
        """`status`: one of Whop's for disputes and inquiries."""

        def rule(payment_id: str, at: datetime) -> None:
            self.acts.disputes.rule(payment_id, status, at)

        self.perform(rule, payment_id, now)

    def pause(self, payment_id: str, now: datetime) -> None:
        self.perform(self.acts.endings.pause, payment_id, now)

    def resume(self, payment_id: str, now: datetime) -> None:
        self.perform(self.acts.endings.resume, payment_id, now)

    def buy_again(self, payment_id: str, now: datetime) -> None:
        self.perform(self.acts.purchases.buy_again, payment_id, now)

    def refund(self, payment_id: str, now: datetime, amount: Decimal | None = None) -> None:
        with self.store.transaction():
            self.acts.refunds.give(payment_id, utc(now), amount)
        self.deliver_due(now)

    def mail_arrives(self, payment_id: str, now: datetime) -> datetime | None:
        with self.store.transaction():
            return self.acts.members.mail_arrives(payment_id, utc(now))

    def advance(self, now: datetime) -> None:
        """Performs everything due up to `now`, webhooks included, each at its own time."""
        now = utc(now)
        while self.step(now, deliver_only=False):
            pass

    def deliver_due(self, now: datetime) -> None:
        now = utc(now)
        while self.step(now, deliver_only=True):
            pass

    def next_due(self) -> datetime | None:
        due = self.store.first_due()
        delivery = self.outbox.first() if self.deliver else None
        return min(
            (at for at in (due and due.at, delivery and delivery.due_at) if at), default=None
        )

    def perform(
        self, act: Callable[[str, datetime], object], payment_id: str, now: datetime
    ) -> None:
        with self.store.transaction():
            act(payment_id, utc(now))
        self.deliver_due(now)

    def step(self, now: datetime, *, deliver_only: bool) -> bool:
        """Performs the earliest event that is due. False: none is left."""
        with self.store.transaction():
            due = None if deliver_only else self.store.first_due()
            delivery = self.outbox.first() if self.deliver else None
            if due and due.at <= now and not (delivery and delivery.due_at < due.at):
                self.store.forget_due(due.kind, due.subject)
                self.acts.perform(due)
                return True
            if delivery is None or delivery.due_at > now:
                return False
            sent_at = self.sent_at(delivery.due_at)
            self.outbox.claim(delivery, sent_at)
        self.send(delivery, sent_at)
        return True

    def send(self, delivery: PendingDelivery, sent_at: datetime) -> None:
        """Sent outside the transaction, so that a slow receiver does not stop the world."""
        if delivery.type == MAIL_EVENTS:
            deliver, headers = (
                self.deliver_mail_events,
                self.mail_signer.sign(delivery.body, sent_at),
            )
        else:
            deliver = self.deliver
            headers = signed(self.webhook_secret, delivery.webhook_id, delivery.body, sent_at)
        if deliver and 200 <= deliver(headers, delivery.body) < 300:
            self.outbox.accepted(delivery)
