"""Writes the creator's weekly digest: what was recovered, what is at risk, what needs them."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from db.creator_notices.digest import Digest, Figures, PaymentNeedingAction, Sum
from db.creator_notices.weeks import Week
from db.reporting.month_ends import MonthResult
from mail.messages import RenderedMessage
from recovery.action_required import REMEDIES
from recovery.labels import NEEDS, RECOVERED_BY, continue_with
from recovery.wording import (
    LONGEST_NAME,
    UNKNOWN_PRODUCT,
    count,
    format_money,
    format_usd,
    make_plain,
)

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "emails"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_digest(digest: Digest, dashboard_url: str) -> RenderedMessage:
    subject = write_subject(digest)
    words = {
        "company": make_plain(digest.company, LONGEST_NAME),
        "week": describe_week(digest.week),
        "rows": [row(*of) for of in list_figures(digest.figures, digest.before)],
        "month_end": describe_month_end(digest.month_end),
        "at_risk": describe_sum(digest.at_risk),
        "needed": describe_sum(digest.needed_total) if digest.needed else "",
        "needing_action": [describe_needing_action(payment) for payment in digest.needing_action],
        "more": digest.needed_total.payments - len(digest.needing_action),
        "missing": digest.sync.missing_permissions if digest.sync else (),
        "whop_unread": digest.sync is not None and digest.sync.failure is not None,
        "subject": subject,
        "link": dashboard_url,
        "zone": digest.week.zone.key.replace("_", " "),
    }
    return RenderedMessage(
        subject=subject,
        text=templates.get_template("digest.txt").render(words),
        html=templates.get_template("digest.html").render(words),
    )


def write_subject(digest: Digest) -> str:
    """Only figures, so that no name gets into a header."""
    ours, at_risk = digest.figures.ours, digest.at_risk
    if ours.payments:
        return (
            f"Last week: {format_usd(ours.amount)} recovered, {format_usd(at_risk.amount)} at risk"
        )
    failed = count(digest.figures.failed.payments, "payment")
    return f"Last week: {failed} failed, {format_usd(at_risk.amount)} at risk"


def list_figures(week: Figures, before: Figures) -> list[tuple[str, Sum, Sum]]:
    recovered = [
        (label, week.recovered[by], before.recovered[by]) for by, label in RECOVERED_BY.items()
    ]
    return [*recovered, ("Failed", week.failed, before.failed)]


def row(label: str, now: Sum, before: Sum) -> dict[str, str]:
    """Nothing is called more or less: between two weeks that is mostly chance."""
    return {"label": label, "sum": describe_sum(now), "before": describe_sum(before)}


def describe_sum(of: Sum) -> str:
    return f"{format_usd(of.amount)} ({count(of.payments, 'payment')})"


def describe_month_end(ended: MonthResult | None) -> str:
    if ended is None:
        return ""
    return (
        f"{ended.month:%B %Y} ended with {format_usd(ended.recovered)} recovered, "
        f"{format_usd(ended.ours)} of it by our retries or after our messages"
    )


def describe_week(week: Week) -> str:
    """`November 9 to 15, 2026`, or `November 30 to December 6, 2026`."""
    first, last = week.monday, week.sunday
    end = f"{last.day}" if first.month == last.month else f"{last:%B} {last.day}"
    return f"{first:%B} {first.day} to {end}, {last.year}"


def describe_needing_action(payment: PaymentNeedingAction) -> dict[str, str]:
    return {
        "member": make_plain(payment.member_name or "", LONGEST_NAME) or "A member",
        "product": make_plain(payment.product or "", LONGEST_NAME)
        or continue_with(UNKNOWN_PRODUCT),
        "amount": format_money(payment.amount, payment.currency),
        "why": f"{NEEDS[payment.need]}. {REMEDIES[payment.need]}.",
        "payment_id": payment.payment_id,
    }
