"""A company's own text of a message, in place of ours. mail/templates.py checks it first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db import audit_log
from db.company_settings.recovery import lock_company
from db.models import Template
from recovery.status import Action, Step


@dataclass(frozen=True, slots=True)
class OwnTemplate:
    """Jinja2 templates: the subject, and the text between the first line and the button."""

    subject: str
    text: str
    html: str


def find_template(session: Session, company_id: str, step: Step) -> OwnTemplate | None:
    kept = session.get(Template, (company_id, step), populate_existing=True)
    return None if kept is None else OwnTemplate(kept.subject, kept.body_text, kept.body_html)


def list_templates(session: Session, company_id: str) -> dict[Step, OwnTemplate]:
    kept = session.scalars(select(Template).where(Template.company_id == company_id))
    return {own.step: OwnTemplate(own.subject, own.body_text, own.body_html) for own in kept}


def store_template(
    session: Session, company_id: str, step: Step, template: OwnTemplate, actor: str, now: datetime
) -> bool:
    """Stores without a check; call `mail.templates.save_template`. False: it is stored already."""
    lock_company(session, company_id)
    if find_template(session, company_id, step) == template:
        return False
    row = {
        "subject": template.subject,
        "body_text": template.text,
        "body_html": template.html,
        "saved_at": now,
        "saved_by": actor,
    }
    session.execute(
        insert(Template)
        .values(company_id=company_id, step=step, **row)
        .on_conflict_do_update(index_elements=["company_id", "step"], set_=row)
    )
    record_template_change(session, company_id, step, actor, now, restored=False)
    return True


def restore_template(
    session: Session, company_id: str, step: Step, actor: str, now: datetime
) -> bool:
    """Goes back to our text. False: it was in use already."""
    gone = delete(Template).where(Template.company_id == company_id, Template.step == step)
    if session.execute(gone.returning(Template.step)).first() is None:
        return False
    record_template_change(session, company_id, step, actor, now, restored=True)
    return True


def record_template_change(
    session: Session, company_id: str, step: Step, actor: str, now: datetime, *, restored: bool
) -> None:
    """Records whether a message has our text or the company's, never the text itself."""
    details = {"step": step.value, "restored": restored}
    audit_log.record(session, company_id, actor, Action.TEMPLATE, now, details=details)
