"""The figures against the raw rows, whatever the zone. Kept days have test_rollup.py."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from db.company_settings.recovery import RecoverySettings, save_recovery_settings
from db.models import Payment
from db.reporting.summary import find_time_zone, summarize
from recovery.declines import DeclineClass
from recovery.status import PaymentStatus, RecoveredBy
from tests.factories import COMPANY, HOUR, NOW, valued
from tests.raw_figures import check_days, check_summary, list_days, read_rows

ZONES = ("UTC", "Asia/Kolkata", "America/Los_Angeles")
OTHER = "biz_other"
DAYS = 40


def draw_payment(rng: random.Random, number: int, company_id: str) -> Payment:
    """Any state that a payment can be in, at any age, whole or refunded, of any currency."""
    status = rng.choice(list(PaymentStatus))
    failed_at = NOW - timedelta(minutes=rng.randrange(75 * 24 * 60))
    paid = status is PaymentStatus.RECOVERED
    recovered_at = failed_at + (NOW - failed_at) * rng.random()
    amount = Decimal(rng.choice((0, 1999, 4900, 12345))) / 100
    return valued(
        Payment(
            payment_id=f"pay_{company_id}_{number}",
            company_id=company_id,
            amount=amount,
            currency="eur",
            amount_usd=rng.choice((None, amount * Decimal("1.0837"), amount)),
            refunded_amount=rng.choice((Decimal(0), amount / 3, amount)),
            reason="Insufficient funds",
            decline_class=rng.choice((DeclineClass.FUNDS, DeclineClass.FUNDS, DeclineClass.TEST)),
            first_decline_class=rng.choice((None, DeclineClass.FUNDS, DeclineClass.TEST)),
            status=status,
            failed_at=failed_at,
            window_ends_at=failed_at + timedelta(days=5),
            last_attempt_at=failed_at,
            next_retry_at=NOW + HOUR if status is PaymentStatus.PENDING_RETRY else None,
            recovered_at=recovered_at if paid else None,
            recovered_by=rng.choice(list(RecoveredBy)) if paid else None,
            imported=rng.random() < 0.3,
            observed_at=failed_at,
            created_at=min(failed_at + rng.choice((1, 60, 240)) * HOUR, NOW),
        )
    )


@pytest.fixture(params=ZONES)
def rows(request: pytest.FixtureRequest, session: Session) -> Sequence[Payment]:
    """The company's payments, beside those of another one, which must be in no figure."""
    rng = random.Random(8)
    for company_id in (COMPANY, OTHER):
        save_recovery_settings(
            session, company_id, RecoverySettings(time_zone=request.param), "somebody", NOW
        )
        session.add_all(draw_payment(rng, number, company_id) for number in range(700))
    session.commit()
    return read_rows(session, COMPANY)


def zone_of(session: Session) -> ZoneInfo:
    return find_time_zone(session, COMPANY)


def test_the_summary_is_what_the_rows_add_up_to(session: Session, rows: Sequence[Payment]) -> None:
    summary = summarize(session, COMPANY, NOW)
    check_summary(summary, rows, zone_of(session), NOW)
    for month, ever in zip(summary.this_month.parts, summary.recovered.parts, strict=True):
        assert 0 < month < ever
    assert 0 < summary.closed.our_rate < summary.closed.rate
    assert 0 < summary.closed.payments < summary.failed < summary.total_failed
    assert summary.total_failed < len(rows)
    assert 0 < summary.unconverted < summary.failed
    assert summary.at_risk_amount > 0


def test_each_day_is_what_its_rows_add_up_to(session: Session, rows: Sequence[Payment]) -> None:
    days = list_days(session, COMPANY, DAYS, NOW)
    check_days(days, rows, zone_of(session), NOW)
    assert all(sum(day.recovered.member for day in days[n:]) > 0 for n in (0, DAYS - 15))


def test_nothing_is_zero_everywhere_and_not_an_error(session: Session) -> None:
    check_summary(summarize(session, COMPANY, NOW), [], ZoneInfo("UTC"), NOW)
    check_days(list_days(session, COMPANY, DAYS, NOW), [], ZoneInfo("UTC"), NOW)
