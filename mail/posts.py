"""Writes posts to a creator's Discord or Slack. They name only the company, no member."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from db.company_settings.notifications import Platform
from db.creator_notices.digest import Sum, add_up
from db.reporting.attention import Needed
from recovery.health import Deliverability
from recovery.labels import NEEDS, NOTICES, name_way
from recovery.status import NoticeKind, RecoveredBy
from recovery.wording import LONGEST_NAME, count, format_share, format_usd, make_plain

# Characters: Discord's limit.
LONGEST_POST = 2000
SUPPRESS_EMBEDS = 4
MARKS = re.compile(r"([\\`*_~|>#\[\]()<@])")
MORE = {
    NoticeKind.KEY_REFUSED: "Until this is fixed, payments are neither read nor charged. "
    "Check WHOP_API_KEY and its permissions.",
    NoticeKind.MAILS_REFUSED: "Emails to members wait, and are sent as soon as it accepts them. "
    "Check the account, its credits and its sender at SendGrid.",
}


def write_recoveries(
    company: str, recovered: Mapping[RecoveredBy, Sum], needed: Sequence[Needed] = ()
) -> str:
    """What came back, and what waits for the creator now."""
    parts = [
        f"{each.payments:,} {name_way(by)} ({format_usd(each.amount)})"
        for by, each in recovered.items()
        if each.payments
    ]
    whole = add_up(recovered.values())
    payments = count(whole.payments, "payment")
    said = f"{payments} recovered, {format_usd(whole.amount)}: {', '.join(parts)}."
    return sign(company, " ".join([said, *describe_needed(needed)]))


def describe_needed(needed: Sequence[Needed]) -> list[str]:
    """A sentence for the total and one for each reason. Empty if nothing needs the creator."""
    if not needed:
        return []
    number, amount = sum(each.payments for each in needed), sum(each.amount for each in needed)
    waits = count(number, "payment needs", "payments need")
    return [f"{waits} you, {format_usd(amount)}."] + [
        f"{NEEDS[each.need]}: {each.payments:,} ({format_usd(each.amount)})." for each in needed
    ]


def write_silence(company: str, since: datetime, zone: ZoneInfo) -> str:
    local = since.astimezone(zone)
    return sign(
        company,
        f"{NOTICES[NoticeKind.WEBHOOK_SILENT]} since {local:%A, %B} {local.day} at "
        f"{local:%H:%M}. Failed payments are still found, up to an hour later. Check the webhook "
        "at Whop, its address and its secret.",
    )


def write_bouncing(company: str, mails: Deliverability) -> str:
    undelivered = format_share(mails.undelivered, mails.sent)
    return sign(
        company,
        f"{NOTICES[NoticeKind.MAILS_BOUNCING]}: {undelivered} bounced, were dropped or reported as "
        "spam in the last 24 hours. Check your sending domain at SendGrid.",
    )


def write_plain(company: str, kind: NoticeKind) -> str:
    return sign(company, f"{NOTICES[kind]}. {MORE.get(kind, '')}".rstrip())


def sign(company: str, text: str) -> str:
    return f"{make_plain(company, LONGEST_NAME)}: {text}"


def encode(platform: Platform, text: str) -> dict[str, Any]:
    """The platform's JSON: plain text that mentions nobody and contains no links."""
    if platform is Platform.DISCORD:
        return {
            "content": MARKS.sub(r"\\\1", text)[:LONGEST_POST],
            "allowed_mentions": {"parse": []},
            "flags": SUPPRESS_EMBEDS,
        }
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": escaped, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
