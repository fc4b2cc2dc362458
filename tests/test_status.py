from __future__ import annotations

import itertools

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.ledger import payments
from db.ledger.payments import IllegalMoveError, Place
from recovery.status import MOVES, PaymentStatus, may_move
from tests.factories import NOW, add_payment

ALL_MOVES = list(itertools.product(PaymentStatus, PaymentStatus))


def test_every_status_says_where_it_leads():
    assert set(MOVES) == set(PaymentStatus)


@pytest.mark.parametrize(("before", "after"), ALL_MOVES)
def test_a_move_is_allowed_exactly_when_the_table_says_so(before, after):
    expected = {
        ("failed", "pending_retry"),
        ("failed", "recovered"),
        ("failed", "permanent_fail"),
        ("pending_retry", "failed"),
        ("pending_retry", "recovered"),
        ("pending_retry", "permanent_fail"),
        ("permanent_fail", "recovered"),
    }
    assert may_move(before, after) == (before == after or (before, after) in expected)


@pytest.mark.parametrize(("before", "after"), ALL_MOVES)
def test_the_writer_refuses_every_other_move(session: Session, before, after):
    payment = add_payment(session)
    payment.status = before
    place = Place(after, next_retry_at=NOW if after == "pending_retry" else None)
    if may_move(before, after):
        payments.move(session, payment, place)
        assert payment.status == after
    else:
        with pytest.raises(IllegalMoveError):
            payments.move(session, payment, place)


@pytest.mark.parametrize(
    "change",
    [
        "status = 'paid'",
        "status = 'recovered'",  # without a time of recovery
        "status = 'failed'",  # with a retry still scheduled
        "amount = -1",
        "retry_count = -1",
    ],
)
def test_the_database_itself_refuses_a_row_that_contradicts_itself(session: Session, change):
    add_payment(session)
    with pytest.raises(IntegrityError):
        session.execute(text(f"update payments set {change}"))
    session.rollback()
