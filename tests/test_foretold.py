"""What is foretold is what then happens: a payment's five days, hour by hour."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import select

from db.company_settings.recovery import add_companies
from db.models import Attempt, Company, Message, Payment
from db.reporting.next_steps import Viewpoint, find_next_steps
from db.session import SessionFactory
from recovery.action_required import NextStepKind
from recovery.decline_codes import CODES
from recovery.message_schedule import SEQUENCES
from recovery.next_step import NextStep
from recovery.retrying.context import RetryRules
from recovery.status import OUR_TRIGGERS, Channel, MessageState, PaymentStatus
from tests.factories import COMPANY, HOUR, NOW
from tests.rig import Rig
from tests.soak import SEED

EVERY_CODE = [code for codes in CODES.values() for code in codes]
METHODS = ("card", "paypal", "sepa_debit", "cashapp")
# What becomes of the membership half a day after the failure.
GOES_ON = "goes on"
TURNS = (GOES_ON, "cancel_at_period_end", "cancel_membership", "pause")
A_FEW = (
    "insufficient_funds",
    "issuer_unavailable",
    "expired_card",
    "stolen_card",
    "invalid_amount",
)
# A code, a method and a turn each. Those of one group are tried together.
Case = tuple[str, str, str]
SLICE: list[Case] = [
    *product(A_FEW, METHODS[:1], TURNS[:1]),
    *product(A_FEW[:2], METHODS[:1], TURNS[1:]),
    *product(A_FEW[:2], METHODS[1:], TURNS[:1]),
]
EVERYTHING = [
    list(product(EVERY_CODE, [method], [turn])) for method, turn in product(METHODS, TURNS)
]
GROUPS = EVERYTHING if SEED else [SLICE]
OVER = (NextStepKind.NOT_RECOVERED, NextStepKind.RECOVERED)


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path: Path) -> Rig:
    """It fails in the evening, an hour before the quiet ones."""
    rig = Rig(sessions, tmp_path, rules=RetryRules())
    rig.clock.now = NOW + 11 * HOUR
    with sessions.begin() as session:
        add_companies(session, {COMPANY})
        session.get_one(Company, COMPANY).time_zone = "Europe/Berlin"
    return rig


@dataclass(frozen=True)
class Done:
    """By us, for each payment by its id."""

    charges: Counter[str]
    sent: Mapping[str, list[str]]


def foretell(rig: Rig) -> dict[str, NextStep]:
    view = Viewpoint(rig.clock.now, rig.rules, frozenset(Channel), exact=True)
    with rig.sessions() as session:
        payments = session.scalars(select(Payment)).all()
        found = find_next_steps(session, COMPANY, payments, view)
    return {payment.payment_id: found[payment.id] for payment in payments}


def look(rig: Rig) -> Done:
    sent: defaultdict[str, list[str]] = defaultdict(list)
    ours = select(Attempt.payment_id).where(Attempt.trigger.in_(OUR_TRIGGERS))
    left = select(Message).where(Message.state == MessageState.SENT).order_by(Message.id)
    with rig.sessions() as session:
        for message in session.scalars(left):
            sent[message.payment_id].append(message.step)
        return Done(Counter(session.scalars(ours)), sent)


@pytest.mark.soak
@pytest.mark.parametrize("cases", GROUPS, ids=lambda cases: f"{len(cases)} to {cases[-1]}")
def test_what_is_said_of_the_next_hour_is_what_it_brings(rig: Rig, cases: list[Case]) -> None:
    of = {rig.fail(*[case[0]] * 13, payment_method_type=case[1]): case for case in cases}
    told: Counter[str] = Counter()
    for hour in range(125):
        for payment_id, (_, _, turn) in of.items():
            if hour == 12 and turn != GOES_ON:
                getattr(rig.world, turn)(payment_id, rig.clock.now)
        told += check_next_hour(rig, of)
    for payment_id, step in foretell(rig).items():
        last = rig.payment(payment_id)
        assert step.kind in OVER, of[payment_id]
        assert last.status is PaymentStatus.PERMANENT_FAIL, of[payment_id]
        silent = of[payment_id][2] != GOES_ON or SEQUENCES[last.decline_class] == ()
        assert told[payment_id] or silent, of[payment_id]
    sys.stdout.write(f"{len(cases)} payments, {told.total()} charges and messages foretold\n")


def check_next_hour(rig: Rig, of: Mapping[str, Case]) -> Counter[str]:
    """How many charges and messages it brought for each."""
    steps, before, began = foretell(rig), look(rig), rig.clock.now
    rig.pass_time(1)
    if rig.has_work():
        rig.cycle.run()
        rig.world.deliver_due(rig.clock.now)
        rig.message_sender.send_due()
    after, brought = look(rig), Counter[str]()
    for payment_id, step in steps.items():
        said = f"{of[payment_id]}, {(began - NOW) / HOUR} h: {step}"
        charged = after.charges[payment_id] > before.charges[payment_id]
        due = step.charge is not None and is_by(step.charge.at, rig.clock.now)
        # Whop's own try within the hour may change when ours comes.
        tried = step.whop_at is not None and step.whop_at <= rig.clock.now
        assert charged == due or tried, said
        sent = after.sent[payment_id][len(before.sent[payment_id]) :]
        message = step.message if step.message and is_by(step.message.at, rig.clock.now) else None
        if not (charged or tried):
            assert sent == ([] if message is None else [message.step]), said
        brought[payment_id] = len(sent) + charged
    return brought


def is_by(at: datetime | None, now: datetime) -> bool:
    """None: as soon as possible."""
    return at is None or at <= now
