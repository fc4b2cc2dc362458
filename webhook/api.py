"""What may be read back: figures, payments, health. db/reporting/summary.py makes the figures."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, model_validator
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from db.reporting import summary as stats
from db.session import now, unready_reason
from recovery.declines import DeclineClass, explain_to_creator
from recovery.status import PaymentStatus
from webhook.settings import WebhookSettings

router = APIRouter()
ID = r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}$"


class Problem(BaseModel):
    detail: str


class SummaryOut(BaseModel):
    """Money is a number in major units of `currency`; the rate is in percent, 0 to 100.

    `by_retry`: one of our own charges collected it. `by_member`: the member paid after our message.
    """

    model_config = ConfigDict(from_attributes=True)

    total_failed: int
    total_recovered: int
    recovery_rate: float
    recovered_amount: float
    recovered_by_retry_amount: float
    recovered_by_member_amount: float
    recovered_this_month: float
    recovered_by_retry_this_month: float
    recovered_by_member_this_month: float
    at_risk_amount: float
    unconverted: int
    currency: str
    as_of: datetime


class PaymentOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    payment_id: str
    company_id: str
    membership_id: str | None
    member_id: str | None
    member_name: str | None
    product: str | None
    amount: float
    currency: str
    refunded_amount: float
    reason: str
    explanation: str = ""
    decline_code: str | None
    decline_class: str
    status: PaymentStatus
    retry_count: int
    failed_at: datetime
    window_ends_at: datetime
    next_retry_at: datetime | None
    last_attempt_at: datetime
    recovered_at: datetime | None
    recovered_by: str | None
    closed_reason: str | None
    created_at: datetime

    @model_validator(mode="after")
    def explain(self) -> PaymentOut:
        self.explanation = explain_to_creator(self.reason, DeclineClass(self.decline_class))
        return self


class PaymentPage(BaseModel):
    payments: list[PaymentOut]
    next_cursor: str | None


class Health(BaseModel):
    status: str


def require_token(request: Request) -> None:
    """`Authorization: Bearer <API_TOKEN>`; only development may leave the token unset."""
    settings: WebhookSettings = request.app.state.settings
    token = settings.api_token.get_secret_value()
    if not token and settings.in_development:
        return
    given = request.headers.get("authorization", "").encode()
    if not token or not hmac.compare_digest(given, f"Bearer {token}".encode()):
        raise HTTPException(401, "send Authorization: Bearer <API_TOKEN>")


def open_session(request: Request) -> Iterator[Session]:
    try:
        with request.app.state.sessions() as session:
            yield session
    except (OperationalError, PoolTimeout):
        raise HTTPException(503, "the database does not answer") from None


SessionDep = Annotated[Session, Depends(open_session)]


def choose_company(
    request: Request,
    session: SessionDep,
    company_id: Annotated[str | None, Query(pattern=ID)] = None,
) -> str:
    """The one asked for, else WHOP_COMPANY_ID, else the only one there is."""
    settings: WebhookSettings = request.app.state.settings
    chosen = company_id or settings.whop_company_id
    if chosen is not None:
        return chosen
    known = stats.list_company_ids(session)
    if len(known) > 1:
        raise HTTPException(422, "company_id: several companies are known; name one")
    return known[0] if known else settings.default_company or ""


CompanyDep = Annotated[str, Depends(choose_company)]
PROBLEMS: dict[int | str, dict[str, object]] = {
    401: {"model": Problem, "description": "No or wrong token"},
    422: {"model": Problem, "description": "A parameter is wrong; the detail names it"},
    503: {"model": Problem, "description": "The database does not answer"},
}


@router.get("/stats/summary", dependencies=[Depends(require_token)], responses=PROBLEMS)
def summary(session: SessionDep, company_id: CompanyDep) -> SummaryOut:
    """What failed, what came back, what is at risk."""
    return SummaryOut.model_validate(stats.summarize(session, company_id, now()))


@router.get("/payments/list", dependencies=[Depends(require_token)], responses=PROBLEMS)
def payments(
    session: SessionDep,
    company_id: CompanyDep,
    status: PaymentStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> PaymentPage:
    """Failed payments, newest first."""
    after = read_cursor(cursor) if cursor else None
    rows = stats.list_payments(session, company_id, limit=limit, status=status, after=after)
    last = rows[-1] if len(rows) == limit else None
    return PaymentPage(
        payments=[PaymentOut.model_validate(row) for row in rows],
        next_cursor=write_cursor(stats.Cursor(last.failed_at, last.id)) if last else None,
    )


def write_cursor(cursor: stats.Cursor) -> str:
    return base64.urlsafe_b64encode(f"{cursor.failed_at.isoformat()}|{cursor.id}".encode()).decode()


def read_cursor(value: str) -> stats.Cursor:
    try:
        failed_at, number = (
            base64.b64decode(value, altchars=b"-_", validate=True).decode().split("|")
        )
        parsed = datetime.fromisoformat(failed_at)
        if parsed.tzinfo is None or not 0 <= int(number) < 2**63:
            raise ValueError
        return stats.Cursor(parsed, int(number))
    except (ValueError, binascii.Error):
        raise HTTPException(422, "cursor: use a next_cursor from this API") from None


@router.get("/healthz")
def healthz() -> Health:
    """The process is alive."""
    return Health(status="ok")


@router.get("/readyz", responses={503: PROBLEMS[503]})
def readyz(request: Request) -> Health:
    """The database is reachable and has this version's schema."""
    reason = unready_reason(request.app.state.sessions.kw["bind"])
    if reason is not None:
        raise HTTPException(503, reason)
    return Health(status="ready")


@router.get("/metrics", response_class=Response)
def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
