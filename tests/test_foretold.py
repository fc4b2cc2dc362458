"""What is foretold is what then happens: a payment's five days, hour by hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.company_settings.recovery import add_companies
from db.models import Company
from db.reporting.next_steps import Viewpoint, find_next_steps
from db.session import SessionFactory
from recovery.action_required import NextStepKind
from recovery.next_step import NextStep
from recovery.retry_policy import RetryRules
from recovery.status import OUR_TRIGGERS, Channel, MessageState, PaymentStatus
from tests.factories import COMPANY, HOUR, NOW
from tests.rig import Rig

CODES = (
    "insufficient_funds",
    "issuer_unavailable",
    "expired_card",
    "stolen_card",
    "invalid_amount",
)
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


def foretell(rig: Rig, payment_id: str) -> NextStep:
    view = Viewpoint(rig.clock.now, rig.rules, frozenset(Channel), exact=True)
    payment = rig.payment(payment_id)
    with rig.sessions() as session:
        return find_next_steps(session, COMPANY, [payment], view)[payment.id]


def count_charges(rig: Rig, payment_id: str) -> int:
    return sum(attempt.trigger in OUR_TRIGGERS for attempt in rig.attempts(payment_id))


def list_sent(rig: Rig, payment_id: str) -> list[str]:
    messages = sorted(rig.messages(payment_id), key=lambda message: message.id)
    return [message.step for message in messages if message.state is MessageState.SENT]


@pytest.mark.parametrize("code", CODES)
def test_what_is_said_of_the_next_hour_is_what_it_brings(rig: Rig, code: str):
    payment_id = rig.fail(code, *[code] * 12)
    told = 0
    for _ in range(125):
        step, began = foretell(rig, payment_id), rig.clock.now
        charges, sent = count_charges(rig, payment_id), list_sent(rig, payment_id)
        rig.pass_time(1)
        if rig.has_work():
            rig.cycle.run()
            rig.world.deliver_due(rig.clock.now)
            rig.message_sender.send_due()
        within = f"{code}, {(began - NOW) / HOUR} h: {step}"
        charged = count_charges(rig, payment_id) > charges
        is_due = step.charge is not None and (
            step.charge.at is None or step.charge.at <= rig.clock.now
        )
        # Whop's own try within the hour may change when ours comes.
        tried = step.whop_at is not None and step.whop_at <= rig.clock.now
        assert charged == is_due or tried, within
        now_sent = list_sent(rig, payment_id)[len(sent) :]
        due = step.message if step.message and step.message.at <= rig.clock.now else None
        if not (charged or tried):
            assert now_sent == ([] if due is None else [due.step]), within
        told += len(now_sent) + charged
    assert foretell(rig, payment_id).kind in OVER
    assert rig.payment(payment_id).status is PaymentStatus.PERMANENT_FAIL
    assert told > 0 or code == "invalid_amount"
