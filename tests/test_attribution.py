"""Who recovered a payment: the pure rules, and the same facts heard in every order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from db.ledger import attempts, payments
from db.member_messages import planner
from db.member_messages import queue as outbox
from db.models import Attempt, Message, Payment
from db.session import SessionFactory
from recovery.attribution import (
    AFTER_WINDOW,
    CHARGE_TAKES,
    MESSAGE_WORKS,
    WHOP_DELAY,
    WHOP_EARLY,
    Evidence,
    attribute,
    find_charge_time,
)
from recovery.delivery import sent
from recovery.status import RecoveredBy
from tests.factories import NOW, event, iso, paid_data, payment_data
from tests.test_ledger import record, wipe

RETRY, MEMBER, WITHOUT_US = RecoveredBy.RETRY, RecoveredBy.MEMBER, RecoveredBy.WITHOUT_US
SECOND = timedelta(seconds=1)


def at(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


SENT = at(9.9)


@pytest.mark.parametrize(
    ("evidence", "who"),
    [
        ({"proven": True, "whop_attempt_at": at(10)}, RETRY),
        ({"charge_sent_at": SENT}, RETRY),
        ({"charge_sent_at": SENT, "whop_attempt_at": at(8)}, RETRY),
        ({"charge_sent_at": SENT, "whop_attempt_at": SENT - WHOP_DELAY}, WITHOUT_US),
        ({"charge_sent_at": SENT, "whop_attempt_at": at(10) + WHOP_EARLY}, WITHOUT_US),
        ({"charge_sent_at": SENT, "whop_attempt_at": at(10) + WHOP_EARLY + SECOND}, RETRY),
        ({"charge_sent_at": at(10) - CHARGE_TAKES}, RETRY),
        ({"charge_sent_at": at(10) - CHARGE_TAKES - SECOND}, WITHOUT_US),
        ({"charge_sent_at": at(9), "message_at": at(1), "whop_attempt_at": at(24)}, MEMBER),
        ({"charge_sent_at": at(11)}, WITHOUT_US),
        ({}, WITHOUT_US),
        ({"whop_attempt_at": at(24)}, WITHOUT_US),
        ({"message_at": at(1), "whop_attempt_at": at(24)}, MEMBER),
        ({"message_at": at(10) + SECOND, "whop_attempt_at": at(24)}, WITHOUT_US),
        ({"message_at": at(1), "whop_attempt_at": at(2)}, WITHOUT_US),
        ({"message_at": at(1), "whop_attempt_at": at(10) + WHOP_EARLY}, WITHOUT_US),
        ({"message_at": at(1), "whop_attempt_at": at(10) + WHOP_EARLY + SECOND}, MEMBER),
        # Whop has told no plan, and may still try on its own.
        ({"message_at": at(1)}, WITHOUT_US),
        ({"message_at": at(1), "window_ends_at": at(10) + SECOND}, WITHOUT_US),
        ({"message_at": at(1), "window_ends_at": at(10)}, MEMBER),
        # It had told of one, and plans no more.
        ({"message_at": at(1), "plan_told": True}, MEMBER),
        # So long after the message, or after the membership's end, it was not the message.
        ({"message_at": at(10) - MESSAGE_WORKS, "whop_attempt_at": at(24)}, MEMBER),
        ({"message_at": at(10) - MESSAGE_WORKS - SECOND, "whop_attempt_at": at(24)}, WITHOUT_US),
        ({"message_at": at(1), "window_ends_at": at(10) - AFTER_WINDOW}, MEMBER),
        ({"message_at": at(1), "window_ends_at": at(10) - AFTER_WINDOW - SECOND}, WITHOUT_US),
    ],
)
def test_it_claims_only_what_nothing_else_explains(evidence: dict[str, Any], who: RecoveredBy):
    """Paid ten hours after the failure."""
    assert attribute(Evidence(**{"paid_at": at(10), "window_ends_at": at(120)} | evidence)) is who


moments = st.integers(0, 200).map(at)


@given(
    st.builds(
        Evidence,
        paid_at=moments,
        window_ends_at=moments,
        charge_sent_at=st.none() | moments,
        whop_attempt_at=st.none() | moments,
        plan_told=st.booleans(),
        message_at=st.none() | moments,
    )
)
def test_what_is_claimed_has_its_limits(evidence: Evidence):
    """Nothing is ours without a charge or a message just before it, or where Whop may have it."""
    who = attribute(evidence)
    if who is RETRY:
        assert evidence.charge_sent_at is not None
        assert timedelta(0) <= evidence.paid_at - evidence.charge_sent_at <= CHARGE_TAKES
    if who is MEMBER:
        assert evidence.message_at is not None
        assert timedelta(0) <= evidence.paid_at - evidence.message_at <= MESSAGE_WORKS
        assert evidence.paid_at <= evidence.window_ends_at + AFTER_WINDOW
        planned = evidence.whop_attempt_at
        if planned is None:
            assert evidence.plan_told or evidence.paid_at >= evidence.window_ends_at
        else:
            assert planned > evidence.paid_at + WHOP_EARLY
    without = replace(evidence, charge_sent_at=None, message_at=None)
    assert attribute(without) is WITHOUT_US


@pytest.mark.parametrize(
    ("told", "failed", "charged"),
    [
        (20, 0, 20),  # settled later than it was charged: the charge counts
        (0, 0, 30),  # it still names the charge that failed
        (24, 24, 30),
        (24, 0, 24),
        (40, 0, 30),
    ],
)
def test_the_charge_that_paid_is_none_that_failed(told: float, failed: float, charged: float):
    """Paid after thirty hours, by Whop's word."""
    assert find_charge_time(at(30), at(told), at(failed)) == at(charged)


