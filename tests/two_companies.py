"""Two creators in one database, each with something in every table that holds a company's rows."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.company_settings.messaging import MessagingSettings, save_messaging_settings
from db.company_settings.notifications import NotificationSettings, save_notification_settings
from db.company_settings.recovery import (
    RecoverySettings,
    add_companies,
    find_recovery_settings,
    save_recovery_settings,
)
from db.company_settings.templates import OwnTemplate, store_template
from db.ledger import bulk_insert, diary, replays, requests
from db.ledger.products import record_titles
from db.ledger.retry_context import ask_first
from db.member_messages import suppressions
from db.models import (
    AccountRefusal,
    CardBan,
    Company,
    Dispute,
    MailEvent,
    Membership,
    Message,
    MonthEnd,
    Notice,
    Payment,
    Refund,
    Sync,
    WebhookEvent,
)
from db.reporting import rollup
from recovery.declines import DeclineClass
from recovery.delivery import DeliveryFailure
from recovery.retrying.context import RetryRules
from recovery.retrying.transitions import answer
from recovery.standing import Renewal
from recovery.status import Channel, MessageState, RequestKind, Step
from tests.factories import COMPANY, HOUR, NOW, valued
from tests.test_insights import draw_attempts, draw_messages, draw_payment

# In every text of the one company and of the other.
OURS, THEIRS = "Ours", "Theirs"
ANOTHER = "biz_another"
PAYMENTS = 80
DAY = timedelta(days=1)
MOMENTS = (
    "failed_at",
    "window_ends_at",
    "last_attempt_at",
    "next_retry_at",
    "recovered_at",
    "observed_at",
    "created_at",
)


def fill(session: Session, company_id: str, word: str, zone: str, at: datetime) -> list[Payment]:
    add_companies(session, {company_id})
    session.get_one(Company, company_id).name = f"{word} Company"
    choose(session, company_id, word, zone, at)
    made = draw(session, company_id, word, at)
    correspond(session, made[0], word, at)
    ask(session, made[1], word, at)
    hear(session, company_id, word, at)
    session.flush()
    write_down(session, company_id, at)
    rollup.catch_up(session, company_id, at)
    session.add(
        MonthEnd(
            company_id=company_id,
            month=at.date().replace(day=1),
            recovered_usd=Decimal(len(made)),
            ours_usd=Decimal(1),
            taken_at=at,
        )
    )
    # A day that is kept has changed since.
    bulk_insert.record_late_change(session, [(company_id, at - 30 * DAY)], at)
    session.commit()
    return made


def write_down(session: Session, company_id: str, at: datetime) -> None:
    """What the policy would decide of one payment."""
    query = select(Payment).where(Payment.company_id == company_id).limit(1)
    payment = session.scalars(query).one()
    question = ask_first(payment, find_recovery_settings(session, company_id), RetryRules())
    diary.record(session, payment, question, answer(question))


def choose(session: Session, company_id: str, word: str, zone: str, at: datetime) -> None:
    address = f"{word.lower()}@example.com"
    save_recovery_settings(
        session, company_id, RecoverySettings(zone, 20, True), f"{word} chooser", at
    )
    save_messaging_settings(
        session,
        company_id,
        MessagingSettings(f"{word} Sender", address, note=f"{word} note"),
        f"{word} chooser",
        at,
    )
    save_notification_settings(
        session,
        company_id,
        NotificationSettings(digest_to=address, digest=True),
        f"{word} chooser",
        at,
    )
    record_titles(session, company_id, {"prod_same": f"{word} Product"}, at)
    for step in Step:
        words = OwnTemplate(f"{word} subject", f"{word} text", f"<p>{word} letter</p>")
        store_template(session, company_id, step, words, f"{word} editor", at)


def draw(session: Session, company_id: str, word: str, at: datetime) -> list[Payment]:
    """Of every kind. Both companies have members, products and cards of the same names too."""
    rng = random.Random(company_id)
    made = [draw_payment(rng, number, company_id) for number in range(PAYMENTS)]
    for number, payment in enumerate(made):
        for moment in MOMENTS:
            if (drawn := getattr(payment, moment)) is not None:
                setattr(payment, moment, drawn + (at - NOW))
        payment.member_name = f"{word} Member {number}"
        payment.member_email = f"{word.lower()}{number}@example.com"
        payment.reason = f"{word} bank said no"
        if number % 3 == 0:
            payment.product, payment.card_brand = f"{word} Product", f"{word} Card"
            payment.amount = payment.amount_usd = Decimal("7777.77" if word == THEIRS else 20)
            valued(payment)
        if number % 4 == 0:
            payment.failed_at = at - timedelta(minutes=10 * number + 5)
            if payment.next_retry_at is not None:
                payment.next_retry_at = payment.next_message_at = at - HOUR
                payment.next_step = Step.REMINDER
    session.add_all(made)
    session.flush()
    for payment in made:
        session.add_all([*draw_attempts(rng, payment), *draw_messages(rng, payment)])
    session.flush()
    return made


def correspond(session: Session, payment: Payment, word: str, at: datetime) -> None:
    """A message with the mail service's word on it, a dead address, a word to the creator."""
    whose = payment.company_id
    message = Message(
        payment_id=payment.payment_id,
        company_id=whose,
        step="payment_failed",
        channel="email",
        state=MessageState.FAILED,
        due_at=at,
        sending_at=at,
        detail=f"{word} refusal",
        delivery_failure=DeliveryFailure.BOUNCED,
    )
    session.query(Message).filter_by(payment_id=payment.payment_id).delete()
    session.add(message)
    session.flush()
    session.add_all(
        [
            MailEvent(
                event_id=f"mail_{whose}",
                message_id=message.id,
                company_id=whose,
                kind="bounced",
                happened_at=at,
                received_at=at,
            ),
            Notice(
                company_id=whose,
                kind="digest",
                trigger_key=f"{word} week",
                channel="email",
                state=MessageState.QUEUED,
                due_at=at,
            ),
        ]
    )
    suppressions.suppress(
        session, whose, f"{word.lower()}@example.com", DeliveryFailure.BOUNCED, at
    )


