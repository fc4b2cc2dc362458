"""What a report tells of a decline: its class, the card it was of, and a ban on that card."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.card_bans import list_bans
from db.ledger import attempts
from db.ledger.rows import NewBan
from db.models import CardBan, Payment
from recovery.decline_codes import classify
from recovery.declines import STICKS, Decline
from recovery.payment_methods import (
    CARD_FIELDS,
    Card,
    fill_card,
    find_charged_card,
    identify_card,
    is_same_card,
    may_charge_method,
    name_attempt,
)
from recovery.reports import PaymentReport

# Added to the name of a charge of which it is not sure that it was this card's.
IN_DOUBT = " ?"


def record_decline(
    session: Session, payment: Payment, report: PaymentReport, now: datetime, *, newer: bool
) -> Decline | None:
    """What the newest report tells. None: it is an older one, or tells of no decline.

    Must be called before the report's facts replace the payment's.
    """
    told = read_decline(payment, report)
    if told is None:
        return None
    if report.failures == 1:
        payment.first_decline_code, payment.first_decline_class = told.code, told.decline_class
    if told.decline_class in STICKS:
        ban_card(session, payment, report, told, now, newer=newer)
    return told if newer else None


def read_decline(payment: Payment, report: PaymentReport) -> Decline | None:
    if report.paid:
        return None
    method_type = report.payment_method_type or payment.payment_method_type
    if report.decline_code or report.failure_message:
        return classify(report.decline_code, report.failure_message, method_type)
    if may_charge_method(method_type):
        return None
    return classify(payment.decline_code, payment.reason, method_type)


def ban_card(
    session: Session,
    payment: Payment,
    report: PaymentReport,
    told: Decline,
    now: datetime,
    *,
    newer: bool,
) -> None:
    known = identify_card(payment)
    shown = fill_card(identify_card(report), known)
    attempt = name_attempt(report.failures, report.last_attempt_at, shown)
    repeated = newer and is_same_charge(payment, report)
    own = [ban for ban in list_bans(session, payment) if ban.payment_id == payment.payment_id]
    charged = find_charged_card(
        attempt, report.observed_at, shown, known if repeated else None, own
    )
    if (backup := attempts.find_backup_card(session, payment, report.failures)) is not None:
        charged = Card(backup)
    bans = {attempt: charged}
    if newer and not repeated and charged is shown and not is_same_card(shown, known):
        # The card may have been changed after the charge that we did not hear of.
        bans[attempt + IN_DOUBT] = known
    add_bans(
        session,
        [
            describe_ban(payment, name, card, told, report.observed_at, now)
            for name, card in bans.items()
        ],
    )
    if not newer:
        correct_card(session, payment, attempt, charged, report.observed_at)


def is_same_charge(payment: Payment, report: PaymentReport) -> bool:
    """Whether the report tells of no charge that we did not know of."""
    return (
        report.last_attempt_at is not None
        and report.last_attempt_at <= payment.last_attempt_at
        and report.failures in (None, payment.whop_failures)
    )


# --- rows ----------------------------------------------------------------------------------------


def describe_ban(
    payment: Payment,
    attempt: str,
    card: Card,
    decline: Decline,
    observed_at: datetime,
    now: datetime,
) -> NewBan:
    """`attempt`: names the charge (recovery/payment_methods.name_attempt)."""
    return NewBan(
        company_id=payment.company_id,
        payment_id=payment.payment_id,
        attempt=attempt,
        member_id=payment.member_id,
        user_id=payment.user_id,
        membership_id=payment.membership_id,
        payment_method_id=card.payment_method_id,
        card_brand=card.card_brand,
        card_last4=card.card_last4,
        card_expiry=card.card_expiry,
        decline_code=decline.code or "",
        decline_class=decline.decline_class,
        reason=decline.words,
        observed_at=observed_at,
        recorded_at=now,
    )


def add_bans(session: Session, bans: Iterable[NewBan]) -> None:
    for ban in bans:
        session.execute(insert(CardBan).values(asdict(ban)).on_conflict_do_nothing())


def correct_card(
    session: Session, payment: Payment, attempt: str, card: Card, at: datetime
) -> None:
    """An older report about the same charge tells better which card was charged."""
    session.execute(
        update(CardBan)
        .where(
            CardBan.payment_id == payment.payment_id,
            CardBan.attempt == attempt,
            CardBan.observed_at > at,
        )
        .values(observed_at=at, **{name: getattr(card, name) for name in CARD_FIELDS})
    )
