"""Reads how the memberships of unpaid payments stand, in a handful of calls for a company.

Whop lists no memberships by their ids, so two of its lists are read: those with payments paused,
and those past due, which an unpaid renewal usually is. What is in neither is read by itself; an
empty list proves nothing, since Whop answers one where a permission is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from db.ledger import facts, reviews, sync, unread
from db.session import SessionFactory
from recovery.reports import MembershipReport
from recovery.retrying.context import RetryRules
from whop.client import PAGE, WhopClient
from whop.errors import AccessError, NotFoundError

PAUSED, PAST_DUE = "paused", "past_due"
# Pages of a list that are read beyond those that the wanted memberships fill.
MORE_PAGES = 4
# Memberships read one by one in a cycle, longest unread first. The rest follow in the next cycle.
MOST_SINGLE_READS = 500


@dataclass(frozen=True, slots=True)
class MembershipReader:
    sessions: SessionFactory
    whop: WhopClient
    rules: RetryRules
    clock: Callable[[], datetime]
    stopping: Callable[[], bool]

    def read(self, company_id: str) -> None:
        with self.sessions() as session:
            wanted = unread.list_memberships(session, company_id)
        missing = dict.fromkeys(wanted)
        if wanted:
            # The pause first: a list that shows it by nothing but its name is believed.
            for status in (PAUSED, PAST_DUE):
                for membership_id in self.read_list(company_id, status, len(wanted)):
                    missing.pop(membership_id, None)
        for membership_id in list(missing)[:MOST_SINGLE_READS]:
            if self.stopping():
                return
            self.read_one(company_id, membership_id)

    def read_list(self, company_id: str, status: str, wanted: int) -> set[str]:
        """Returns the ids that were read."""
        cursor, read, pages = None, set[str](), wanted // PAGE + MORE_PAGES
        while pages and not self.stopping():
            page = self.whop.list_memberships(company_id, status, after=cursor)
            cursor, pages = page.next_cursor, pages - 1
            found = [replace(one, paused=True) if status == PAUSED else one for one in page.items]
            self.record(company_id, found)
            read |= {one.membership_id for one in found}
            if cursor is None:
                break
        return read

    def read_one(self, company_id: str, membership_id: str) -> None:
        try:
            found = self.whop.get_membership(membership_id, company_id).facts
        except (AccessError, NotFoundError):
            # Nothing is known of it, and asking for it first again would keep others waiting.
            found = MembershipReport(
                membership_id=membership_id, company_id=company_id, observed_at=self.clock()
            )
        self.record(company_id, [found])

    def record(self, company_id: str, found: list[MembershipReport]) -> None:
        with self.sessions.begin() as session:
            concerns = facts.record_memberships(session, found, self.clock(), read=True)
            reviews.review_all(session, concerns, self.clock(), self.rules)
            sync.renew_claim(session, company_id, self.clock())
