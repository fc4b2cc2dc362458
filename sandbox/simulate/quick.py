"""The quick model: the same world and policies without the receiver, the daemon and a database.

It is a hundred times faster, so that many creators can be simulated. It has no messages, so it is
compared with trials without messages, and trusted only as far as it agrees with them, charge by
charge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import itemgetter
from random import Random

from recovery.decline_codes import classify
from recovery.declines import STICKS, Decline, choose_stricter
from recovery.retrying.context import Retry, RetryContext
from recovery.retrying.decisions import decide, wait_for_whop
from recovery.retrying.transitions import WINDOW, find_spread
from sandbox.demo.history import HOUR, plan_failures
from sandbox.model import bank
from sandbox.model.levels import LEVELS
from sandbox.model.pace import HISTORY
from sandbox.model.records import PAID, By, Charge, Company, Membership, Payment
from sandbox.model.renewals import (
    draw_leaving,
    draw_losing_patience,
    draw_member_pays,
    draw_renewal,
    first_decline,
    renewing_member,
)
from sandbox.simulate.schedules import rules_for
from sandbox.simulate.trial import START, Case, Trial

REAL_TIME = HISTORY.member_speed


@dataclass
class QuickRenewal:
    """One renewal, from its failure until somebody pays or the membership ends."""

    trial: Trial
    membership: Membership
    payment: Payment
    ends_at: datetime
    pays_at: datetime | None
    charges: list[Charge]
    whop_hours: list[datetime]
    retry_at: datetime | None = None
    ours: int = 0

    def live(self) -> Case:
        self.plan(self.payment.created_at)
        while self.charges[-1].outcome != PAID:
            at, by = min(self.upcoming(), key=itemgetter(0))
            if by is None:
                break
            self.charge(at, by)
        left = self.charges[-1].outcome != PAID and self.ends_at < self.payment.created_at + WINDOW
        card, usd = self.membership.card, self.payment.usd_amount
        return Case(self.payment.id, usd, card, tuple(self.charges), 0, left)

    def upcoming(self) -> Iterator[tuple[datetime, By | None]]:
        yield self.ends_at, None
        if self.pays_at is not None:
            yield self.pays_at, "member"
        if self.whop_hours:
            yield self.whop_hours[0], "whop"
        if self.retry_at is not None:
            yield next_hour(self.retry_at), "retry"

    def charge(self, at: datetime, by: By) -> None:
        code, scenario = self.charges[0].outcome, self.payment.scenario
        outcome = PAID
        if by != "member":
            outcome = bank.decide(scenario, code, at, len(self.charges) + 1, HISTORY)
        self.charges.append(charge_of(self.payment, at, by, outcome))
        if by == "whop":
            self.whop_hours.pop(0)
        self.ours += by == "retry"
        if outcome != PAID:
            assumed = LEVELS[self.trial.level]
            if due := draw_losing_patience(self.payment, len(self.charges), at, REAL_TIME, assumed):
                self.ends_at = min(self.ends_at, due.at)
            self.plan(at)

    def plan(self, now: datetime) -> None:
        """What the receiver and the daemon do after a decline."""
        payment, decline = self.payment, find_decline(self.charges)
        context = RetryContext(
            decline_class=decline.decline_class,
            decline_code=decline.code,
            declined_retries=self.ours,
            retryable=self.ours < self.trial.retry_limit,
            failed_at=payment.created_at,
            last_charge_at=self.charges[-1].at,
            window_ends_at=payment.created_at + WINDOW,
            card_brand=self.membership.card.brand,
            charges=len(self.charges),
            whop_next_attempt_at=self.whop_hours[0] if self.whop_hours else None,
            spread=find_spread(payment.id),
        )
        rules = rules_for(self.trial.policy)
        decision = decide(context, rules, now)
        self.retry_at = None
        if isinstance(decision, Retry):
            # The daemon runs on the hour and checks again whether Whop is about to try.
            later = wait_for_whop(rules, next_hour(decision.at), context.whop_next_attempt_at)
            self.retry_at = later or decision.at


def find_decline(charges: Iterable[Charge]) -> Decline:
    """What sticks, if any answer does, else the newest; all are of one card."""
    declines = [classify(charge.outcome) for charge in charges if charge.outcome != PAID]
    sticking = [decline for decline in declines if decline.decline_class in STICKS]
    return reduce(choose_stricter, sticking) if sticking else declines[-1]


def run_quickly(trial: Trial) -> list[Case]:
    """The same result as `run_trial` for a trial without messages."""
    times = [at for day in plan_failures(Random(trial.creator), START, trial.days) for at in day]
    return [draw_short(trial, number, at).live() for number, at in enumerate(times, 1)]


def draw_short(trial: Trial, number: int, at: datetime) -> QuickRenewal:
    """Draws the same random numbers as `Acts.fail_renewal`."""
    assumed, key = LEVELS[trial.level], f"{trial.creator}/{number}"
    random = Random(key)
    code = first_decline(random, {}, assumed)
    membership = renewing_member(random, Company().id, key, {}, at, code)
    payment = draw_renewal(random, membership, key, {}, at, code, assumed)
    pays = draw_member_pays(random, payment, {}, at, code, REAL_TIME, assumed)
    leaves = draw_leaving(payment, at, REAL_TIME, assumed)
    return QuickRenewal(
        trial=trial,
        membership=membership,
        payment=payment,
        ends_at=leaves.at if leaves else at + WINDOW,
        pays_at=pays.at if pays else None,
        charges=[charge_of(payment, at, "whop", code)],
        whop_hours=[at + timedelta(hours=hours) for hours in trial.whop_attempts],
    )


def charge_of(payment: Payment, at: datetime, by: By, outcome: str) -> Charge:
    amounts = payment.amount, payment.usd_amount, payment.currency
    return Charge(payment.id, at, by, outcome, *amounts)


def next_hour(at: datetime) -> datetime:
    """The time of the daemon's next cycle."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    return hour if hour == at else hour + HOUR


def count_agreeing(cases: Sequence[Case], quickly: Sequence[Case]) -> int:
    """Payments for which both agree on every charge: by whom, when, and with what outcome."""

    def describe(case: Case) -> object:
        charges = [(charge.by, charge.at, charge.outcome) for charge in case.charges]
        return case.payment_id, case.usd, case.card, case.left, charges

    return sum(describe(a) == describe(b) for a, b in zip(cases, quickly, strict=True))
