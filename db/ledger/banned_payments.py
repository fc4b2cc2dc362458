"""Payments that a ban on their card concerns: what is planned for them is decided again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Session

from db import card_bans
from db.ledger import attempts, payments
from db.ledger.rows import Bans, Created, NewBan, NewPayment
from db.member_messages import planner
from db.members import MEMBER_IDS, group_by_payment
from db.models import CardBan, Payment
from recovery.declines import Decline
from recovery.payment_methods import Ban, choose_decline, identify_card
from recovery.retrying.context import RetryRules
from recovery.status import UNPAID, PaymentStatus

MOST_AT_ONCE = 200
SELECT_NEW = (
    select(CardBan)
    .where(CardBan.applied_at.is_(None))
    .order_by(CardBan.recorded_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)


def apply_to_new(
    session: Session,
    created: Created,
    rows: Sequence[NewPayment],
    bans: Bans,
    now: datetime,
    rules: RetryRules,
) -> None:
    """For payments that have just become known, by what was known before and by each other."""
    changed = {
        row.payment_id
        for row in rows
        if (known := created.banned.get(row.payment_id)) and not is_settled(row, known, bans)
    }
    beside = created.payments.intersection(list_beside(rows, bans))
    for payment in payments.lock_payments(session, changed | beside).values():
        decide_again(session, payment, now, rules)


def is_settled(row: NewPayment, known: Iterable[NewBan], bans: Bans) -> bool:
    """Whether these bans of its member change nothing. So it is where a card that was banned is
    declined once more for the same reason."""
    if row.status is PaymentStatus.PENDING_RETRY:
        return False
    held = [card_bans.read_ban(ban) for ban in known]
    decline = Decline(row.decline_code, row.decline_class, row.reason)
    card = identify_card(row)
    if (attempt := bans.get(row.payment_id)) is not None:
        held.append(Ban(row.payment_id, attempt, card, decline, row.observed_at))
    return choose_decline(None, decline, held, row.payment_id, card) == decline


def list_beside(rows: Sequence[NewPayment], bans: Bans) -> Iterator[str]:
    """Those whose member has a ban among `bans` by another payment."""
    banned = [row for row in rows if row.payment_id in bans]
    if not banned:
        return
    for payment_id, theirs in group_by_payment(banned, rows).items():
        if any(row.payment_id != payment_id for row in theirs):
            yield payment_id


def apply_bans(session: Session, now: datetime, rules: RetryRules) -> int:
    """Tells the open payments of each newly banned card's member. Returns how many bans those were;
    fewer than MOST_AT_ONCE: there are no more."""
    bans = session.scalars(SELECT_NEW, {"limit": MOST_AT_ONCE}).all()
    for ban in bans:
        for payment in list_open(session, ban):
            decide_again(session, payment, now, rules)
        ban.applied_at = now
    return len(bans)


def list_open(session: Session, ban: CardBan) -> Sequence[Payment]:
    """Those that somebody else has locked are looked at before their charge or message anyway."""
    same = [getattr(Payment, name) == i for name in MEMBER_IDS if (i := getattr(ban, name))]
    return session.scalars(
        select(Payment)
        .where(
            Payment.company_id == ban.company_id,
            Payment.status.in_(UNPAID),
            or_(Payment.payment_id == ban.payment_id, *same),
        )
        .order_by(Payment.id)
        .with_for_update(skip_locked=True)
    ).all()


def decide_again(session: Session, payment: Payment, now: datetime, rules: RetryRules) -> None:
    known_class = payment.decline_class
    card_bans.settle_decline(session, payment)
    changed = payment.decline_class is not known_class
    scheduled = payment.status is PaymentStatus.PENDING_RETRY
    if payment.status in UNPAID and (
        changed or (scheduled and payments.is_forbidden(session, payment, now, rules))
    ):
        if attempts.find_unsettled(session, payment) is None:
            payments.schedule(session, payment, now, rules)
        planner.plan_again(session, payment, now)
    session.flush()
