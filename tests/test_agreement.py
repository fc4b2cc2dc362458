"""Whatever is said about a payment is said once: list, story, timeline, preview, email, digest,
file and REST agree on what comes next, for every decline, way to pay and state of a payment."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import cycle, product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, event, select, update
from sqlalchemy.orm import Session

from dashboard.data.csv_export import to_csv
from dashboard.data.overview import copy_payments
from dashboard.data.payments import copy_portions
from dashboard.text.next_step import describe_next, format_when
from dashboard.text.payment_csv import list_rows
from dashboard.text.payment_summary import summarize_payment
from dashboard.text.payments import describe_recovery
from dashboard.text.state import describe_state
from dashboard.text.timeline import list_entries
from dashboard.views.payments.mail_preview import choose_step, write_preview
from db.company_settings.recovery import add_companies
from db.creator_notices.digest import measure_week
from db.creator_notices.weeks import Week
from db.ledger import requests
from db.models import Company, Message, Payment
from db.reporting.next_steps import Viewpoint
from db.reporting.payment_detail import PaymentDetail, read_detail
from mail.digest import write_digest
from recovery.action_required import NextStepKind
from recovery.decline_codes import CODES
from recovery.declines import DeclineClass
from recovery.instruments import CARD
from recovery.labels import NEXT_STEPS
from recovery.message_schedule import LAST_CALL, SEQUENCES, postpone_quiet
from recovery.standing import Hold
from recovery.status import (
    Channel,
    ClosedReason,
    MessageState,
    PaymentStatus,
    RecoveredBy,
    RequestKind,
    Step,
    Trigger,
)
from tests.factories import COMPANY, HOUR, HOURLY
from tests.soak import SEED
from webhook.payments import describe_payment
from whop.memberships import MEMBERSHIPS_PAGE

# Eight in the evening in Berlin: what is due within the next hours waits for the morning.
NOW = datetime.fromisoformat("2026-11-20T20:15:00+00:00")
ZONE = ZoneInfo("Europe/Berlin")
DAY = 24 * HOUR
VIEW = Viewpoint(NOW, HOURLY, frozenset(Channel))
EXACT = Viewpoint(NOW, HOURLY, frozenset(Channel), exact=True)
TIME = re.compile(r"\w{3} \d+ \w{3}, \d\d:\d\d")

METHODS: dict[str, dict[str, Any]] = {
    "card": {"instrument_name": CARD, "card_brand": "visa", "card_last4": "4242"},
    "paypal": {"instrument_name": "PayPal"},
    "unknown": {},
}
PENDING = {"status": PaymentStatus.PENDING_RETRY}
OVER = {"status": PaymentStatus.PERMANENT_FAIL}
STATES: dict[str, dict[str, Any]] = {
    "waits": {},
    "is charged tomorrow": PENDING | {"next_retry_at": NOW + 15 * HOUR},
    "is due": PENDING | {"next_retry_at": NOW - HOUR},
    "is due at a click": PENDING | {"next_retry_at": NOW, "next_trigger": Trigger.CREATOR},
    "is being charged": PENDING | {"next_retry_at": NOW, "claimed_until": NOW + HOUR},
    "Whop tries": {"whop_next_attempt_at": NOW + 5 * HOUR},
    "Whop has tried": {"whop_next_attempt_at": NOW - 5 * HOUR},
    "no address": {"member_email": None, "user_id": None, "next_step": None},
    "chat only": {"member_email": None},
    "control group": {"held_out": True, "next_step": None},
    "imported": {"imported": True, "next_step": None},
    "one-off": {"membership_id": None},
    "is over within the hour": {"window_ends_at": NOW - HOUR},
    "recovered": {
        "status": PaymentStatus.RECOVERED,
        "recovered_at": NOW - HOUR,
        "recovered_by": RecoveredBy.WITHOUT_US,
        "next_step": None,
    },
    "retries used": OVER | {"closed_reason": ClosedReason.RETRIES_USED},
    "membership ended": OVER | {"closed_reason": ClosedReason.MEMBERSHIP_ENDED, "next_step": None},
    "canceled": OVER | {"closed_reason": ClosedReason.MEMBER_CANCELED, "next_step": None},
    "stop requested": {},
    "retry requested": {},
    "message queued": {"next_step": None},
    "paused": {"hold": Hold.PAUSED},
    "inquiry": {"hold": Hold.INQUIRY},
    "bought anew": OVER | {"closed_reason": ClosedReason.BOUGHT_ANEW, "next_step": None},
}


@dataclass
class Case:
    payment: Payment
    state: str
    method: str


def list_cases() -> Iterator[tuple[str, DeclineClass, str, str]]:
    """Every class in every state with every way to pay. Its codes take turns; in `make soak` each
    is tried with all."""
    for cls in DeclineClass:
        codes = tuple(CODES.get(cls) or ["a_code_of_tomorrow"])
        taking_turns = cycle(codes)
        for state, method in product(STATES, METHODS):
            for code in codes if SEED else [next(taking_turns)]:
                yield code, cls, state, method


def make_payment(
    number: int, code: str, cls: DeclineClass, state: str, method: str
) -> dict[str, Any]:
    failed_at = NOW - 30 * HOUR
    steps = SEQUENCES[cls]
    values: dict[str, Any] = {
        "payment_id": f"pay_{number}",
        "company_id": COMPANY,
        "membership_id": f"mem_{number}",
        "member_id": f"mber_{number}",
        "user_id": f"user_{number}",
        "member_name": f"Member {number}",
        "member_email": f"member{number}@example.com",
        "product_id": "prod_1",
        "product": "Gold",
        "amount": Decimal(49),
        "currency": "usd",
        "amount_usd": Decimal(49),
        "reason": "Said the bank",
        "decline_code": code,
        "decline_class": cls,
        "status": PaymentStatus.FAILED,
        "failed_at": failed_at,
        "window_ends_at": failed_at + 5 * DAY,
        "last_attempt_at": failed_at,
        "observed_at": failed_at,
        "created_at": failed_at,
        "next_step": steps[0] if steps else None,
    }
    values |= METHODS[method] | STATES[state]
    # When the planner will look again: in the quiet hours.
    values["next_message_at"] = NOW + 2 * HOUR if values["next_step"] is not None else None
    return values


@pytest.fixture
def cases(session: Session) -> list[Case]:
    add_companies(session, {COMPANY})
    session.get_one(Company, COMPANY).time_zone = ZONE.key
    found = []
    for number, (code, cls, state, method) in enumerate(list_cases()):
        payment = Payment(**make_payment(number, code, cls, state, method))
        session.add(payment)
        found.append(Case(payment, state, method))
    session.flush()
    for case in found:
        add_what_waits(session, case)
    session.commit()
    return found


def add_what_waits(session: Session, case: Case) -> None:
    payment = case.payment
    asked = {"stop requested": RequestKind.STOP, "retry requested": RequestKind.RETRY_NOW}
    if (kind := asked.get(case.state)) is not None:
        requests.ask(session, payment.payment_id, kind, "dashboard", NOW, COMPANY)
    steps = SEQUENCES[payment.decline_class]
    if case.state == "message queued" and steps:
        session.add(
            Message(
                payment_id=payment.payment_id,
                company_id=COMPANY,
                step=steps[0],
                channel=Channel.EMAIL,
                state=MessageState.QUEUED,
                due_at=NOW - HOUR,
            )
        )


@pytest.mark.soak
def test_nothing_that_is_said_contradicts_anything_else(session: Session, cases: list[Case]):
    payments = [case.payment for case in cases]
    rows = copy_payments(session, COMPANY, payments, VIEW)
    file = read_file(session, payments)
    for case, row in zip(cases, rows, strict=True):
        detail = read_detail(session, COMPANY, case.payment.payment_id, EXACT)
        assert detail is not None
        said = f"{case.state}, {case.method}, {case.payment.decline_code}"
        step, exact = row.next_step, detail.next_step
        cell = describe_next(step, NOW, ZONE)
        # The story says all that the list says, and the file says it in the same words.
        assert (exact.kind, exact.actor, exact.at) == (step.kind, step.actor, step.at), said
        assert describe_next(exact, NOW, ZONE) == cell, said
        line = file[case.payment.payment_id]
        assert (line["Status"], line["Next step"]) == (NEXT_STEPS[step.kind], cell), said
        assert int(line["Retries"]) == row.retries
        assert describe_state(step, NOW, describe_recovery(row)).words == line["Status"]
        check_story(detail, cell, said)
        check_rest(case.payment, step, said)
        check_mail(case, detail, said)
    check_digest(session, rows)


def read_file(session: Session, payments: list[Payment]) -> dict[str, dict[str, str]]:
    portions = copy_portions(session, COMPANY, iter(payments), VIEW)
    text = to_csv(list_rows(portions, ZONE, NOW)).decode("utf-8-sig")
    return {line["Payment"]: line for line in csv.DictReader(io.StringIO(text, newline=""))}


def check_story(detail: PaymentDetail, cell: str, said: str) -> None:
    story, step = summarize_payment(detail, NOW), detail.next_step
    planned = [entry for entry in list_entries(detail, NOW) if entry.planned]
    told = set(TIME.findall(story))
    assert set(TIME.findall(cell)) <= told, said
    # Every time that is told is planned, and none is over.
    timed = {format_when(entry.at, ZONE) for entry in planned if entry.timed}
    assert all(entry.at > NOW for entry in planned if entry.timed), said
    if step.kind is not NextStepKind.RECOVERED:
        assert told <= timed, said
    assert not ("We do not write" in story and "We write" in story), said
    assert not ("We do not retry" in story and "We retry" in story), said
    assert not ("Write to the member on Whop" in story and "We write" in story), said
    assert not ("a later retry" in story and not (step.charge or step.whop_at)), said
    assert "_" not in story, said
    assert "creator" not in story, said
    if step.message is not None:
        check_departure(detail, step.message.at, said)


def check_departure(detail: PaymentDetail, at: datetime, said: str) -> None:
    """No message is foretold for the night, nor for when it would come too late."""
    messaging = detail.messaging
    quiet = postpone_quiet(at, ZONE, messaging.quiet_from, messaging.quiet_until)
    assert at == quiet >= NOW, said
    assert at <= detail.payment.window_ends_at - LAST_CALL, said


def check_rest(payment: Payment, step: Any, said: str) -> None:
    told = describe_payment(payment, step.need, step)
    assert (told.next_action, told.next_actor, told.needs) == (step.kind, step.actor, step.need)
    assert ("a later retry" in told.explanation) <= (payment.status is PaymentStatus.PENDING_RETRY)


def check_mail(case: Case, detail: PaymentDetail, said: str) -> None:
    payment, step = case.payment, choose_step(detail)
    if step is None:
        assert SEQUENCES[payment.decline_class] == (), said
        return
    # The preview is the email: both are written from the same context.
    sent = write_preview(detail, step, NOW)
    days = set(re.findall(r"(?:Next try: |again on |more on )(\w+, \w+ \d+)", sent.text))
    charge = detail.next_step.charge
    planned = payment.next_retry_at
    if days:
        # A day is told only where a charge is planned: its own, or today where it is due.
        assert planned is not None, said
        local = max(planned, NOW).astimezone(ZONE)
        assert days == {f"{local:%A, %B} {local.day}"}, said
        if charge is not None and charge.at is not None:
            assert charge.at == planned, said
    words = f"{sent.subject} {sent.text}".replace(MEMBERSHIPS_PAGE, "").lower()
    assert ("card" in words) <= (case.method == "card"), said
    assert ("- ends:" in words) <= (payment.membership_id is not None), said
    assert "membership" not in words or payment.membership_id is not None, said


def check_digest(session: Session, rows: Any) -> None:
    """What it lists, the list says too, with the same remedy."""
    week = Week((NOW - DAY).date(), ZONE)
    digest = measure_week(session, COMPANY, week)
    by_id = {row.payment_id: row for row in rows}
    assert digest.needing_action
    text = write_digest(digest, "https://example.com/").text
    for payment in digest.needing_action:
        step = by_id[payment.payment_id].next_step
        if step.kind is NextStepKind.NEEDS_YOU:
            assert step.need is payment.need
            assert describe_next(step, NOW, ZONE) in text
        else:
            # Asked for by now, or still written to in Whop's chat.
            asked = step.kind in (NextStepKind.STOPPING, NextStepKind.CHARGE_REQUESTED)
            assert asked or step.message is not None


def test_a_list_asks_as_often_for_twenty_as_for_two(session: Session, engine: Engine):
    add_companies(session, {COMPANY})
    for number in range(20):
        waiting = make_payment(number, "expired_card", DeclineClass.CARD, "waits", "card")
        session.add(Payment(**waiting))
    session.commit()
    asked: Counter[int] = Counter()

    def count(*_: object) -> None:
        asked[many] += 1

    copy_payments(
        session, COMPANY, session.scalars(select(Payment)).all(), VIEW
    )  # names of time zones are kept
    event.listen(engine, "before_cursor_execute", count)
    for many in (2, 20):
        session.rollback()
        payments = session.scalars(select(Payment).limit(many)).all()
        copy_payments(session, COMPANY, payments, VIEW)
    event.remove(engine, "before_cursor_execute", count)
    assert asked[2] == asked[20]


def test_a_full_day_is_not_promised(session: Session):
    """The daily limit is used up: what is due leaves tomorrow, after the quiet hours."""
    add_companies(session, {COMPANY})
    company = session.get_one(Company, COMPANY)
    company.time_zone, company.settings = ZONE.key, {"messaging": {"daily_cap": 1}}
    for number in range(2):
        case = make_payment(number, "expired_card", DeclineClass.CARD, "waits", "card")
        session.add(Payment(**case | {"next_message_at": NOW - 12 * HOUR}))
    session.flush()
    noon = NOW - 8 * HOUR
    session.add(
        Message(
            payment_id="pay_0",
            company_id=COMPANY,
            step=Step.PAYMENT_FAILED,
            channel=Channel.EMAIL,
            state=MessageState.SENT,
            due_at=noon,
            dispatched_at=noon,
            sent_at=noon,
        )
    )
    session.commit()
    at_noon = Viewpoint(noon + HOUR, HOURLY, frozenset(Channel), exact=True)
    detail = read_detail(session, COMPANY, "pay_1", at_noon)
    assert detail is not None
    assert detail.next_step.message is not None
    assert detail.next_step.message.at == datetime(2026, 11, 21, 8, tzinfo=ZONE)
    session.execute(update(Payment).values(window_ends_at=noon + timedelta(hours=12)))
    session.expire_all()
    detail = read_detail(session, COMPANY, "pay_1", at_noon)
    assert detail is not None
    assert detail.next_step.message is None
