"""Reads refunds since the last sync, and looks up which payments are disputed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from db.ledger import sync, waiting_disputes
from db.ledger.inbox import Reader
from db.ledger.sync import Progress
from db.session import SessionFactory
from recovery.reports import DisputeReport
from whop.client import WhopClient
from whop.errors import NotFoundError

# Read again each time, so that a refund that Whop recorded late is not missed.
OVERLAP = timedelta(days=1)


def read_refunds(
    sessions: SessionFactory, whop: WhopClient, progress: Progress, stopping: Callable[[], bool]
) -> None:
    """Reads the refunds made since the last complete sync."""
    since, cursor = (progress.read_until or progress.since) - OVERLAP, None
    while not stopping():
        page = whop.list_refunds(progress.company_id, created_after=since, after=cursor)
        cursor = page.next_cursor
        with sessions.begin() as session:
            sync.apply_refunds(session, progress.company_id, page.items)
        if cursor is None:
            break


def read_disputes(
    sessions: SessionFactory,
    whop: WhopClient,
    company_id: str,
    read: Reader,
    clock: Callable[[], datetime],
) -> None:
    """A dispute alert names only the payment; its member is read from Whop."""
    with sessions() as session:
        waiting = waiting_disputes.list_waiting(session, company_id, read)
    for dispute in waiting:
        try:
            payment = whop.get_payment(dispute.payment_id, company_id)
        except NotFoundError:
            continue
        named = DisputeReport(
            dispute.payment_id,
            company_id,
            payment.member_id,
            payment.user_id,
            payment.membership_id,
        )
        with sessions.begin() as session:
            waiting_disputes.settle(session, named, clock())
