"""Reads refunds since the last sync, and how disputes stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from db.ledger import facts, read_back, reviews, unread, waiting_disputes
from db.ledger.inbox import Reader
from db.ledger.sync import Progress
from db.session import SessionFactory
from recovery.reports import DisputeReport, PaymentReport, find_disputes
from recovery.retrying.context import RetryRules
from whop.client import WhopClient
from whop.errors import NotFoundError

OPEN = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")
# Those that only an alert told of have no end that we would hear of.
ASKED_AGAIN = timedelta(days=1)
MOST_SINGLE_READS = 50
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
            read_back.apply_refunds(session, progress.company_id, page.items)
        if cursor is None:
            break


@dataclass(frozen=True, slots=True)
class DisputeReader:
    """Reads the open disputes, those of late, and what became of others that we know."""

    sessions: SessionFactory
    whop: WhopClient
    rules: RetryRules
    read_event: Reader
    clock: Callable[[], datetime]
    stopping: Callable[[], bool]

    def read(self, progress: Progress, *, listed: bool) -> None:
        """`listed`: we may list disputes."""
        started_at, company_id = self.clock(), progress.company_id
        since = (progress.read_until or progress.since) - OVERLAP
        read = set[str]()
        if listed:
            read |= self.read_list(company_id, statuses=OPEN)
            read |= self.read_list(company_id, created_after=since)
        with self.sessions() as session:
            waiting = waiting_disputes.list_waiting(session, company_id, self.read_event)
            known = unread.list_disputes(
                session, company_id, started_at - ASKED_AGAIN, MOST_SINGLE_READS
            )
        for payment_id in known:
            if payment_id not in read and not self.stopping():
                self.read_one(company_id, payment_id)
        for dispute in waiting:
            self.settle(dispute)

    def read_list(self, company_id: str, **query: Any) -> set[str]:
        """Returns the disputed payments that were read."""
        cursor, read = None, set[str]()
        while not self.stopping():
            page = self.whop.list_disputes(company_id, after=cursor, **query)
            cursor = page.next_cursor
            for dispute in page.items:
                self.record(dispute)
                read.add(dispute.payment_id)
            if cursor is None:
                break
        return read

    def read_one(self, company_id: str, payment_id: str) -> None:
        """The disputed payment itself tells how its dispute stands."""
        payment = self.find_payment(company_id, payment_id)
        for dispute in find_disputes([payment] if payment else []):
            self.record(dispute)
        with self.sessions.begin() as session:
            unread.record_read(session, company_id, payment_id, self.clock())

    def record(self, dispute: DisputeReport) -> None:
        with self.sessions.begin() as session:
            concern = facts.record_dispute(session, dispute, self.clock(), read=True)
            reviews.review_all(session, [concern], self.clock(), self.rules)

    def settle(self, dispute: DisputeReport) -> None:
        """A dispute alert names only the payment; its member is read from Whop."""
        payment = self.find_payment(dispute.company_id, dispute.payment_id)
        if payment is None:
            return
        named = replace(
            dispute,
            member_id=payment.member_id,
            user_id=payment.user_id,
            membership_id=payment.membership_id,
        )
        with self.sessions.begin() as session:
            waiting_disputes.settle(session, named, self.clock(), self.rules)

    def find_payment(self, company_id: str, payment_id: str) -> PaymentReport | None:
        try:
            return self.whop.get_payment(payment_id, company_id)
        except NotFoundError:
            return None
