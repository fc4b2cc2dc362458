"""A company's own words for a message, in place of ours. mail/templates.py checks them first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.company_settings.recovery import add_companies
from db.models import Template
from recovery.status import Step


@dataclass(frozen=True, slots=True)
class OwnTemplate:
    """Jinja2: the subject, and the words between the first line and the button."""

    subject: str
    text: str
    html: str


def find_template(session: Session, company_id: str, step: Step) -> OwnTemplate | None:
    kept = session.get(Template, (company_id, step), populate_existing=True)
    return None if kept is None else OwnTemplate(kept.subject, kept.body_text, kept.body_html)


def list_templates(session: Session, company_id: str) -> dict[Step, OwnTemplate]:
    kept = session.scalars(select(Template).where(Template.company_id == company_id))
    return {own.step: OwnTemplate(own.subject, own.body_text, own.body_html) for own in kept}


def keep_template(
    session: Session, company_id: str, step: Step, template: OwnTemplate, by: str, now: datetime
) -> None:
    """Unchecked: `mail.templates.save_template` is the way in."""
    add_companies(session, {company_id})
    row = {
        "subject": template.subject,
        "body_text": template.text,
        "body_html": template.html,
        "saved_at": now,
        "saved_by": by,
    }
    session.execute(
        insert(Template)
        .values(company_id=company_id, step=step, **row)
        .on_conflict_do_update(index_elements=["company_id", "step"], set_=row)
    )


def restore_template(session: Session, company_id: str, step: Step) -> bool:
    """Back to our words. False: they were in use already."""
    gone = delete(Template).where(Template.company_id == company_id, Template.step == step)
    return session.execute(gone.returning(Template.step)).first() is not None
