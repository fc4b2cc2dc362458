"""A creator's two months, made up to look at: enough of everything that a page can show."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from db.company_settings.messaging import MessagingSettings, save_messaging_settings
from db.company_settings.recovery import RecoverySettings, save_recovery_settings
from db.ledger import new_payments, requests
from db.models import Attempt, Heartbeat, Message, Payment, Sync, WebhookEvent
from recovery.status import (
    AttemptOutcome,
    Channel,
    MessageState,
    PaymentStatus,
    RecoveredBy,
    RequestKind,
    Step,
    Trigger,
)
from tests.factories import COMPANY, HOUR, failing_at, get_payment, money, report, valued
from tests.factories import HOURLY as RULES

DAY = 24 * HOUR
MEMBERS = (
    *("Maya Okafor", "Liam Chen", "Zoë Lefèvre", "Diego Fernández", "Aisha Rahman", "Tom Baker"),
    *("Ingrid Solberg", "Kofi Mensah", "Yuki Tanaka", "Nadia Petrova", "Sam O'Connor", "Lucía Paz"),
)
OFFERS = (("Morning Run Club", "19.00"), ("Marathon Plan", "49.00"), ("Coaching, yearly", "390.00"))
REASONS = (
    *("insufficient_funds", "insufficient_funds", "insufficient_funds", "do_not_honor"),
    *("expired_card", "authentication_required", "processing_error", "stolen_card"),
)
BRANDS = ("visa", "visa", "mastercard", "amex")
# The payment whose story has something of everything.
TOLD = "pay_told"


def fill(session: Session, at: datetime) -> None:
    rng = random.Random(8)
    for number in range(110):
        age = timedelta(hours=rng.uniform(5.2, 62) * 24)
        end(session, rng, fail(session, rng, f"pay_{number}", at - age))
    for number in range(9):
        payment = fail(session, rng, f"pay_open_{number}", at - rng.uniform(0, 60) * HOUR)
        wait(session, rng, payment, at)
    tell(session, fail(session, rng, TOLD, at - 30 * HOUR, "insufficient_funds"), at)
    catch_up(session, at)
    session.commit()


def fail(
    session: Session, rng: random.Random, payment_id: str, at: datetime, code: str = ""
) -> Payment:
    name, (title, amount) = rng.choice(MEMBERS), rng.choice(OFFERS)
    given: dict[str, Any] = {
        "id": payment_id,
        "user": {"id": f"user_{name}", "name": name},
        "customer_email": f"{name.split()[0].lower()}@example.com",
        "product": {"id": title, "title": title},
        "total": money(amount),
        "usd_total": money(amount),
        "decline_code": code or rng.choice(REASONS),
        "failure_message": None,
        "payment_instrument": {
            "card": {"brand": rng.choice(BRANDS), "last4": f"{rng.randrange(10_000):04}"}
        },
    }
    new_payments.create_payments(session, [report(**failing_at(at) | given)], {}, at, RULES)
    return get_payment(session, payment_id)


def end(session: Session, rng: random.Random, payment: Payment) -> None:
    """Its five days are over."""
    paid = rng.random() < 0.58
    by = rng.choice(
        (RecoveredBy.RETRY, RecoveredBy.RETRY, RecoveredBy.MEMBER, RecoveredBy.WITHOUT_US)
    )
    payment.status = PaymentStatus.RECOVERED if paid else PaymentStatus.PERMANENT_FAIL
    payment.next_retry_at = payment.next_step = payment.next_message_at = None
    if paid:
        payment.recovered_by = by
        payment.recovered_at = payment.failed_at + timedelta(hours=rng.uniform(1, 100))
        valued(payment)
    outcome = AttemptOutcome.PAID if paid and by is RecoveredBy.RETRY else AttemptOutcome.DECLINED
    session.add_all([payment, make_try(payment, payment.failed_at + 20 * HOUR, outcome)])
    session.add(write(payment, payment.failed_at + HOUR, opened=rng.random() < 0.5))


def wait(session: Session, rng: random.Random, payment: Payment, at: datetime) -> None:
    """Nothing is due at this moment."""
    if payment.next_retry_at is not None:
        payment.next_retry_at = at + rng.uniform(0, 20) * HOUR
    if payment.next_message_at is not None:
        payment.next_message_at = at + rng.uniform(0, 20) * HOUR
    session.add(payment)


def make_try(payment: Payment, at: datetime, outcome: AttemptOutcome) -> Attempt:
    return Attempt(
        payment_id=payment.payment_id,
        company_id=COMPANY,
        number=1,
        trigger=Trigger.SCHEDULE,
        outcome=outcome,
        idempotency_key=f"{payment.payment_id}:1",
        started_at=at,
        finished_at=at,
        decline_code=None if outcome is AttemptOutcome.PAID else payment.decline_code,
    )


def write(payment: Payment, at: datetime, opened: bool) -> Message:
    return Message(
        payment_id=payment.payment_id,
        company_id=COMPANY,
        step=Step.PAYMENT_FAILED,
        channel=Channel.EMAIL,
        state=MessageState.SENT,
        due_at=at,
        sent_at=at,
        delivered_at=at,
        opened_at=at + HOUR if opened else None,
    )


def tell(session: Session, payment: Payment, at: datetime) -> None:
    payment.retry_count, payment.next_retry_at = 1, at + 5 * HOUR
    payment.next_step, payment.next_message_at = Step.REMINDER, at + 18 * HOUR
    session.add_all(
        [
            payment,
            write(payment, at - 28 * HOUR, opened=True),
            make_try(payment, at - 6 * HOUR, AttemptOutcome.DECLINED),
        ]
    )
    asked = requests.ask(session, TOLD, RequestKind.RETRY_NOW, "dashboard", at - 7 * HOUR, COMPANY)
    asked.done_at, asked.answer = at - 7 * HOUR, requests.DONE


def catch_up(session: Session, at: datetime) -> None:
    """The processes run, the creator has chosen, and one event could not be applied."""
    messaging = MessagingSettings("Lantern Running", "help@example.com", "#0f766e")
    save_messaging_settings(session, COMPANY, messaging, "dashboard", at - 10 * DAY)
    save_recovery_settings(
        session, COMPANY, RecoverySettings("Europe/Berlin", 10, True), "dashboard", at - 9 * DAY
    )
    heard = {"type": "payment.failed", "company_id": COMPANY, "payload": {}}
    counts = {"settled": 1, "found": 0, "retried": 4, "closed": 2, "errors": 0}
    beat = {"started_at": at - 3 * DAY, "beat_at": at, "last_cycle_at": at - 12 * HOUR / 60}
    session.add_all(
        [
            Heartbeat(process="daemon", instance="a", details=counts, **beat),
            Sync(company_id=COMPANY, since=at - 90 * DAY, imported_at=at - DAY, read_until=at),
            WebhookEvent(event_id="msg_1", received_at=at, applied_at=at, **heard),
            WebhookEvent(event_id="msg_2", received_at=at - HOUR, error="no amount", **heard),
        ]
    )
