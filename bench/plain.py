"""The reference to compare with: the same work, written as tutorials teach it.

A FastAPI `def` endpoint and an ORM session per request: check, add, commit, answer. Tables,
signatures, parsing and retry policy are the product's own, and the pool has a connection for every
thread, so only the structure of the work differs.

`uvicorn bench.plain:app`
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from db.company_settings.recovery import DEFAULT_RECOVERY_SETTINGS, add_companies
from db.ledger.new_payments import describe_new
from db.models import Payment, WebhookEvent
from db.session import now as utc_now
from recovery.reports import PaymentReport
from recovery.retrying.context import RetryRules
from whop.payloads import read_event
from whop.signature import SignatureError, verify_signature
from whop.values import PayloadError

# FastAPI's default: so many `def` endpoints run at once.
THREADS = 40
RULES = RetryRules()
SECRET = os.environ["WHOP_WEBHOOK_SECRET"]
sessions = sessionmaker(create_engine(os.environ["DATABASE_URL"], pool_size=THREADS))
app = FastAPI()


async def read_body(request: Request) -> bytes:
    return await request.body()


@app.post("/webhook/whop")
def receive(request: Request, body: Annotated[bytes, Depends(read_body)]) -> dict[str, str]:
    now = utc_now()
    try:
        event_id = verify_signature((SECRET,), request.headers, body, now)
    except SignatureError as error:
        raise HTTPException(401, str(error)) from None
    payload = json.loads(body)
    try:
        parsed = read_event(payload, now)
    except PayloadError as error:
        raise HTTPException(422, str(error)) from None
    event = WebhookEvent(
        event_id=event_id,
        type=parsed.type,
        company_id=parsed.company_id,
        payment_id=parsed.payment_id,
        payload=payload,
        received_at=now,
        applied_at=now,
    )
    with sessions() as session:
        try:
            session.add(event)
            if parsed.payment is not None:
                add_payment(session, parsed.payment, now)
            session.commit()
        except IntegrityError:
            # It has been delivered before.
            session.rollback()
    return {"status": "stored"}


def add_payment(session: Session, report: PaymentReport, now: datetime) -> None:
    add_companies(session, {report.company_id})
    session.add(Payment(**vars(describe_new(report, DEFAULT_RECOVERY_SETTINGS, now, RULES))))
