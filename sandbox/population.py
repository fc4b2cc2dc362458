"""Who the simulated members are and why their renewals fail. All the numbers are here.

Shares of the causes are the middle of the bands of recovery-rules.md 2.4; pay frequencies are
those of US private firms. The rest is invented, and only has to be believable.
"""

from dataclasses import dataclass
from decimal import Decimal

PAY_FREQUENCIES = {"weekly": 32.4, "biweekly": 36.5, "semimonthly": 19.8, "monthly": 11.3}


@dataclass(frozen=True)
class Cause:
    """Why a charge fails, and how often it puts itself right without or with the member."""

    share: float
    codes: tuple[str, ...]
    clears: float = 0.0
    clears_not_before_hours: float = 0.0
    clears_after_hours: float = 1.0
    clears_for_hours: float | None = None
    waits_for_payday: bool = False
    member_pays: float = 0.1


CAUSES = {
    "funds": Cause(
        0.35,
        (
            "insufficient_funds",
            "insufficient_funds",
            "insufficient_funds",
            "card_velocity_exceeded",
        ),
        clears=0.22,
        clears_not_before_hours=8,
        clears_after_hours=30,
        clears_for_hours=30,
        waits_for_payday=True,
        member_pays=0.10,
    ),
    "generic": Cause(
        0.30,
        ("generic_decline", "generic_decline", "bank_declined", "cannot_authorize"),
        clears=0.48,
        clears_not_before_hours=4,
        clears_after_hours=40,
        member_pays=0.11,
    ),
    "do_not_honor": Cause(
        0.115,
        ("card_declined_by_issuer", "contact_issuer"),
        clears=0.34,
        clears_not_before_hours=10,
        clears_after_hours=50,
        member_pays=0.12,
    ),
    "technical": Cause(
        0.045,
        ("processing_error", "issuer_unavailable", "try_again_later"),
        clears=0.96,
        clears_not_before_hours=0.4,
        clears_after_hours=2.5,
        member_pays=0.02,
    ),
    "expired": Cause(0.08, ("expired_card",), member_pays=0.24),
    "invalid": Cause(
        0.065, ("invalid_card_number", "closed_account", "invalid_account"), member_pays=0.18
    ),
    "lost_or_fraud": Cause(
        0.06,
        ("lost_card", "stolen_card", "suspected_fraud", "transaction_stopped"),
        member_pays=0.08,
    ),
    "authentication": Cause(
        0.045, ("authentication_required", "three_d_secure_failed"), member_pays=0.30
    ),
}
UNKNOWN_CAUSE = Cause(0.0, ())

NEEDS_AUTHENTICATION = frozenset({*CAUSES["authentication"].codes, "three_d_secure_timeout"})

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


def cause_of(decline_code: str) -> Cause:
    named = (cause for cause in CAUSES.values() if decline_code in cause.codes)
    return next(named, UNKNOWN_CAUSE)


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

# Brand: (share, the digits its cards begin with).
CARD_BRANDS = {
    "visa": (56, "424242"),
    "mastercard": (32, "555555"),
    "amex": (8, "378282"),
    "discover": (4, "601111"),
}

REFUNDED_SHARE = 0.04
PARTLY_REFUNDED_SHARE = 0.3
MEMBER_PAYS_MEDIAN_HOURS = 16.0
MEMBER_PAYS_SPREAD = 0.9
MAIL_HELPS_SHARE = 0.5

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
