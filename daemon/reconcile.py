"""Reads from Whop what webhooks may have missed, one company at a time.

1. Check our API key's permissions: without them Whop answers an empty list, not an error.
2. The first time, import the last 90 days page by page. An interrupted import resumes. No
   messages are sent for imported payments.
3. List the payments since the last sync, and the open renewals; then read each of our open
   payments that no list contained.
4. List the refunds, how the memberships of unpaid payments stand, and the disputes.
5. Look up the company's name and the titles of its products, where they are not known yet.

Each page is applied in its own transaction. No transaction is open during a call to Whop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from daemon.company_names import fetch_name
from daemon.memberships import MembershipReader
from daemon.permissions import DISPUTES, LISTING, MEMBERS, NEEDED, NOT_PERMITTED
from daemon.product_titles import fetch_titles
from daemon.reversals import DisputeReader, read_refunds
from daemon.workers import WorkCounts, never, run_each
from db.company_settings.recovery import list_company_ids
from db.ledger import read_back, sync
from db.ledger.inbox import Reader
from db.ledger.sync import Progress
from db.session import SessionFactory
from recovery.health import SyncFailure
from recovery.reports import PaymentReport
from recovery.retrying.context import RetryRules
from whop.client import WhopClient
from whop.errors import NotFoundError, WhopError, classify_sync_error

log = logging.getLogger(__name__)

RENEWAL = "subscription_cycle"
# Whop gives up on a payment after five days; anything a month older than that is history.
OPEN_FOR = timedelta(days=35)
OVERLAP = timedelta(hours=2)
# Payments read one by one in a cycle, longest unread first. The rest follow in the next cycle.
MOST_SINGLE_READS = 500


class Reconciler:
    """`company_id` is read from the start; other companies once an event names them."""

    def __init__(
        self,
        sessions: SessionFactory,
        whop: WhopClient,
        rules: RetryRules,
        clock: Callable[[], datetime],
        read: Reader,
        company_id: str | None = None,
        stopping: Callable[[], bool] = never,
    ) -> None:
        self.sessions, self.whop, self.rules = sessions, whop, rules
        self.clock, self.read, self.company_id, self.stopping = clock, read, company_id, stopping
        self.memberships = MembershipReader(sessions, whop, rules, clock, stopping)
        self.disputes = DisputeReader(sessions, whop, rules, read, clock, stopping)

    def run(self) -> WorkCounts:
        """`done`: the number of failed payments that no webhook had reported."""
        with self.sessions() as session:
            company_ids = set(list_company_ids(session)) | {self.company_id or ""} - {""}
        failure = "its payments could not be read back"
        return run_each(sorted(company_ids), self.read_company, self.stopping, failure)

    def read_company(self, company_id: str) -> int:
        started_at = self.clock()
        with self.sessions.begin() as session:
            progress = sync.claim_sync(session, company_id, started_at)
        if progress is None or self.stopping():
            return 0
        found, missing, failure, complete = 0, frozenset[str](), None, False
        try:
            missing = self.whop.find_missing_permissions(company_id, NEEDED)
            if LISTING in missing:
                failure = NOT_PERMITTED
            else:
                found = self.read_payments(progress, started_at)
                read_refunds(self.sessions, self.whop, progress, self.stopping)
                self.read_facts(progress, missing)
                complete = not self.stopping()
                fetch_name(self.sessions, self.whop, company_id, self.stopping)
                fetch_titles(self.sessions, self.whop, company_id, self.clock, self.stopping)
        except WhopError as error:
            failure = SyncFailure(classify_sync_error(error), str(error))
        log_faults(company_id, failure, missing)
        with self.sessions.begin() as session:
            sync.release_sync(
                session,
                company_id,
                missing=missing,
                failure=failure,
                read_until=started_at if complete else None,
            )
        return found

    def read_payments(self, progress: Progress, started_at: datetime) -> int:
        company_id = progress.company_id
        if progress.imported:
            # Payments that failed and were paid since the last sync are in no list of open ones.
            since = (progress.read_until or progress.since) - OVERLAP
            found = self.read_pages(company_id, created_after=since)
        else:
            found = self.import_history(progress)
        found += self.read_pages(
            company_id,
            status="open",
            billing_reason=RENEWAL,
            created_after=self.clock() - OPEN_FOR,
        )
        self.read_unlisted(company_id, started_at)
        return found

    def read_facts(self, progress: Progress, missing: frozenset[str]) -> None:
        """Without a permission nothing is concluded."""
        if MEMBERS not in missing:
            self.memberships.read(progress.company_id)
        self.disputes.read(progress, listed=DISPUTES not in missing)

    def import_history(self, progress: Progress) -> int:
        """Oldest first, so that payments made during the import come last and are not missed."""
        cursor, found = progress.import_cursor, 0
        while not self.stopping():
            page = self.whop.list_payments(
                progress.company_id,
                created_after=progress.since,
                oldest_first=True,
                after=cursor,
            )
            cursor = page.next_cursor
            with self.sessions.begin() as session:
                found += self.apply_reports(session, progress.company_id, page.items, imported=True)
                sync.record_page(session, progress.company_id, cursor, self.clock())
            if cursor is None:
                log.info("company %s: import finished", progress.company_id)
                break
        return found

    def read_pages(self, company_id: str, **query: Any) -> int:
        cursor, found = None, 0
        while not self.stopping():
            page = self.whop.list_payments(company_id, after=cursor, **query)
            cursor = page.next_cursor
            with self.sessions.begin() as session:
                found += self.apply_reports(session, company_id, page.items)
                sync.renew_claim(session, company_id, self.clock())
            if cursor is None:
                break
        return found

    def read_unlisted(self, company_id: str, started_at: datetime) -> None:
        with self.sessions() as session:
            unread = sync.list_unread(
                session, company_id, started_at, self.clock(), MOST_SINGLE_READS
            )
        for payment_id in unread:
            if self.stopping():
                return
            try:
                reports = [self.whop.get_payment(payment_id, company_id)]
            except NotFoundError:
                reports = []
            with self.sessions.begin() as session:
                self.apply_reports(session, company_id, reports)
                if not reports:
                    read_back.record_unknown(session, payment_id, self.clock())
                sync.renew_claim(session, company_id, self.clock())

    def apply_reports(
        self,
        session: Session,
        company_id: str,
        reports: Sequence[PaymentReport],
        imported: bool = False,
    ) -> int:
        return read_back.apply_reports(
            session, company_id, reports, self.clock(), self.rules, self.read, imported=imported
        )


def log_faults(company_id: str, failure: SyncFailure | None, missing: frozenset[str]) -> None:
    if failure is not None:
        log.error("company %s: sync failed: %s", company_id, failure.detail)
    elif missing:
        log.error("company %s: our API key lacks permissions: %s", company_id, ", ".join(missing))