def tell_story(sessions: SessionFactory, order: Iterable[str], contents: dict[str, Any]) -> bool:
    """Returns whether the mail left: once the payment is known to be paid, none does."""
    mailed = False
    for step in order:
        if step != "mail":
            record(sessions, [contents[step]], at(59))
            continue
        with sessions.begin() as session:
            planner.queue_due(session, at(59))
            taken = outbox.take_message(session, at(59))
            if taken is not None:
                outbox.finish_message(session, taken.context.message_id, sent(), at(1))
                session.get_one(Message, taken.context.message_id).delivered_at = at(1)
                mailed = True
    return mailed


@pytest.mark.parametrize(("paid", "who"), [(48.1, WITHOUT_US), (30, MEMBER)])
def test_every_order_of_what_we_hear_ends_with_the_same_attribution(
    sessions: SessionFactory, paid: float, who: RecoveredBy
):
    """Whop tries after a day, fails, and announces its next try for the second day."""
    expired = {"decline_code": "expired_card"}  # written about at once
    first = {"next_payment_attempt_at": iso(at(24))}
    second = {
        "payments_failed": 2,
        "last_payment_attempt_at": iso(at(24)),
        "updated_at": iso(at(24)),
        "next_payment_attempt_at": iso(at(48)),
    }
    contents = {
        "failed": event("payment.failed", payment_data(id="pay_1", **expired, **first)),
        "second": event("payment.failed", payment_data(id="pay_1", **expired, **second)),
        "paid": event("payment.succeeded", paid_data(at(paid), id="pay_1")),
    }
    written_to = 0
    for order in itertools.permutations([*contents, "mail"]):
        mailed = tell_story(sessions, order, contents)
        with sessions() as session:
            found = session.scalars(select(Payment.recovered_by)).one()
        assert found is (who if mailed else WITHOUT_US), order
        written_to += mailed
        wipe(sessions)
    # Of 24 orders, those in which the mail stands after a failure and before the payment.
    assert written_to == 6


def send_a_charge(sessions: SessionFactory) -> None:
    """Three hours after the failure. Its answer never comes."""
    record(sessions, [event("payment.failed", payment_data(id="pay_1"))], NOW)
    with sessions.begin() as session:
        payment = payments.lock_payments(session, ["pay_1"])["pay_1"]
        attempt = attempts.open_attempt(session, payment, at(3))
        attempt.sent_at, attempt.failures_before = at(3), 1
        payment.claimed_until = at(3)


def read_end(sessions: SessionFactory) -> tuple[RecoveredBy | None, list[tuple[str, str]], int]:
    with sessions() as session:
        payment = session.scalars(select(Payment)).one()
        tries = session.execute(select(Attempt.trigger, Attempt.outcome)).all()
        return payment.recovered_by, sorted((t, o) for t, o in tries), payment.retry_count


def test_a_charge_whose_end_was_unknown_is_ours_where_whops_was_not_due(sessions: SessionFactory):
    send_a_charge(sessions)
    again = event("payment.failed", payment_data(id="pay_1"))
    paid = event("payment.succeeded", paid_data(at(3), id="pay_1", payments_failed=1))
    record(sessions, [paid, again, paid], at(4))
    assert read_end(sessions) == (RETRY, [("schedule", "paid")], 0)


def test_a_failure_after_our_unknown_charge_is_taken_for_ours_in_every_order(
    sessions: SessionFactory,
):
    """Whop's own try failed at four hours and paid at five, or ours failed: nobody can tell."""
    second = payment_data(
        id="pay_1",
        payments_failed=2,
        last_payment_attempt_at=iso(at(4)),
        updated_at=iso(at(4)),
        next_payment_attempt_at=iso(at(5)),
    )
    contents = [
        event("payment.failed", second),
        event("payment.succeeded", paid_data(at(5.1), id="pay_1", payments_failed=2)),
    ]
    for order in (contents, contents[::-1]):
        send_a_charge(sessions)
        for content in order:
            record(sessions, [content], at(6))
        who, tries, declined = read_end(sessions)
        assert (who, declined) == (WITHOUT_US, 1)
        assert tries[0] == ("schedule", "declined")
        assert [outcome for trigger, outcome in tries if trigger != "schedule"] == ["paid"]
        wipe(sessions)
