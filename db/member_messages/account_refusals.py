"""Which account of ours is refused: SendGrid's, which all companies share, or a company's at Whop.

While one is, its messages wait, and one of them at a time tries whether it works again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import AccountRefusal
from recovery.delivery import Delivery, DeliveryState
from recovery.status import Channel

# From one try to the next. SendGrid blocks whoever sends it many calls that it refuses.
TRY_AGAIN_AFTER = timedelta(minutes=10)
ALL_COMPANIES = ""
# Answers that only a working account gets.
WORKING = frozenset({DeliveryState.SENT, DeliveryState.REFUSED, DeliveryState.ADDRESS_REFUSED})


def name_account(channel: Channel, company_id: str) -> tuple[Channel, str]:
    return channel, ALL_COMPANIES if channel is Channel.EMAIL else company_id


def find_account_refusal(
    session: Session, channel: Channel, company_id: str
) -> AccountRefusal | None:
    """None: it is not refused, as far as we know."""
    return session.get(AccountRefusal, name_account(channel, company_id), populate_existing=True)


def claim_try(
    session: Session, channel: Channel, company_id: str, now: datetime
) -> AccountRefusal | None:
    """What a message of this account waits for. None: it may be sent, as the only one for a while
    where the account was refused."""
    account = name_account(channel, company_id)
    refusal = session.get(AccountRefusal, account, with_for_update=True, populate_existing=True)
    if refusal is None or refusal.try_at > now:
        return refusal
    refusal.try_at = now + TRY_AGAIN_AFTER
    return None


def record_answer(
    session: Session, channel: Channel, company_id: str, delivery: Delivery, now: datetime
) -> bool | None:
    """Whether the account is refused from now on. None: that has not changed."""
    account = name_account(channel, company_id)
    if delivery.state is DeliveryState.ACCOUNT_REFUSED:
        return record_refusal(session, account, delivery.detail or "", now)
    if delivery.state not in WORKING:
        return None
    channel, company_id = account
    ended = (
        delete(AccountRefusal)
        .where(AccountRefusal.channel == channel, AccountRefusal.company_id == company_id)
        .returning(AccountRefusal.since)
    )
    return None if session.scalar(ended) is None else False


def record_refusal(
    session: Session, account: tuple[Channel, str], detail: str, now: datetime
) -> bool | None:
    """True: it is new. None: it is known."""
    channel, company_id = account
    values = {"detail": detail, "try_at": now + TRY_AGAIN_AFTER}
    added = session.scalar(
        insert(AccountRefusal)
        .values(channel=channel, company_id=company_id, since=now, **values)
        .on_conflict_do_nothing()
        .returning(AccountRefusal.since)
    )
    if added is not None:
        return True
    known = session.get_one(AccountRefusal, account, with_for_update=True, populate_existing=True)
    known.detail, known.try_at = detail, now + TRY_AGAIN_AFTER
    return None


def list_account_refusals(session: Session, company_id: str) -> list[AccountRefusal]:
    """Those that hold messages of this company up."""
    query = select(AccountRefusal).where(AccountRefusal.company_id.in_((company_id, ALL_COMPANIES)))
    return list(session.scalars(query.order_by(AccountRefusal.channel)))
