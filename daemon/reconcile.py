"""ParsedEvent back from Whop what the webhooks may have missed, company by company.

1. Ask which permissions our key has: without them Whop answers an empty list, not an error.
2. The first time: import 90 days, page by page, resumable, writing to nobody.
3. List what is new since the last reading, and the open renewals; then ask for each payment of
   ours that the lists did not show.
4. List the refunds, and find out whose payments the disputes are about.

Pages are heard one transaction each. No transaction is open while Whop is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from daemon.company_names import ask_for_name
from daemon.reversals import read_disputes, read_refunds
from daemon.workers import never
from db.company_settings.recovery import list_company_ids
from db.ledger import sync
from db.ledger.inbox import Reader
from db.ledger.sync import Progress
from db.session import SessionFactory
from recovery.health import SyncFailure
from recovery.reports import PaymentReport
from recovery.retry_policy import RetryRules
from recovery.status import SyncError
from whop.client import WhopClient
from whop.errors import NotFoundError, WhopError, classify_sync_error

log = logging.getLogger(__name__)

LISTING = "payment:basic:read"
NEEDED = (
    LISTING,
    "payment:manage",
    "member:basic:read",
    "member:email:read",
    "member:manage",
    # For members whose address nobody knows.
    "support_chat:create",
    "support_chat:message:create",
)
NOT_PERMITTED = SyncFailure(
    SyncError.PERMISSION_MISSING, f"Whop does not let us read payments: {LISTING} is missing"
)
RENEWAL = "subscription_cycle"
# Whop gives a payment up after five days; one that is a month older than that is history.
OPEN_FOR = timedelta(days=35)
LATELY = timedelta(hours=2)
# Single payments asked for in a cycle. The rest has its turn in the next: longest unread first.
MOST_ASKED = 500


class Reconciler:
    """`company_id` is read from the first day on; others as soon as an event names them."""

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

    def run(self) -> int:
        """Returns how many failed payments nobody had told us about."""
        with self.sessions() as session:
            company_ids = set(list_company_ids(session)) | {self.company_id or ""} - {""}
        return sum(self.read_company(company_id) for company_id in sorted(company_ids))

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
                read_disputes(self.sessions, self.whop, company_id, self.read, self.clock)
                complete = not self.stopping()
                ask_for_name(self.sessions, self.whop, company_id, self.stopping)
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
            # What failed and was paid again since the last time is in no list of open ones.
            since = (progress.read_until or progress.since) - LATELY
            found = self.read_pages(company_id, created_after=since)
        else:
            found = self.import_history(progress)
        found += self.read_pages(
            company_id,
            status="open",
            billing_reason=RENEWAL,
            created_after=self.clock() - OPEN_FOR,
        )
        self.ask_for_quiet(company_id, started_at)
        return found

    def import_history(self, progress: Progress) -> int:
        """Oldest first, so that what is new while we read comes last and is not missed."""
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
                log.info("company %s: history imported", progress.company_id)
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

    def ask_for_quiet(self, company_id: str, started_at: datetime) -> None:
        with self.sessions() as session:
            quiet = sync.list_unread(session, company_id, started_at, self.clock(), MOST_ASKED)
        for payment_id in quiet:
            if self.stopping():
                return
            try:
                heard = [self.whop.get_payment(payment_id, company_id)]
            except NotFoundError:
                heard = []
            with self.sessions.begin() as session:
                self.apply_reports(session, company_id, heard)
                sync.record_read(session, payment_id, self.clock())
                sync.renew_claim(session, company_id, self.clock())

    def apply_reports(
        self,
        session: Session,
        company_id: str,
        heard: Sequence[PaymentReport],
        imported: bool = False,
    ) -> int:
        return sync.apply_reports(
            session, company_id, heard, self.clock(), self.rules, self.read, imported=imported
        )


def log_faults(company_id: str, failure: SyncFailure | None, missing: frozenset[str]) -> None:
    if failure is not None:
        log.error("company %s could not be read back: %s", company_id, failure.detail)
    elif missing:
        log.error("company %s: permissions are missing: %s", company_id, ", ".join(missing))
