"""One trial: one creator's months under one policy, at one level of assumptions.

It runs in `sandbox.demo.in_process.InProcessStack`: Whop's webhooks, the receiver's code, the
daemon's cycle and messages, on one clock. Results are read from the simulated Whop's own ledger of
charges.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from sqlalchemy import func, select

from db.models import Message
from db.session import SessionFactory
from recovery.retrying.transitions import WINDOW
from recovery.status import MessageState
from sandbox.demo.history import HOUR, plan_failures
from sandbox.demo.in_process import InProcessStack
from sandbox.demo.live import Settings
from sandbox.model.levels import LEVELS
from sandbox.model.records import PAID, Card, Charge
from sandbox.simulate.schedules import SCHEDULES, rules_for

START = datetime(2026, 1, 1, tzinfo=UTC)
# Time after the last failure, so that every payment reaches its end.
AFTERMATH = WINDOW + timedelta(hours=2)


class PaidTwiceError(Exception):
    """A member was charged twice. Nothing from this run may be published."""


@dataclass(frozen=True, slots=True)
class Trial:
    """`whop_attempts`: the hours of Whop's own retries. Whop documents neither them nor how many
    retries of a payment it allows.
    """

    policy: str
    level: str
    creator: int
    days: int
    retry_limit: int = 3
    whop_attempts: tuple[float, ...] = (24, 48, 72, 96)
    mails: bool = True

    @property
    def canonical(self) -> Trial:
        """The same trial for all schedules that have the same hours within the window."""
        if self.policy not in SCHEDULES:
            return self
        hours = SCHEDULES[self.policy].in_window[: self.retry_limit]
        twins = (name for name, schedule in SCHEDULES.items() if schedule.in_window == hours)
        twin = next(twins, None)
        return replace(self, policy=twin, retry_limit=max(len(hours), 1)) if twin else self


@dataclass(frozen=True, slots=True)
class Case:
    """One failed renewal and its end. The first charge is the one that failed."""

    payment_id: str
    usd: Decimal
    card: Card
    charges: tuple[Charge, ...]
    messages: int
    left: bool

    @property
    def first_code(self) -> str:
        return self.charges[0].outcome

    @property
    def paid_by(self) -> str | None:
        last = self.charges[-1]
        return last.by if last.outcome == PAID else None

    @property
    def our_charges(self) -> int:
        return sum(charge.by == "retry" for charge in self.charges)


class TrialRun(InProcessStack):
    """Runs one trial. Remembers the card of each failure, because members change cards."""

    def __init__(self, trial: Trial, sessions: SessionFactory, folder: Path) -> None:
        settings = Settings(file=folder / "sandbox.sqlite", seed=trial.creator)
        super().__init__(sessions, settings, START, rules_for(trial.policy), LEVELS[trial.level])
        self.world.switches.retry_limit = trial.retry_limit
        self.world.switches.whop_attempts_after_hours = trial.whop_attempts
        # Email events affect no figure of a study.
        self.world.deliver_mail_events = None
        if not trial.mails:
            self.message_sender.channels = frozenset()
        self.cards: dict[str, Card] = {}

    def fail_renewal(self, at: datetime) -> str:
        payment_id = super().fail_renewal(at)
        self.cards[payment_id] = self.world.store.payment(payment_id).card
        return payment_id


def run_trial(trial: Trial, sessions: SessionFactory, folder: Path) -> list[Case]:
    """Runs the trial in an empty database. Cases are in order of failure."""
    run = TrialRun(trial, sessions, folder)
    plan = plan_failures(Random(trial.creator), START, trial.days)
    plan += [[]] * (AFTERMATH // timedelta(days=1) + 1)
    for day, failures in enumerate(plan):
        for number in range(1, 25):
            hour = START + timedelta(days=day, hours=number)
            run.run_hour(hour, [at for at in failures if hour - HOUR < at <= hour])
    if twice := run.world.ledger.paid_twice():
        raise PaidTwiceError(f"{trial}: {', '.join(twice)}")
    cases = read_cases(run)
    run.world.store.close()
    return cases


def read_cases(run: TrialRun) -> list[Case]:
    store = run.world.store
    charges: defaultdict[str, list[Charge]] = defaultdict(list)
    for charge in run.world.ledger.charges():
        charges[charge.payment_id].append(charge)
    messages = count_messages(run.sessions)
    cases = []
    for payment_id, card in run.cards.items():
        payment = store.payment(payment_id)
        canceled_at = store.membership(payment.membership_id).canceled_at
        cases.append(
            Case(
                payment_id=payment_id,
                usd=payment.usd_amount,
                card=card,
                charges=tuple(charges[payment_id]),
                messages=messages.get(payment_id, 0),
                left=canceled_at is not None and canceled_at < payment.created_at + WINDOW,
            )
        )
    return cases


def count_messages(sessions: SessionFactory) -> dict[str, int]:
    with sessions() as session:
        counted = (
            select(Message.payment_id, func.count())
            .where(Message.state == MessageState.SENT)
            .group_by(Message.payment_id)
        )
        return dict(session.execute(counted).all())
