"""The variables of a message template: names, times and amounts of one payment, formatted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo

from db.company_settings.messaging import MessagingSettings
from db.member_messages.message_context import MessageContext
from recovery.action_required import ONLY_THE_MEMBER
from recovery.declines import DeclineClass, explain_to_member
from recovery.instruments import BANK_ACCOUNT, Instrument, describe_instrument
from recovery.wording import format_money, make_plain

MOST_OTHERS = 10
LONGEST_NAME = 40
LONGEST_TITLE = 80
# First names are used in the greeting. One that a mail program would turn into a link is an advert.
LIKE_A_LINK = re.compile(r"://|@|\bwww\.|\w{2}\.\w{2}")

Words = dict[str, str | list[dict[str, str]] | None]


@dataclass(frozen=True, slots=True)
class Destination:
    """The page where the member can fix the payment, and the names of seller and product."""

    manage_url: str
    seller: str | None = None
    product: str | None = None


def choose_words(
    context: MessageContext, destination: Destination, messaging: MessagingSettings
) -> Words:
    """The variables that a template may use. None: this message has no such value."""
    button, link = choose_button(context, destination)
    instrument = find_instrument(context)
    return {
        "name": choose_greeting(context.member_name),
        "seller": make_plain(messaging.sender_name or destination.seller or "", LONGEST_TITLE)
        or None,
        "product": name_product(context, destination.product),
        "amount": format_money(context.amount, context.currency),
        "card": instrument.in_sentence,
        "explanation": explain_to_member(
            context.decline_class, context.decline_code, is_card=instrument.is_card
        ),
        "next_try": describe_next_try(context),
        # Nothing ends with a payment that no membership hangs on.
        "ends": (
            format_time(context.window_ends_at, context.time_zone)
            if context.membership_id is not None
            else None
        ),
        "button": button,
        "link": link,
        "others": [
            {
                "product": make_plain(owed.product or "", LONGEST_TITLE) or "another payment",
                "amount": format_money(owed.amount, owed.currency),
            }
            for owed in context.others[:MOST_OTHERS]
        ],
    }


def choose_greeting(member_name: str | None) -> str:
    name = make_plain((member_name or "").partition("\0")[0], 10 * LONGEST_NAME)
    first = make_plain(name.partition(" ")[0], LONGEST_NAME)
    return "there" if not first or LIKE_A_LINK.search(first) else first


def name_product(context: MessageContext, found: str | None) -> str:
    """`found`: what Whop calls it now."""
    title = make_plain(context.product or found or "", LONGEST_TITLE)
    return title or ("your membership" if context.membership_id is not None else "your purchase")


def choose_button(context: MessageContext, destination: Destination) -> tuple[str, str]:
    """Its text and its link. Confirming needs Whop's own page for this payment."""
    page = quote_link(destination.manage_url)
    match context.decline_class:
        case DeclineClass.AUTHENTICATION if context.recovery_url:
            return "Confirm the payment", quote_link(context.recovery_url)
        case DeclineClass.CONSENT:
            return f"See your {'membership' if context.membership_id else 'purchases'}", page
        case _ if find_instrument(context).is_card:
            return "Update your card", page
        case _:
            return "Update how you pay", page


def quote_link(url: str) -> str:
    """Quotes only characters that could end the link in text, HTML or Markdown."""
    return quote(url, safe=":/?#[]@!$&*+,;=%~")


def find_instrument(context: MessageContext) -> Instrument:
    found = describe_instrument(context.instrument_name, context.card_brand, context.card_last4)
    if context.decline_class is DeclineClass.BANK_DEBIT and not found.is_known:
        return Instrument(BANK_ACCOUNT)
    return found


def describe_next_try(context: MessageContext) -> str | None:
    """A day: we do not know the member's time zone, and nobody has to be there at the hour. None
    also where a retry is planned and cannot help, so that no member waits for it."""
    if context.decline_class in ONLY_THE_MEMBER or context.next_retry_at is None:
        return None
    # What is due is charged within the hour: the day that it was planned for may be over.
    at = max(context.next_retry_at, context.written_at)
    local = at.astimezone(ZoneInfo(context.time_zone))
    return f"{local:%A, %B} {local.day}"


def format_time(moment: datetime, time_zone: str) -> str:
    """`Wednesday, November 25 at 10:15 (Berlin time)`. For deadlines: a day alone would promise
    hours that the member does not have, and the zone's name makes it true for every reader."""
    local = moment.astimezone(ZoneInfo(time_zone))
    return f"{local:%A, %B} {local.day} at {local:%H:%M} {name_zone(local, time_zone)}"


def name_zone(local: datetime, time_zone: str) -> str:
    """Named by its city, because abbreviations such as CST are ambiguous."""
    area, _, city = time_zone.rpartition("/")
    if not area or area == "Etc":
        return local.tzname() or "UTC"
    return f"({city.replace('_', ' ')} time)"
