"""The simulated members, what they buy, and the texts of declines.

All invented; it only has to be believable. What decides recoveries is in assumptions.py.
"""

from dataclasses import dataclass
from decimal import Decimal

# Decline codes for each cause. A code listed twice is twice as likely.
CODES = {
    "funds": (
        "insufficient_funds",
        "insufficient_funds",
        "insufficient_funds",
        "card_velocity_exceeded",
    ),
    "generic": ("generic_decline", "generic_decline", "bank_declined", "cannot_authorize"),
    "do_not_honor": ("card_declined_by_issuer", "contact_issuer"),
    "technical": ("processing_error", "issuer_unavailable", "try_again_later"),
    "expired": ("expired_card",),
    "invalid": ("invalid_card_number", "closed_account", "invalid_account"),
    "lost_or_fraud": ("lost_card", "stolen_card", "suspected_fraud", "transaction_stopped"),
    "authentication": ("authentication_required", "three_d_secure_failed"),
}
# Banks whose later answers say little about the first: their share (assumed), and their words.
CHANGING_SHARE = 0.15
MISLEADING = ("generic_decline", "insufficient_funds", "processing_error", "contact_issuer")

# The only cause that a new card does not solve: the member pays once there is money.
MONEY = "funds"

NEEDS_AUTHENTICATION = frozenset({*CODES["authentication"], "three_d_secure_timeout"})

FAILURE_MESSAGES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "card_velocity_exceeded": "Your card has reached its limit for now.",
    "generic_decline": "Your card was declined.",
    "bank_declined": "The bank declined the payment.",
    "cannot_authorize": "The bank could not authorize the payment.",
    "card_declined_by_issuer": "The card's bank declined the payment without a reason.",
    "contact_issuer": "The card's bank asks you to contact it.",
    "processing_error": "Something went wrong while the card was processed.",
    "issuer_unavailable": "The card's bank could not be reached.",
    "try_again_later": "The card's bank asks to try again later.",
    "expired_card": "Your card has expired.",
    "invalid_card_number": "The card number is not valid.",
    "closed_account": "The account behind the card is closed.",
    "invalid_account": "The account behind the card is not valid.",
    "lost_card": "The card is restricted, lost or stolen.",
    "stolen_card": "The card is restricted, lost or stolen.",
    "suspected_fraud": "The payment was declined for security reasons.",
    "transaction_stopped": "The cardholder asked the bank to stop this payment.",
    "authentication_required": "The bank asks for 3D Secure authentication.",
    "three_d_secure_failed": "The bank could not verify the 3D Secure identity.",
}


def cause_of(decline_code: str) -> str | None:
    return next((cause for cause, codes in CODES.items() if decline_code in codes), None)


def failure_message(decline_code: str) -> str:
    default = f"The bank returned the decline code `{decline_code}`."
    return FAILURE_MESSAGES.get(decline_code, default)


@dataclass(frozen=True)
class Product:
    title: str
    price: Decimal
    share: float


PRODUCTS = (
    Product("Morning Brief", Decimal("9.99"), 18),
    Product("Recipe Club", Decimal("14.99"), 12),
    Product("Maker Community", Decimal("19.99"), 18),
    Product("Growth Lab", Decimal("29.00"), 17),
    Product("Signals Pro", Decimal("49.00"), 15),
    Product("Editing Studio", Decimal("79.00"), 9),
    Product("Mentor Circle", Decimal("99.00"), 6),
    Product("Founders Table", Decimal("149.00"), 3),
    Product("Inner Room", Decimal("199.00"), 2),
)

CURRENCIES = {"usd": 90, "eur": 6, "gbp": 4}
USD_PER = {"usd": Decimal(1), "eur": Decimal("1.08"), "gbp": Decimal("1.27")}

# Brand: (share in percent, first digits of the card number).
CARD_BRANDS = {
    "visa": (56, "424242"),
    "mastercard": (32, "555555"),
    "amex": (8, "378282"),
    "discover": (4, "601111"),
}

REFUNDED_SHARE = 0.04
PARTLY_REFUNDED_SHARE = 0.3

FIRST_NAMES = """
Amara Aisha Anders Beatriz Bruno Camille Chidi Daniela David Elif Emeka Emily Farah Fatima Felix
Grace Hana Hiroshi Ines Ivan Jamal James Jasmine João José Kaito Karim Kwame Laila Linh Lucía Luka
Maya Mateo Mei Mohammed Nadia Ngozi Noah Nikhil Olga Omar Paolo Priya Rahul Rosa Ruth Sana Santiago
Sofia Tariq Thandi Tomasz Valentina Wei Yara Yuki Zanele Zoë
"""
LAST_NAMES = """
Abebe Adeyemi Ahmed Álvarez Andersson Bauer Begum Brown Castro Chen Costa Dlamini Diallo Eriksen
Farouk Fernández Ferrari García Gupta Haddad Hernández Hughes Ivanova Johnson Kaya Khan Kim Kowalski
Kumar Lefèvre Li López Martin Mbeki Mensah Müller Nakamura Ndiaye Nguyen Novák Okafor Oliveira Osei
Park Patel Petrov Pham Popescu Rahman Ramírez Reyes Rossi Sato Silva Singh Smith Suzuki Tanaka
Taylor Torres Tran Walker Wójcik Yildiz Zhang
"""
