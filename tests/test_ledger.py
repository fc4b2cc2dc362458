"""Reports about payments, in any order, any number of times: the end is the same."""

from __future__ import annotations

import itertools
from dataclasses import MISSING, fields
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from daemon.replays import Replayer
from db.company_settings.recovery import DEFAULT_RECOVERY_SETTINGS
from db.ledger import bulk_statements, new_payments, payment_reports, rows
from db.ledger import inbox as events
from db.ledger.inbox import Event
from db.models import Attempt, Message, Payment, Refund, WebhookEvent
from db.reporting.summary import summarize
from db.session import SessionFactory
from recovery.status import PaymentStatus
from tests.column_writes import writes
from tests.factories import (
    COMPANY,
    HOURLY,
    NOW,
    add_payment,
    encode,
    event,
    get_payment,
    iso,
    money,
    paid_data,
    payment_data,
    report,
)
from tests.soak import at_length
from whop.payloads import read_event

ROOT = Path(__file__).parent.parent
LATER = NOW + timedelta(days=1)
read = partial(read_event, default_company=COMPANY)


def make_event(content: dict[str, Any]) -> Event:
    reading = read(content, LATER)
    return Event(
        content["id"],
        encode(content).decode(),
        reading,
        reading.type,
        reading.company_id,
        reading.payment_id,
    )


def record(sessions: SessionFactory, contents: list[dict[str, Any]], at: datetime = LATER) -> None:
    with sessions.begin() as session:
        events.record(session, [make_event(content) for content in contents], at, HOURLY, read)


def at(hours: float) -> str:
    return iso(NOW + timedelta(hours=hours))


STORY = [
    event("payment.failed", payment_data(id="pay_1", membership_id="mem_1")),
    event(
        "payment.failed",
        payment_data(
            id="pay_1",
            membership_id="mem_1",
            payments_failed=2,
            decline_code="generic_decline",
            last_payment_attempt_at=at(2),
            updated_at=at(2),
        ),
    ),
    event("payment.succeeded", paid_data(NOW + timedelta(hours=3), id="pay_1")),
    event(
        "refund.created",
        {
            "id": "rf_1",
            "payment_id": "pay_1",
            "amount": money("9.00"),
            "status": "pending",
            "updated_at": at(4),
        },
    ),
    event(
        "refund.updated",
        {
            "id": "rf_1",
            "payment_id": "pay_1",
            "amount": money("9.00"),
            "status": "succeeded",
            "updated_at": at(5),
        },
    ),
]


def wipe(sessions: SessionFactory) -> None:
    with sessions.begin() as session:
        for model in (Attempt, Refund, Message, Payment, WebhookEvent):
            session.execute(delete(model))


def totals(sessions: SessionFactory) -> tuple[Any, ...]:
    with sessions() as session:
        summary = summarize(session, COMPANY, LATER)
    return (
        summary.total_failed,
        summary.total_recovered,
        str(summary.recovered_amount),
        str(summary.at_risk_amount),
    )


def test_every_order_of_a_payments_events_ends_the_same(sessions: SessionFactory):
    for order in itertools.permutations(STORY):
        for content in order:
            record(sessions, [content])
        assert totals(sessions) == (1, 1, "40.00", "0.00"), [content["type"] for content in order]
        wipe(sessions)


