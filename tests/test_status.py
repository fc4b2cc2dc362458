from __future__ import annotations

import itertools

import pytest
from sqlalchemy import delete, insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.ledger import payments
from db.ledger.payments import IllegalMoveError
from db.models import Payment
from recovery.retrying.transitions import Transition
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
    set_status(session, before)
    session.refresh(payment)
    place = Transition(after, next_retry_at=NOW if after == "pending_retry" else None)
    if may_move(before, after):
        payments.move(session, payment, place)
        assert payment.status == after
    else:
        with pytest.raises(IllegalMoveError):
            payments.move(session, payment, place)


def set_status(session: Session, status: PaymentStatus) -> None:
    """Past the code, and with all that the row must say beside it."""
    change = text(
        "update payments set status = :status,"
        " next_retry_at = case when :status = 'pending_retry' then now() end,"
        " recovered_at = case when :status = 'recovered' then now() end"
    )
    session.execute(change, {"status": status})


@pytest.mark.parametrize(("before", "after"), ALL_MOVES)
def test_the_database_refuses_every_other_move_too(session: Session, before, after):
    add_payment(session)
    set_status(session, before)
    if may_move(before, after):
        set_status(session, after)
        assert session.scalar(text("select status from payments")) == after
    else:
        with pytest.raises(IntegrityError, match="does not go from"):
            set_status(session, after)


@pytest.mark.parametrize("status", PaymentStatus)
def test_a_payment_may_be_born_in_any_status_and_changed_in_all_else(session: Session, status):
    """History is imported as it is, and a backup restored."""
    payment = add_payment(session, now=NOW, payments_failed=1)
    columns = {
        c.name: getattr(payment, c.name) for c in Payment.__table__.columns if c.computed is None
    }
    session.execute(delete(Payment))
    born = columns | {
        "status": status,
        "next_retry_at": NOW if status == "pending_retry" else None,
        "recovered_at": NOW if status == "recovered" else None,
    }
    session.execute(insert(Payment).values(born))
    session.execute(text("update payments set amount = amount + 1"))
    assert session.scalar(text("select status from payments")) == status


def test_many_rows_are_refused_for_one_that_may_not_move(session: Session):
    add_payment(session)
    add_payment(session)
    session.execute(
        text(
            "update payments set status = 'recovered', recovered_at = now(), next_retry_at = null"
            " where id = (select min(id) from payments)"
        )
    )
    with pytest.raises(IntegrityError):
        set_status(session, PaymentStatus.FAILED)


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
