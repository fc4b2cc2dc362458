"""Keeps the newest words about memberships and disputes, in whatever order they are heard.

Whoever writes facts does so before it locks payments, so that two writers cannot wait for each
other. `reviews.py` says what the facts mean for payments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.members import MEMBER_IDS, belongs_to, copy_facts
from db.models import Dispute, Membership, Payment
from recovery.reports import (
    DisputeReport,
    MembershipReport,
    PaymentReport,
    find_disputes,
    find_memberships,
)
from recovery.standing import (
    CLOSED_BY,
    EFFECTS,
    MATTERS_FOR,
    PAUSES,
    RENEWALS,
    DisputeEffect,
    Told,
    choose_newer,
    judge_dispute,
)


@dataclass(frozen=True, slots=True)
class Whose:
    """The ids of a member, or of one membership."""

    company_id: str
    member_id: str | None = None
    user_id: str | None = None
    membership_id: str | None = None


@dataclass(frozen=True, slots=True)
class Concern:
    """The payments for which a fact may mean something. `stops`: it ends the work on them; `quiet`:
    it is no news and forbids nothing, so that only payments on hold are looked at again.
    `disputed`: the payment whose money it is about. `anonymous`: nobody has told yet whose it is.
    """

    payments: ColumnElement[bool]
    stops: bool
    quiet: bool = False
    disputed: str | None = None
    anonymous: bool = False


def record_memberships(
    session: Session, reports: Sequence[MembershipReport], now: datetime, *, read: bool = False
) -> list[Concern]:
    """`read`: they were asked for, not heard."""
    if not reports:
        return []
    rows = lock_rows(session, {(one.company_id, one.membership_id) for one in reports})
    concerns = []
    for report in reports:
        row = rows[report.company_id, report.membership_id]
        before = copy_facts(row)
        take_in(row, report)
        row.read_at = now if read else row.read_at
        forbids = row.renewal in CLOSED_BY or row.paused
        quiet = not forbids and copy_facts(row) == before
        concerns.append(replace(find_concern(report, now), quiet=quiet))
    session.flush()
    return concerns


def lock_rows(session: Session, keys: set[tuple[str, str]]) -> dict[tuple[str, str], Membership]:
    ordered = sorted(keys)
    session.execute(
        insert(Membership).on_conflict_do_nothing(),
        [{"company_id": company_id, "membership_id": one} for company_id, one in ordered],
    )
    found = session.scalars(
        select(Membership)
        .where(tuple_(Membership.company_id, Membership.membership_id).in_(ordered))
        .order_by(Membership.company_id, Membership.membership_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {(row.company_id, row.membership_id): row for row in found}


def take_in(row: Membership, report: MembershipReport) -> None:
    renewal = choose_newer(
        recall(row.renewal, row.renewal_observed_at, row.renewal_since),
        recall(report.renewal, report.observed_at, report.since),
        RENEWALS,
    )
    if renewal is not None:
        row.renewal = renewal.word
        row.renewal_observed_at, row.renewal_since = renewal.observed_at, renewal.since
    paused = choose_newer(
        recall(row.paused, row.paused_observed_at, row.paused_since),
        recall(report.paused, report.observed_at, report.paused_at),
        PAUSES,
    )
    if paused is not None:
        row.paused = paused.word
        row.paused_observed_at, row.paused_since = paused.observed_at, paused.since
    for name in ("member_id", "user_id", "product_id"):
        setattr(row, name, getattr(report, name) or getattr(row, name))
    started = (at for at in (row.started_at, report.started_at) if at is not None)
    row.started_at = min(started, default=None)


def recall(word: Any, observed_at: datetime | None, since: datetime | None) -> Told[Any] | None:
    if word is None or observed_at is None:
        return None
    return Told(word, observed_at, since or observed_at)


def find_concern(report: MembershipReport, now: datetime) -> Concern:
    """The payments of the membership; where it was bought lately, all of its member."""
    if report.started_at is not None and report.started_at >= now - MATTERS_FOR:
        theirs = Whose(report.company_id, report.member_id, report.user_id, report.membership_id)
    else:
        theirs = Whose(report.company_id, membership_id=report.membership_id)
    return Concern(belongs_to(Payment, theirs), stops=report.renewal in CLOSED_BY)


def record_reports(
    session: Session, reports: Sequence[PaymentReport], now: datetime
) -> list[Concern]:
    """Records what payments tell of memberships and of disputes about them."""
    concerns = record_memberships(session, find_memberships(reports), now)
    disputes = sorted(find_disputes(reports), key=lambda one: one.payment_id)
    return concerns + [record_dispute(session, dispute, now) for dispute in disputes]


def record_dispute(
    session: Session, report: DisputeReport, now: datetime, *, read: bool = False
) -> Concern:
    """The disputed payment was paid, so it concerns its money, and other payments of the same
    member."""
    key = {"company_id": report.company_id, "payment_id": report.payment_id}
    row = session.get(Dispute, key, with_for_update=True, populate_existing=True)
    known = session.scalars(
        select(Payment).where(
            Payment.payment_id == report.payment_id, Payment.company_id == report.company_id
        )
    ).one_or_none()
    told = (report, row, known)
    whose = {
        name: next((value for one in told if (value := getattr(one, name, None))), None)
        for name in MEMBER_IDS
    }
    if row is None:
        first = {"status": report.status, "observed_at": report.observed_at, "recorded_at": now}
        session.execute(insert(Dispute).values(key | whose | first).on_conflict_do_nothing())
        row = session.get_one(Dispute, key, with_for_update=True, populate_existing=True)
    newest = whose | choose_status(row, report) | choose_amount(row, report)
    newest |= {"opened_at": min(row.opened_at, report.opened_at or report.observed_at)}
    newest |= {"read_at": now} if read else {}
    for name, value in newest.items():
        setattr(row, name, value)
    session.flush()
    return Concern(
        belongs_to(Payment, Whose(report.company_id, **whose)),
        stops=judge_dispute(row.status) is DisputeEffect.STOPS,
        disputed=report.payment_id,
        anonymous=not any(whose.values()),
    )


def choose_amount(row: Dispute, report: DisputeReport) -> dict[str, Any]:
    """The largest, whichever was heard first: the bank's alert and its dispute may differ."""
    told = [(one.amount, one.currency) for one in (row, report) if one.amount and one.currency]
    amount, currency = max(told, default=(None, None))
    return {"amount": amount, "currency": currency}


def choose_status(row: Dispute, report: DisputeReport) -> dict[str, Any]:
    """The newer word; of two from the same time the one that stops more."""
    known, told = (
        (one.observed_at, EFFECTS.index(judge_dispute(one.status))) for one in (row, report)
    )
    # invariant 11: an older word about a dispute does not undo a newer one
    newest = report if told > known else row
    return {"status": newest.status, "observed_at": newest.observed_at}
