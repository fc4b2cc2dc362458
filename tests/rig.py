"""A receiver, a daemon and a simulated Whop in one process, on one clock that tests set."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from db.models import Attempt, Message, Payment
from db.session import SessionFactory
from recovery.retrying.context import RetryRules
from recovery.status import OUR_TRIGGERS
from sandbox.demo.in_process import InProcessStack
from sandbox.demo.live import Settings
from tests.factories import COMPANY, NOW, SECRET


class Rig(InProcessStack):
    """`fail` makes a renewal fail and its webhook arrive; `pass_time` runs the daemon's hours."""

    def __init__(
        self, sessions: SessionFactory, folder: Path, seed: int = 1, rules: RetryRules | None = None
    ) -> None:
        settings = Settings(
            file=folder / "sandbox.sqlite", company_id=COMPANY, webhook_secret=SECRET, seed=seed
        )
        super().__init__(sessions, settings, NOW, rules or RetryRules(policy="hourly"))
        # No mail bounces or is called spam unless a test wants it: `hear_of_mails`.
        self.world.deliver_mail_events = None

    def hear_of_mails(self) -> None:
        self.world.deliver_mail_events = self.receive_mail_events

    def use(self, **rules: Any) -> None:
        """Other rules from now on, for receiver and daemon."""
        self.rules = self.group_commit.rules = replace(self.rules, **rules)
        self.cycle.retrier.rules = self.reconciler.rules = self.rules

    def fail(self, *script: str, **wanted: Any) -> str:
        """A payment whose charges end as `script` says, the failing one first."""
        wanted = {"script": script or ("insufficient_funds", "paid")} | wanted
        return self.world.fail_renewal(self.clock.now, **wanted)

    def pass_time(self, hours: float = 1) -> None:
        """On to `hours` from now; whatever Whop does by then has been heard. No cycle is run."""
        then = self.clock.now + timedelta(hours=hours)
        self.world.advance(then)
        self.clock.now = then

    def run(self, hours: int = 1) -> None:
        """One cycle in each hour that has work for it."""
        for _ in range(hours):
            self.pass_time(1)
            if self.has_work():
                self.cycle.run()
                self.world.deliver_due(self.clock.now)

    def payment(self, payment_id: str) -> Payment:
        with self.sessions() as session:
            return session.scalars(select(Payment).where(Payment.payment_id == payment_id)).one()

    def attempts(self, payment_id: str) -> list[Attempt]:
        with self.sessions() as session:
            query = select(Attempt).where(Attempt.payment_id == payment_id).order_by(Attempt.number)
            return list(session.scalars(query))

    def messages(self, payment_id: str) -> list[Message]:
        with self.sessions() as session:
            return list(session.scalars(select(Message).where(Message.payment_id == payment_id)))

    def outcomes(self, payment_id: str) -> list[str]:
        """Of our own attempts."""
        ours = [a for a in self.attempts(payment_id) if a.trigger in OUR_TRIGGERS]
        return [attempt.outcome for attempt in ours]

    def charges(self, payment_id: str, by: str = "retry") -> list[str]:
        """The outcomes of the real charges, from the simulated Whop's ledger."""
        return [c.outcome for c in self.world.ledger.charges(payment_id) if c.by == by]

    def at(self, hours: float) -> datetime:
        return NOW + timedelta(hours=hours)
