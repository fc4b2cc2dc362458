"""What the messages page reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from dashboard.data.database import Unavailable, read, write
from dashboard.settings import DashboardSettings
from db import audit_log
from db.audit_log import DASHBOARD
from db.company_settings.messaging import MessagingSettings, find_messaging_settings
from db.company_settings.templates import OwnTemplate, restore_template
from db.models import AuditEntry, Company, Payment, Template
from db.reporting.message_results import Results, count_results, count_suppressed, find_newest
from db.reporting.summary import find_time_zone
from db.session import now
from mail.templates import save_template
from recovery.declines import DeclineClass
from recovery.delivery import DeliveryFailure
from recovery.status import Step
from recovery.wording import Period, find_start


@dataclass(frozen=True, slots=True)
class MessagePage:
    """`payment`: the newest that failed for this reason. `own`: the company's own template, saved
    at `own_since` by `own_by`."""

    company_id: str | None
    seller: str | None
    time_zone: str
    messaging: MessagingSettings
    payment: Payment | None
    own: OwnTemplate | None
    own_since: datetime | None
    own_by: str | None
    results: Mapping[Step, Results]
    suppressed: Mapping[DeliveryFailure, int]
    entries: tuple[AuditEntry, ...]
    as_of: datetime


def read_message_page(
    settings: DashboardSettings,
    company_id: str | None,
    step: Step,
    decline_class: DeclineClass,
    period: Period,
) -> MessagePage | Unavailable:
    def gather(session: Session) -> MessagePage:
        whose = company_id or ""
        company, kept = session.get(Company, whose), session.get(Template, (whose, step))
        zone = find_time_zone(session, whose)
        return MessagePage(
            company_id=company_id,
            seller=company.name if company else None,
            time_zone=zone.key,
            messaging=find_messaging_settings(session, whose),
            payment=find_newest(session, whose, decline_class),
            own=OwnTemplate(kept.subject, kept.body_text, kept.body_html) if kept else None,
            own_since=kept.saved_at if kept else None,
            own_by=kept.saved_by if kept else None,
            results=count_results(session, whose, find_start(period, now(), zone)),
            suppressed=count_suppressed(session, whose),
            entries=tuple(audit_log.list_entries(session, whose)),
            as_of=now(),
        )

    return read(settings, gather)


def save_words(
    settings: DashboardSettings, company_id: str, step: Step, words: OwnTemplate, at: datetime
) -> Unavailable | None:
    """Raises BrokenTemplateError, and saves nothing then."""

    def save(session: Session) -> None:
        save_template(
            session, company_id, step, words.subject, words.text, words.html, DASHBOARD, at
        )

    return write(settings, save)


def restore_words(
    settings: DashboardSettings, company_id: str, step: Step, at: datetime
) -> Unavailable | None:
    def restore(session: Session) -> None:
        restore_template(session, company_id, step, DASHBOARD, at)

    return write(settings, restore)