@settings(max_examples=at_length(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_duplicates_in_any_grouping_change_nothing(sessions: SessionFactory, data):
    deliveries = data.draw(st.lists(st.sampled_from(STORY), max_size=12)) + STORY
    shuffled = data.draw(st.permutations(deliveries))
    cuts = data.draw(st.lists(st.integers(0, len(shuffled)), max_size=4).map(sorted))
    for start, end in itertools.pairwise([0, *cuts, len(shuffled)]):
        record(sessions, shuffled[start:end])
    assert totals(sessions) == (1, 1, "40.00", "0.00")
    wipe(sessions)


def test_an_older_report_does_not_overwrite_a_newer_one(sessions, session: Session):
    record(sessions, [STORY[1], STORY[0]])
    payment = session.scalars(select(Payment)).one()
    assert payment.decline_code == "generic_decline"
    assert payment.whop_failures == 2


def test_whatever_waits_for_several_payments_is_applied_with_them(sessions: SessionFactory):
    ids = ["pay_1", "pay_2", "pay_3"]
    record(sessions, [event("payment.succeeded", paid_data(NOW, id=one)) for one in ids])
    record(sessions, [event("payment.failed", payment_data(id=one)) for one in ids])
    assert totals(sessions)[:2] == (3, 3)


def test_a_second_report_from_the_same_moment_is_no_news(sessions, session: Session):
    other = payment_data(id="pay_1", membership_id="mem_1", decline_code="generic_decline")
    record(sessions, [STORY[0], event("payment.failed", other)])
    assert session.scalars(select(Payment)).one().decline_code == "insufficient_funds"


def test_a_recovered_payment_does_not_fail_again(sessions, session: Session):
    late = payment_data(id="pay_1", payments_failed=2, updated_at=at(4))
    record(sessions, [STORY[0], STORY[2], event("payment.failed", late)])
    assert session.scalars(select(Payment)).one().status is PaymentStatus.RECOVERED
    assert session.scalars(select(WebhookEvent.error)).all() == [None] * 3


def test_whops_own_failure_moves_our_retry_an_hour_further(sessions, session: Session):
    record(sessions, [STORY[0]], at=NOW)
    assert session.scalars(select(Payment)).one().next_retry_at == NOW.replace(
        microsecond=0
    ) + timedelta(hours=1)
    record(sessions, [STORY[1]], at=NOW + timedelta(hours=2, seconds=5))
    session.expire_all()
    payment = session.scalars(select(Payment)).one()
    assert payment.next_retry_at == NOW + timedelta(hours=3)
    assert payment.retry_count == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "void"}, "canceled"),
        ({"status": "uncollectible"}, "canceled"),
        ({"dispute_alerted_at": iso(NOW)}, "disputed"),
        ({"substatus": "dispute_needs_response"}, "disputed"),
    ],
)
def test_void_or_disputed_payments_are_stopped(session: Session, change, reason):
    payment = add_payment(session)
    heard = report(id=payment.payment_id, updated_at=at(1), **change)
    payment_reports.apply_report(session, payment, heard, LATER, HOURLY)
    session.commit()
    stopped = get_payment(session, payment.payment_id)
    assert stopped.status is PaymentStatus.PERMANENT_FAIL
    assert stopped.closed_reason == reason
    assert stopped.next_retry_at is None


def test_a_payment_that_is_being_settled_is_not_charged_meanwhile(session: Session):
    payment = add_payment(session)
    heard = report("payment.pending", id=payment.payment_id, status="pending", updated_at=at(1))
    payment_reports.apply_report(session, payment, heard, LATER, HOURLY)
    assert payment.status is PaymentStatus.FAILED
    assert payment.next_retry_at is None


def test_a_failure_heard_after_its_window_is_history(session: Session):
    payment = add_payment(session, now=NOW + timedelta(days=6))
    assert payment.status is PaymentStatus.PERMANENT_FAIL
    assert payment.closed_reason == "window_closed"


def test_a_later_failure_dates_back_to_the_renewal(session: Session):
    payment = add_payment(
        session,
        now=LATER,
        payments_failed=3,
        created_at=iso(NOW),
        last_payment_attempt_at=at(20),
    )
    assert payment.failed_at == NOW.replace(microsecond=0)
    assert payment.window_ends_at == payment.failed_at + timedelta(days=5)


def test_two_transactions_that_hear_of_one_payment_do_not_lose_it(sessions: SessionFactory):
    """The success comes on one connection while the failure is being written on another."""
    with sessions() as one:
        events.record(one, [make_event(STORY[0])], LATER, HOURLY, read)
        with sessions() as other:
            other.connection().exec_driver_sql("set lock_timeout = '100ms'")
            with pytest.raises(Exception, match="lock timeout"):
                events.record(other, [make_event(STORY[2])], LATER, HOURLY, read)
        one.commit()
    record(sessions, [STORY[2]])
    assert totals(sessions)[:2] == (1, 1)


def test_poison_is_applied_by_a_replay_once_its_cause_is_gone(sessions: SessionFactory):
    content = event("payment.failed", payment_data(id="pay_1"))
    poison = Event(content["id"], encode(content).decode(), None, "payment.failed", error="a bug")
    with sessions.begin() as session:
        events.record(session, [poison], NOW, HOURLY, read)
    assert totals(sessions)[0] == 0
    assert Replayer(sessions, HOURLY, lambda: LATER, read).replay_all("command") == 0
    assert totals(sessions)[0] == 1
    with sessions() as session:
        stored = session.scalars(select(WebhookEvent)).one()
        assert (stored.error, stored.applied_at) == (None, LATER)


def test_a_replay_leaves_what_is_still_poison(sessions: SessionFactory):
    poison = Event("msg_1", '{"type": "payment.failed"}', None, "x", error="a bug")
    with sessions.begin() as session:
        events.record(session, [poison], NOW, HOURLY, read)
    assert Replayer(sessions, HOURLY, lambda: LATER, read).replay_all("command") == 1
    with sessions() as session:
        assert session.scalars(select(WebhookEvent.error)).one() == "data: must be a JSON object"


