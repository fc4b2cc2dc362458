"""Declines that stick to a card: written once, and looked up for every payment of the member.

A ban is never taken back. It holds for as long as the payment's card is the banned one
(recovery/payment_methods.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Text, bindparam, or_, select
from sqlalchemy.orm import Session

from db.members import MEMBER_IDS, belongs_to_any, group_by_payment
from db.models import CardBan, Payment
from recovery.declines import Decline
from recovery.payment_methods import (
    Ban,
    Card,
    choose_decline,
    find_held,
    identify_card,
)

# Looked up for every report and before every charge, so it is built once.
SELECT_BANS = select(CardBan).where(
    CardBan.company_id == bindparam("company_id"),
    or_(
        *(
            getattr(CardBan, name) == bindparam(name, type_=Text)
            for name in ("payment_id", *MEMBER_IDS)
        )
    ),
)


def list_bans(session: Session, payment: Payment) -> list[Ban]:
    """Of the payment's member in its company."""
    names = ("company_id", "payment_id", *MEMBER_IDS)
    found = session.scalars(SELECT_BANS, {name: getattr(payment, name) for name in names})
    return [read_ban(row) for row in found]


def list_bans_of(session: Session, payments: Sequence[Payment]) -> dict[str, list[Ban]]:
    """The same for many payments of one company, by their ids."""
    if not payments:
        return {}
    ids = [payment.payment_id for payment in payments]
    theirs = belongs_to_any(CardBan, payments)
    own = (CardBan.company_id == payments[0].company_id) & CardBan.payment_id.in_(ids)
    rows = session.scalars(select(CardBan).where(theirs | own))
    found = group_by_payment(rows, payments, ("payment_id", *MEMBER_IDS))
    return {payment_id: [read_ban(row) for row in bans] for payment_id, bans in found.items()}


def read_ban(row: Any) -> Ban:
    """Of a row of `card_bans`, however it was read."""
    decline = Decline(row.decline_code or None, row.decline_class, row.reason)
    return Ban(row.payment_id, row.attempt, identify_card(row), decline, row.observed_at)


def find_decline(session: Session, payment: Payment, told: Decline | None = None) -> Decline:
    """What holds for the payment now. `told`: by the newest report."""
    return judge_decline(payment, list_bans(session, payment), told)


def judge_decline(payment: Payment, bans: Collection[Ban], told: Decline | None = None) -> Decline:
    """The same, where the bans of its member are known."""
    known = Decline(payment.decline_code, payment.decline_class, payment.reason)
    return choose_decline(told, known, bans, payment.payment_id, identify_card(payment))


def is_banned(session: Session, payment: Payment, card: Card) -> bool:
    """Whether another card than the payment's own may not be charged for it."""
    return find_held(list_bans(session, payment), payment.payment_id, card) is not None


def settle_decline(session: Session, payment: Payment, told: Decline | None = None) -> None:
    """Writes it to the payment, where messages and pages read it."""
    decline = find_decline(session, payment, told)
    payment.reason, payment.decline_code = decline.words, decline.code
    payment.decline_class = decline.decline_class
