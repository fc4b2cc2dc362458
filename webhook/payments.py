"""The REST API's list of failed payments, in pages (db/reporting/pagination.py)."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, model_validator

from db.models import Payment
from db.reporting.attention import find_needs_of
from db.reporting.next_steps import Viewpoint, find_next_steps
from db.reporting.pagination import Cursor, Order, parse_cursor
from db.reporting.search import Filters, StatusFilter, find_page
from db.session import now
from recovery.action_required import Actor, Need, NextStepKind
from recovery.decline_codes import name_decline
from recovery.declines import DeclineClass, explain_to_creator
from recovery.next_step import NextStep
from recovery.status import Channel, PaymentStatus
from webhook.api import PROBLEMS, CompanyDep, SessionDep, require_token
from webhook.settings import WebhookSettings

router = APIRouter()


class PaymentOut(BaseModel):
    """`needs`: what the creator has to do; null: nothing. `next_action`: what happens next, and
    `next_actor`: who does it. `first_decline_…`: what it failed for at first, whatever was answered
    later; null: not known. `amount`: what was paid, or is owed; `failed_amount`: what had failed;
    `disputed_amount`: what a dispute takes, open or lost. `since_setup`: false: it was over before
    the set-up; null: it is in no figure."""

    model_config = ConfigDict(from_attributes=True)

    payment_id: str
    company_id: str
    membership_id: str | None
    member_id: str | None
    member_name: str | None
    product: str | None
    amount: float
    currency: str
    failed_amount: float
    failed_currency: str
    refunded_amount: float
    disputed_amount: float
    reason: str
    explanation: str = ""
    decline_code: str | None
    decline_class: str
    first_decline_code: str | None
    first_decline_class: str | None
    status: PaymentStatus
    needs: Need | None = None
    next_action: NextStepKind = NextStepKind.MEMBER
    next_actor: Actor = Actor.MEMBER
    retry_count: int
    failed_at: datetime
    window_ends_at: datetime
    next_retry_at: datetime | None
    last_attempt_at: datetime
    recovered_at: datetime | None
    recovered_by: str | None
    closed_reason: str | None
    since_setup: bool | None
    created_at: datetime

    @model_validator(mode="after")
    def explain(self) -> PaymentOut:
        self.reason = name_decline(self.decline_code, self.reason)
        self.explanation = explain_to_creator(
            self.reason,
            DeclineClass(self.decline_class),
            retrying=self.status is PaymentStatus.PENDING_RETRY,
        )
        return self


class PaymentPage(BaseModel):
    payments: list[PaymentOut]
    next_cursor: str | None


@router.get("/payments/list", dependencies=[Depends(require_token)], responses=PROBLEMS)
def payments(
    request: Request,
    session: SessionDep,
    company_id: CompanyDep,
    status: PaymentStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> PaymentPage:
    """Failed payments, newest first."""
    filters = Filters(StatusFilter(status.value) if status else StatusFilter.ALL)
    after = read_cursor(cursor) if cursor else None
    rows = find_page(session, company_id, filters, after=after, limit=limit).payments
    needs = find_needs_of(session, [row.id for row in rows])
    view = choose_viewpoint(request.app.state.settings, now())
    steps = find_next_steps(session, company_id, rows, view)
    return PaymentPage(
        payments=[describe_payment(row, needs.get(row.id), steps[row.id]) for row in rows],
        # Set for every full page, even if it is the last.
        next_cursor=write_cursor(rows[-1]) if len(rows) == limit else None,
    )


def choose_viewpoint(settings: WebhookSettings, at: datetime) -> Viewpoint:
    """Whop's chat is always on."""
    channels = {Channel.WHOP} | ({Channel.EMAIL} if settings.email_enabled else set())
    return Viewpoint(at, settings.rules, frozenset(channels))


def describe_payment(payment: Payment, need: Need | None, step: NextStep) -> PaymentOut:
    described = PaymentOut.model_validate(payment)
    described.needs = need
    described.next_action, described.next_actor = step.kind, step.actor
    return described


def write_cursor(last: Payment) -> str:
    return base64.urlsafe_b64encode(f"{last.failed_at.isoformat()}|{last.id}".encode()).decode()


def read_cursor(value: str) -> Cursor:
    try:
        text = base64.b64decode(value, altchars=b"-_", validate=True).decode()
    # Both base64 and Unicode errors are ValueErrors.
    except ValueError:
        text = ""
    failed_at, _, number = text.partition("|")
    mark = parse_cursor(failed_at, number, Order.NEWEST)
    if mark is None:
        raise HTTPException(422, "cursor: use a next_cursor from this API")
    return mark
