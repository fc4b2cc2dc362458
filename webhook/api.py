"""The REST API's figures and health checks. db/reporting/summary.py computes the figures."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from db.company_settings.recovery import list_company_ids
from db.outages import DatabaseUnavailable, translate_errors
from db.reporting.figures import Summary
from db.reporting.summary import summarize
from db.session import now, unready_reason
from webhook.routes import RETRY_LATER
from webhook.settings import WebhookSettings
from whop.values import IDENT

router = APIRouter()
ID = f"^{IDENT.pattern}$"


class Problem(BaseModel):
    detail: str


class ClosedOut(BaseModel):
    """`kept`: what came back of what failed; `ours`: the part that we claim."""

    model_config = ConfigDict(from_attributes=True)

    payments: int
    recovered: int
    failed_amount: float
    kept_amount: float
    our_amount: float
    rate: float
    our_rate: float


class SummaryOut(BaseModel):
    """Money is a number in major units of `currency`, net of refunds and disputes; rates are in
    percent, 0 to 100.

    The first four count every payment that ever failed, also those that were over before the
    set-up, and the rate is by number. The rest is since the set-up. `by_retry`: one of our own
    charges was paid. `by_member`: the member paid after our message; `after_click`: the part of it
    where they clicked its link first. `closed`: payments whose five days are over, as the
    dashboard's rate counts them, by money.
    """

    total_failed: int
    total_recovered: int
    recovery_rate: float
    recovered_amount: float
    recovered_by_retry_amount: float
    recovered_by_member_amount: float
    recovered_after_click_amount: float
    recovered_this_month: float
    recovered_by_retry_this_month: float
    recovered_by_member_this_month: float
    recovered_after_click_this_month: float
    closed: ClosedOut
    at_risk_amount: float
    unconverted: int
    currency: str
    as_of: datetime


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
        with translate_errors(), request.app.state.sessions() as session:
            yield session
    except DatabaseUnavailable as error:
        raise HTTPException(503, str(error), RETRY_LATER) from None


SessionDep = Annotated[Session, Depends(open_session)]


def choose_company(
    request: Request,
    session: SessionDep,
    company_id: Annotated[str | None, Query(pattern=ID)] = None,
) -> str:
    """The company asked for, else WHOP_COMPANY_ID, else the only one that is known."""
    settings: WebhookSettings = request.app.state.settings
    chosen = company_id or settings.whop_company_id
    if chosen is not None:
        return chosen
    known = list_company_ids(session, limit=2)
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
    """One company's failed, recovered and at-risk payments, in figures."""
    return describe_summary(summarize(session, company_id, now()))


def describe_summary(found: Summary) -> SummaryOut:
    ever, month = found.recovered, found.this_month
    return SummaryOut(
        total_failed=found.total_failed,
        total_recovered=found.total_recovered,
        recovery_rate=float(found.recovery_rate),
        recovered_amount=float(found.recovered_amount),
        recovered_by_retry_amount=float(ever.retry),
        recovered_by_member_amount=float(ever.after_message),
        recovered_after_click_amount=float(ever.click),
        recovered_this_month=float(month.total),
        recovered_by_retry_this_month=float(month.retry),
        recovered_by_member_this_month=float(month.after_message),
        recovered_after_click_this_month=float(month.click),
        closed=ClosedOut.model_validate(found.closed),
        at_risk_amount=float(found.at_risk_amount),
        unconverted=found.unconverted,
        currency=found.currency,
        as_of=found.as_of,
    )


@router.get("/healthz")
def healthz() -> Health:
    """The process is alive."""
    return Health(status="ok")


@router.get("/readyz", responses={503: PROBLEMS[503]})
def readyz(request: Request) -> Health:
    """The database takes writes and has this version's schema."""
    reason = unready_reason(request.app.state.sessions.kw["bind"])
    if reason is not None:
        raise HTTPException(503, reason, RETRY_LATER)
    return Health(status="ready")


@router.get("/metrics", response_class=Response)
def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
