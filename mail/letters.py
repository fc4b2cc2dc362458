"""The words of a message, from the templates in mail/emails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from db.declines import DeclineClass, explain_to_member
from db.outbox import Letter

SUBJECTS = {
    "payment_failed": "Your payment failed — click here to update your card",
    "reminder": "Your payment is still open",
    "last_day": "One day left to keep your membership",
    "notice": "Your payment did not go through",
}
SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£"}

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "emails"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the member puts it right, and how the seller is called there."""

    manage_url: str
    seller: str | None = None
    product: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    subject: str
    text: str
    html: str


def write(letter: Letter, destination: Destination) -> Written:
    """Text and HTML of one message. The member never reads why the bank refused."""
    confirm = letter.decline_class is DeclineClass.AUTHENTICATION and letter.recovery_url
    words = {
        "name": (letter.member_name or "there").split()[0],
        "seller": destination.seller,
        "product": letter.product or destination.product or "your membership",
        "amount": format_money(letter.amount, letter.currency),
        "card": describe_card(letter.card_brand, letter.card_last4),
        "explanation": explain_to_member(letter.decline_class, letter.decline_code),
        "next_try": format_time(letter.next_retry_at),
        "ends": format_time(letter.window_ends_at),
        "button": "Confirm the payment" if confirm else "Update your card",
        "link": letter.recovery_url if confirm else destination.manage_url,
    }
    return Written(
        subject=SUBJECTS[letter.step],
        text=templates.get_template(f"{letter.step}.txt").render(words),
        html=templates.get_template(f"{letter.step}.html").render(words),
    )


def format_money(amount: Decimal, currency: str) -> str:
    """`$49.99`, `€10.00`, or `10.00 CHF` where the sign would be unclear."""
    number = f"{amount:,.2f}"
    symbol = SYMBOLS.get(currency)
    return f"{symbol}{number}" if symbol else f"{number} {currency.upper()}"


def describe_card(brand: str | None, last4: str | None) -> str:
    if last4 is None:
        return "your card"
    return f"your {brand.title() if brand else 'card'} ending in {last4}"


def format_time(moment: datetime | None) -> str | None:
    return f"{moment:%A, %B} {moment.day} at {moment:%H:%M} UTC" if moment else None
