"""What the schedule of a payment's messages depends on."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from db.company_settings.messaging import read_messaging_settings
from db.company_settings.time_zones import read_zone
from db.models import Company, Payment
from recovery.message_schedule import ScheduleContext, SendingHours
from recovery.status import Step


def describe_schedule(
    session: Session, payment: Payment, written: frozenset[Step], last_message_at: datetime | None
) -> ScheduleContext:
    tries = [at for at in (payment.next_retry_at, payment.whop_next_attempt_at) if at is not None]
    return ScheduleContext(
        decline_class=payment.decline_class,
        window_ends_at=payment.window_ends_at,
        written=written,
        last_message_at=last_message_at,
        tried_again=payment.retry_count > 0 or (payment.whop_failures or 0) > 1,
        next_try_at=min(tries, default=None),
        hours=find_hours(session, payment.company_id),
    )


def find_hours(session: Session, company_id: str) -> SendingHours:
    company = session.get_one(Company, company_id)
    messaging, _ = read_messaging_settings(company.settings)
    zone = read_zone(session, company.time_zone)
    return SendingHours(zone.key, messaging.quiet_from, messaging.quiet_until)