def test_a_payment_without_a_dollar_value_is_counted_but_in_no_sum(sessions: SessionFactory):
    data = payment_data(total=money("10.00", "chf"), currency="chf", usd_total=None)
    record(sessions, [event(data=data), event(data=payment_data())])
    with sessions() as session:
        summary = summarize(session, COMPANY, LATER)
    assert (summary.total_failed, summary.unconverted) == (2, 1)
    assert str(summary.at_risk_amount) == "49.00"


CODE = ("recovery", "db", "mail", "whop", "webhook", "daemon", "dashboard")


@pytest.mark.slow
def test_only_the_ledger_writes_a_status():
    """One home: db/ledger/payments.py moves payments, attempts.py finishes attempts."""
    sources = {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for folder in CODE
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {file for file in sources if writes(sources[file], "status")} == {
        "db/ledger/payments.py"
    }
    assert {file for file in sources if writes(sources[file], "outcome")} == {
        "db/ledger/attempts.py"
    }


def test_no_report_corrects_a_status():
    """Its columns are set by name."""
    assert {"status", "retry_count"} & set(payment_reports.CORRECTED) == set()


@pytest.mark.parametrize(
    "code",
    [
        "payment.status = new",
        "payment.status, payment.detail = new, None",
        "payment.status: str = new",
        "payment.status += new",
        "for payment.status in found: pass",
        'setattr(payment, "status", new)',
        'object.__setattr__(payment, "status", new)',
        "update(Payment).where(x).values(status=new)",
        'update(Payment).values(**{"status": new})',
        'update(Payment).values({"status": new})',
        "update(Payment).values({Payment.status: new})",
        "update(Payment).values(dict(status=new))",
        'insert(Payment).values([{"status": new}])',
        'insert(Payment).values(row).on_conflict_do_update(set_={"status": new})',
        'session.execute(insert(Payment), [{"id": 1, "status": new}])',
        'session.execute(update(Payment), [{"id": 1, "status": new}])',
        'session.query(Payment).update({"status": new})',
        'session.bulk_update_mappings(Payment, [{"id": 1, "status": new}])',
        "session.add(Payment(status=new))",
        'session.add(Payment(**{"status": new}))',
        "replace(payment, status=new)",
        'text("update payments set status = :new")',
        "text(\"UPDATE payments\\n SET amount = 1,\\n status='failed' where true\")",
        'f"update {table} set status = {new}"',
        'text("update payments set (amount, status) = (1, 2)")',
    ],
)
def test_each_way_of_writing_a_status_is_noticed(code):
    assert writes(code, "status")


@pytest.mark.parametrize(
    "code",
    [
        "self.status = new",
        "seen = payment.status",
        "where = payment.status == new",
        "update(Message).values(state=new)",
        'text("select status from payments where status = :status")',
        'text("update payments set amount = 1 where status = :status")',
        'answer({"status": "stored"})',
        "Transition(status=new)",
    ],
)
def test_reading_a_status_is_not_taken_for_writing_it(code):
    assert not writes(code, "status")


def test_a_new_payments_row_has_the_tables_own_columns_and_all_that_it_must():
    table = Payment.__table__.columns
    assert set(rows.PAYMENT_COLUMNS) <= {column.name for column in table}
    given_by_the_database = {"id"}
    needed = {c.name for c in table if not c.nullable and c.server_default is None}
    assert needed - given_by_the_database <= set(bulk_statements.PAYMENT)
    assert set(rows.EVENT_COLUMNS) - {"applied"} <= {
        column.name for column in WebhookEvent.__table__.columns
    }


def test_what_is_kept_as_it_was_told_is_named_once():
    """A new field of `PaymentFacts` or `Details` is a column, or making a payment known fails."""
    assert set(new_payments.AS_REPORTED) <= set(rows.PAYMENT_COLUMNS)
    assert set(payment_reports.CORRECTED) <= set(rows.PAYMENT_COLUMNS)


@pytest.mark.parametrize("kind", [rows.NewPayment, rows.NewEvent])
def test_a_column_that_is_misspelt_or_left_out_is_an_error(kind):
    columns = {field.name: None for field in fields(kind)}
    kind(**columns)
    for name in (f.name for f in fields(kind) if f.default is MISSING):
        rest = {other: None for other in columns if other != name}
        with pytest.raises(TypeError):
            kind(**rest)
        with pytest.raises(TypeError):
            kind(**rest, **{f"{name}_": None})


def test_all_that_a_new_payment_says_is_in_its_row(session: Session):
    heard = report(payments_failed=2, recovery_url="https://whop.com/pay", card_exp_month=4)
    described = new_payments.describe_new(heard, DEFAULT_RECOVERY_SETTINGS, NOW, HOURLY)
    new_payments.create_payments(session, [heard], {}, NOW, HOURLY)
    row = session.scalars(select(Payment)).one()
    assert {name: getattr(row, name) for name in rows.PAYMENT_COLUMNS} == vars(described)
