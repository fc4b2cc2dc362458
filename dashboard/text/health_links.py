"""The health page's findings about Whop and SendGrid. recovery/health.py decides each state, as it
does for the warnings and the posts."""

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
from recovery.status import Channel
from recovery.wording import count, format_span

CHECK_KEY = "Check that WHOP_API_KEY is valid for this company."
CHECK_WEBHOOK = "Check that the webhook in Whop's developer settings points to this server."
CHECK_ACCOUNT = (
    "Check at SendGrid that the account has credits, SENDGRID_API_KEY is valid and EMAIL_FROM is a "
    "verified sender."
)
GRANT = "Grant the key support_chat:create and support_chat:message:create in Whop's settings."
SENT_LATER = "What waits is sent within ten minutes of that."
WHOP_ADVICE = {
    WhopState.FINE: "",
    WhopState.UNREAD: "The first cycle imports your history. That can take a few minutes.",
    WhopState.LATE: "The daemon reads them in every cycle; its log says what went wrong.",
    WhopState.NOT_PERMITTED: "Grant the permissions below. The next cycle picks them up.",
    WhopState.UNREADABLE: CHECK_KEY,
    WhopState.KEY_REFUSED: CHECK_KEY,
    WhopState.DOWN: "Nothing is lost: recovery resumes by itself when Whop is back. Check "
    "status.whop.com and WHOP_API_URL.",
}
WEBHOOK_ADVICE = {
    WebhookState.FINE: "",
    WebhookState.NONE_RECEIVED: CHECK_WEBHOOK,
    WebhookState.QUIET: "That is normal when there are no payments. If there were some, check "
    "Whop's webhook log.",
    WebhookState.SILENT: f"Failed payments are still found, up to an hour later. {CHECK_WEBHOOK}",
}


def describe_webhooks(facts: HealthFacts, now: datetime) -> Finding:
    heard, missed = facts.webhooks.last_received_at, facts.webhooks.silent_since
    state = assess_webhooks(facts.webhooks, now)
    words = "No webhook has arrived yet."
    if heard is not None:
        words = f"The last one arrived {format_span(now - heard)} ago."
    if state is WebhookState.SILENT:
        words += " Newer failed payments were found by asking Whop."
    return Finding("Webhooks", state.level, words, WEBHOOK_ADVICE[state], heard or missed)


def describe_whop(facts: HealthFacts, now: datetime) -> Finding:
    state = assess_whop(facts.heartbeat, facts.sync, now)
    words, since = describe_whop_state(state, facts, now)
    return Finding("Whop", state.level, words, WHOP_ADVICE[state], since)


def describe_whop_state(
    state: WhopState, facts: HealthFacts, now: datetime
) -> tuple[str, datetime | None]:
    """The words, and since when they are true."""
    down = facts.heartbeat.whop_down_since if facts.heartbeat else None
    read = facts.sync.read_until if facts.sync else None
    failure = facts.sync.failure if facts.sync else None
    if state is WhopState.DOWN and down is not None:
        return f"No answer for {format_span(now - down)}.", down
    if state is WhopState.FINE and read is not None:
        return f"Connected. Payments were last read {format_span(now - read)} ago.", read
    if state in (WhopState.KEY_REFUSED, WhopState.UNREADABLE) and failure is not None:
        return f"Payments cannot be read. Whop said: {failure.detail}", read
    if state is WhopState.NOT_PERMITTED:
        return "Payments cannot be read: a permission is missing.", read
    if state is WhopState.UNREAD:
        return "No payments have been read yet.", None
    return "Payments have not been read recently.", read


def describe_permissions(facts: HealthFacts) -> Finding:
    if facts.sync is None:
        return Finding("Permissions", Level.NONE, "The first cycle checks them.")
    missing = facts.sync.missing_permissions
    if not missing:
        return Finding("Permissions", Level.GREEN, "Your Whop key has every permission it needs.")
    advice = "Grant them to the key in Whop's developer settings. The next cycle picks them up."
    return Finding("Permissions", Level.RED, f"Missing: {', '.join(missing)}.", advice)


def describe_account_refusals(facts: HealthFacts) -> list[Finding]:
    """Of Whop's chat. SendGrid has a finding of its own, whether it refuses us or not."""
    return [
        Finding(
            "Whop chat",
            Level.RED,
            f"Our key was refused at the last try, so chat messages wait. {refusal.detail}",
            f"{GRANT} {SENT_LATER}",
            refusal.since,
        )
        for refusal in facts.refusals
        if refusal.channel is Channel.WHOP
    ]


def describe_sending(facts: HealthFacts) -> Finding:
    mail, part = facts.sending, "SendGrid"
    for refusal in facts.refusals:
        if refusal.channel is Channel.EMAIL:
            words = f"Our account was refused at the last try, so emails wait. {refusal.detail}"
            advice = f"{CHECK_ACCOUNT} {SENT_LATER}"
            return Finding(part, Level.RED, words, advice, refusal.since)
    broken = mail.failed + mail.unknown + mail.put_off
    if not mail.sent and not broken:
        return Finding(part, Level.NONE, "No email was sent in the last 24 hours.")
    words = (
        f"In the last 24 hours: {count(mail.sent, 'email')} accepted, {mail.failed} refused, "
        f"{mail.unknown} unanswered, {mail.put_off} delayed."
    )
    sent, failed = mail.last_sent_at, mail.last_failed_at
    if failed is None or (sent is not None and sent >= failed):
        return Finding(part, Level.GREEN, words, since=sent)
    why = f" SendGrid said: {mail.detail}" if mail.detail else ""
    advice = "Check that SENDGRID_API_KEY is valid and EMAIL_FROM is a verified sender."
    level = Level.RED if not mail.sent else Level.AMBER
    return Finding(part, level, f"{words}{why}", advice, failed)


DELIVERY_ADVICE = {
    DeliverabilityState.BOUNCING: "Check your sending domain at SendGrid.",
    DeliverabilityState.UNHEARD: "Set up SendGrid's event webhook, and SENDGRID_WEBHOOK_KEY.",
}


def describe_delivery(facts: HealthFacts) -> Finding:
    delivery, part = facts.deliverability, "Email delivery"
    state = assess_deliverability(delivery)
    if state is DeliverabilityState.NO_MAIL:
        return Finding(part, state.level, "No email was sent in the last 24 hours.")
    be = "was" if delivery.undelivered == 1 else "were"
    words = (
        f"Of {count(delivery.sent, 'email')} in the last 24 hours, {delivery.undelivered} bounced, "
        f"{be} dropped or {be} reported as spam."
    )
    if state is DeliverabilityState.UNHEARD:
        words += " SendGrid has told nothing of them, so no payment after an email counts as ours."
    return Finding(part, state.level, words, DELIVERY_ADVICE.get(state, ""))
