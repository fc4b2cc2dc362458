"""How we stand with Whop and SendGrid, in words. What it is judged to be comes from
recovery/health.py, as it does for warnings and posts."""

from __future__ import annotations

from datetime import datetime

from dashboard.text.finding import Finding
from db.reporting.health import HealthFacts
from recovery.health import (
    DeliverabilityState,
    Level,
    WebhookState,
    WhopState,
    assess_deliverability,
    assess_webhooks,
    assess_whop,
)
from recovery.wording import count, format_span

CHECK_KEY = "See whether WHOP_API_KEY is valid for this company."
CHECK_WEBHOOK = "See whether the webhook in Whop's developer settings points to this receiver."
WHOP_TODO = {
    WhopState.FINE: "",
    WhopState.UNREAD: "The first cycle reads the history back; it may take some minutes.",
    WhopState.LATE: "The daemon reads back in each cycle; its log says what is in the way.",
    WhopState.NOT_PERMITTED: "Grant what is missing below; the next cycle notices.",
    WhopState.UNREADABLE: CHECK_KEY,
    WhopState.KEY_REFUSED: CHECK_KEY,
    WhopState.DOWN: "Nothing is lost: the daemon goes on by itself. See status.whop.com and "
    "WHOP_API_URL.",
}
WEBHOOK_TODO = {
    WebhookState.FINE: "",
    WebhookState.NONE_RECEIVED: CHECK_WEBHOOK,
    WebhookState.QUIET: "A small company may just be quiet; if payments were made, see Whop's "
    "webhook log.",
    WebhookState.SILENT: f"They are worked on all the same, up to an hour later. {CHECK_WEBHOOK}",
}


def describe_webhooks(facts: HealthFacts, now: datetime) -> Finding:
    heard, missed = facts.webhooks.last_received_at, facts.webhooks.silent_since
    state = assess_webhooks(facts.webhooks, now)
    words = "No webhook has been heard."
    if heard is not None:
        words = f"The last one was heard {format_span(now - heard)} ago."
    if state is WebhookState.SILENT:
        words += " Failures since then were found by reading back."
    return Finding("Webhooks", state.level, words, WEBHOOK_TODO[state], heard or missed)


def describe_whop(facts: HealthFacts, now: datetime) -> Finding:
    state = assess_whop(facts.heartbeat, facts.sync, now)
    words, since = say_whop(state, facts, now)
    return Finding("Whop", state.level, words, WHOP_TODO[state], since)


def say_whop(state: WhopState, facts: HealthFacts, now: datetime) -> tuple[str, datetime | None]:
    """What is said, and since when it is so."""
    down = facts.heartbeat.whop_down_since if facts.heartbeat else None
    read = facts.sync.read_until if facts.sync else None
    failure = facts.sync.failure if facts.sync else None
    if state is WhopState.DOWN and down is not None:
        return f"It has not answered for {format_span(now - down)}.", down
    if state is WhopState.FINE and read is not None:
        return f"It answers; payments were read back {format_span(now - read)} ago.", read
    if state in (WhopState.KEY_REFUSED, WhopState.UNREADABLE) and failure is not None:
        return f"Payments cannot be read back. Whop said: {failure.detail}", read
    if state is WhopState.NOT_PERMITTED:
        return "Payments cannot be read back: a permission is missing.", read
    if state is WhopState.UNREAD:
        return "Nothing has been read back yet.", None
    return "Payments were not read back lately.", read


def describe_permissions(facts: HealthFacts) -> Finding:
    if facts.sync is None:
        return Finding("Permissions", Level.NONE, "They are found out in the first cycle.")
    missing = facts.sync.missing_permissions
    if not missing:
        return Finding("Permissions", Level.GREEN, "Our key at Whop may do all it needs to.")
    todo = "Grant them to the key in Whop's developer settings; the next cycle notices."
    return Finding("Permissions", Level.RED, f"Missing: {', '.join(missing)}.", todo)


def describe_sending(facts: HealthFacts) -> Finding:
    mail, part = facts.sending, "SendGrid"
    broken = mail.failed + mail.unknown + mail.put_off
    if not mail.sent and not broken:
        return Finding(part, Level.NONE, "No mail was sent in the last 24 hours.")
    words = (
        f"In the last 24 hours {count(mail.sent, 'mail')} taken, {mail.failed} refused, "
        f"{mail.unknown} without an answer, {mail.put_off} put off."
    )
    sent, failed = mail.last_sent_at, mail.last_failed_at
    if failed is None or (sent is not None and sent >= failed):
        return Finding(part, Level.GREEN, words, since=sent)
    why = f" It said: {mail.detail}" if mail.detail else ""
    todo = "See whether SENDGRID_API_KEY is valid and EMAIL_FROM is a verified sender."
    level = Level.RED if not mail.sent else Level.AMBER
    return Finding(part, level, f"{words}{why}", todo, failed)


def describe_delivery(facts: HealthFacts) -> Finding:
    delivery, part = facts.deliverability, "Mail delivery"
    state = assess_deliverability(delivery)
    if state is DeliverabilityState.NO_MAIL:
        return Finding(part, state.level, "No mail was sent in the last 24 hours.")
    words = (
        f"Of {count(delivery.sent, 'mail')} in the last 24 hours, {delivery.undelivered} bounced "
        f"or {'was' if delivery.undelivered == 1 else 'were'} dropped or reported as spam."
    )
    todo = "Check the sender's domain at SendGrid."
    return Finding(part, state.level, words, todo if state is DeliverabilityState.BOUNCING else "")