def ask(session: Session, payment: Payment, word: str, at: datetime) -> None:
    whose, payment_id = payment.company_id, payment.payment_id
    requests.ask(session, payment_id, RequestKind.STOP, f"{word} asker", at, whose)
    if word == THEIRS:
        replays.ask(session, whose, f"{word} asker", at)


def hear(session: Session, company_id: str, word: str, at: datetime) -> None:
    """From Whop: events that cannot be applied, what could not be read, money taken back."""
    paid = session.query(Payment).filter_by(company_id=company_id, status="recovered").first()
    assert paid is not None
    rest: dict[str, Any] = {"company_id": company_id, "type": f"{word}.event", "payload": {}}
    rest["received_at"] = at - len(word) * HOUR
    session.add_all(
        [
            WebhookEvent(event_id=f"{word}_poison", error=f"{word} error", **rest),
            WebhookEvent(event_id=f"{word}_waiting", **rest),
            Sync(
                company_id=company_id,
                since=at,
                error_detail=f"{word} trouble",
                missing_permissions=[f"{word}:read"],
            ),
            AccountRefusal(
                channel=Channel.WHOP,
                company_id=company_id,
                since=at,
                try_at=at,
                detail=f"{word} refusal",
            ),
            Refund(
                refund_id=f"{word}_refund",
                payment_id=paid.payment_id,
                company_id=company_id,
                amount=1,
                status="succeeded",
                observed_at=at,
            ),
            Dispute(
                company_id=company_id,
                payment_id=f"{word}_disputed",
                member_id="mber_0",  # there is one in each company
                status="needs_response",
                observed_at=at,
                recorded_at=at,
            ),
            CardBan(
                company_id=company_id,
                payment_id=f"{word}_banned",
                attempt="1 -",
                member_id="mber_0",
                decline_code="stolen_card",
                decline_class=DeclineClass.FRAUD,
                reason=f"{word} ban",
                observed_at=at,
                recorded_at=at,
                applied_at=at,
            ),
            Membership(
                company_id=company_id,
                membership_id="mem_0",  # there is one in each company
                member_id="mber_0",
                renewal=Renewal.ENDED,
                renewal_observed_at=at,
            ),
        ]
    )


def fill_ours(session: Session, at: datetime) -> list[Payment]:
    return fill(session, COMPANY, OURS, "UTC", at)


def fill_theirs(session: Session, at: datetime) -> list[Payment]:
    return fill(session, ANOTHER, THEIRS, "Asia/Tokyo", at)
