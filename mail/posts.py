"""Writes posts to a creator's Discord or Slack. They name only the company, no member."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from db.company_settings.notifications import Platform
from db.creator_notices.digest import Sum
from db.reporting.attention import Needed
from recovery.action_required import NEEDS
from recovery.health import Deliverability
from recovery.status import NoticeKind
from recovery.text import LONGEST_NAME, make_plain

# Characters: Discord's limit.
LONGEST_POST = 2000
SUPPRESS_EMBEDS = 4
MARKS = re.compile(r"([\\`*_~|>#\[\]()<@])")
WORDS = {
    NoticeKind.KEY_REFUSED: "Whop refuses our key. Until that is put right payments are neither "
    "read back nor charged. Check WHOP_API_KEY, and what the app may do.",
    NoticeKind.KEY_REFUSED_OVER: "Whop accepts our key again.",
    NoticeKind.WEBHOOK_SILENT_OVER: "Webhooks from Whop arrive again.",
    NoticeKind.MAILS_BOUNCING_OVER: "Mails to members arrive again.",
}


def write_recoveries(
    company: str, by_retry: Sum, by_member: Sum, needed: Sequence[Needed] = ()
) -> str:
    """What was recovered, and what needs the creator now."""
    parts = []
    if by_retry.payments:
        parts.append(f"{by_retry.payments} by our retries (${by_retry.amount:,.2f})")
    if by_member.payments:
        parts.append(
            f"{by_member.payments} by members after our message (${by_member.amount:,.2f})"
        )
    number, amount = by_retry.payments + by_member.payments, by_retry.amount + by_member.amount
    noun = "payment" if number == 1 else "payments"
    recovered = f"{number} {noun} recovered, ${amount:,.2f}. {', '.join(parts)}."
    return sign(company, " ".join([recovered, *describe_needed(needed)]))


def describe_needed(needed: Sequence[Needed]) -> list[str]:
    """A sentence for the total and one for each reason. Empty if nothing needs the creator."""
    if not needed:
        return []
    number, amount = sum(each.payments for each in needed), sum(each.amount for each in needed)
    waits = "1 payment needs" if number == 1 else f"{number:,} payments need"
    return [f"{waits} you, ${amount:,.2f}."] + [
        f"{NEEDS[each.need].problem}: {each.payments:,} (${each.amount:,.2f})." for each in needed
    ]


def write_silence(company: str, since: datetime, zone: ZoneInfo) -> str:
    local = since.astimezone(zone)
    return sign(
        company,
        f"no webhook from Whop since {local:%A, %B} {local.day} at {local:%H:%M}, while failed "
        "payments were found by reading back. They are worked on all the same, up to an hour "
        "later. Check the webhook at Whop, its address and its secret.",
    )


def write_bouncing(company: str, mails: Deliverability) -> str:
    return sign(
        company,
        f"{mails.undelivered} of the last day's {mails.sent} mails to members did not arrive "
        "(bounced, dropped, or reported as spam). Check the sender's domain at SendGrid.",
    )


def write_plain(company: str, kind: NoticeKind) -> str:
    return sign(company, WORDS[kind])


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
