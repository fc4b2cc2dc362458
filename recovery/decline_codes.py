"""Which class a decline belongs to, by its code or by the bank's own words.

The codes are Whop's `PaymentDeclineCodes`, an open list, so `classify` has a default. The grouping
follows Visa's and Mastercard's retry rules and the lists that other processors publish; where they
disagree, the stricter rule wins. docs/creators/declines.md shows the table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from recovery.declines import DeclineClass

CODES: dict[DeclineClass, dict[str, str]] = {
    DeclineClass.FUNDS: {
        "insufficient_funds": "Insufficient funds",
        "card_velocity_exceeded": "Card limit reached",
        "withdrawal_count_limit_exceeded": "Card limit reached",
    },
    DeclineClass.ISSUER: {
        "generic_decline": "Card declined",
        "card_declined_by_issuer": "Declined by the bank",
        "bank_declined": "Declined by the bank",
        "cannot_authorize": "Declined by the bank",
        "provider_declined": "Declined by the processor",
        "contact_issuer": "Member must call the bank",
        "restricted_card": "Restricted card",
        "pin_required": "PIN required",
        "pin_required_as": "PIN required",
    },
    DeclineClass.TECHNICAL: {
        "processing_error": "Processing error",
        "issuer_unavailable": "Bank unreachable",
        "issuer_error": "Bank error",
        "try_again_later": "Try again later",
        "reenter_transaction": "Try again later",
        "three_d_secure_timeout": "Bank check timed out",
        "three_d_secure_generic_error": "Bank check failed to run",
    },
    DeclineClass.AUTHENTICATION: {
        "authentication_required": "Bank confirmation needed",
        "three_d_secure_success": "Confirmed, then declined",
        "three_d_secure_canceled": "Bank confirmation canceled",
        "three_d_secure_failed": "Bank confirmation failed",
        "three_d_secure_card_not_enrolled": "Card cannot be confirmed",
        "three_d_secure_too_many_attempts": "Too many confirmations",
        "three_d_secure_rejected_by_bank": "Confirmation rejected by the bank",
    },
    DeclineClass.CARD: {
        "expired_card": "Expired card",
        "invalid_expiry": "Wrong expiry date",
        "invalid_expiry_month": "Wrong expiry date",
        "invalid_expiry_year": "Wrong expiry date",
        "invalid_cvc": "Wrong security code",
        "invalid_cvc_or_expiration": "Wrong code or expiry date",
        "invalid_card_number": "Wrong card number",
        "three_d_secure_invalid_card_number": "Wrong card number",
        "invalid_zip": "Wrong postal code",
        "invalid_country": "Wrong country",
        "invalid_card_holder_name": "Wrong name on card",
        "invalid_account": "Account not valid",
        "closed_account": "Account closed",
        "no_accounts": "Account not found",
        "issuer_not_found": "Bank not found",
        "invalid_transaction": "Charge not valid for this card",
        "card_not_supported": "Card not supported",
        "card_type_not_supported": "Card not supported",
        "currency_not_supported": "Currency not supported",
        "transaction_not_permitted": "Card does not allow this charge",
        "transaction_not_allowed": "Card does not allow this charge",
        "incorrect_pin": "Wrong PIN",
        "invalid_pin": "Wrong PIN",
        "pin_try_exceeded": "Too many wrong PINs",
    },
    DeclineClass.FRAUD: {
        "lost_card": "Card reported lost",
        "stolen_card": "Card reported stolen",
        "three_d_secure_reported_lost_or_stolen": "Card reported lost or stolen",
        "suspected_fraud": "Suspected fraud",
        "three_d_secure_fraud": "Suspected fraud",
        "high_risk": "High risk",
        "merchant_blacklist": "Blocked for this seller",
        "regulatory_blocked": "Blocked by regulation",
    },
    DeclineClass.CONSENT: {
        "blocked_by_cardholder": "Stopped by the member",
        "transaction_stopped": "Stopped by the member",
        "transaction_cancelled": "Canceled by the member",
        "bank_payment_stopped": "Stopped by the member",
        "bank_authorization_revoked": "Permission withdrawn",
        "sepa_refused_by_customer": "Refused by the member",
        "sepa_disputed": "Disputed by the member",
    },
    DeclineClass.DUPLICATE: {
        "duplicate_transaction": "Possible duplicate charge",
        "bank_duplicate": "Possible duplicate charge",
    },
    DeclineClass.AMOUNT: {
        "invalid_amount": "Wrong amount",
        "bank_amount_error": "Wrong amount",
    },
    DeclineClass.BANK_DEBIT: {
        "bank_insufficient_funds": "Insufficient funds (bank debit)",
        "bank_account_not_found": "Bank account not found",
        "bank_account_closed": "Bank account closed",
        "bank_account_frozen": "Bank account frozen",
        "bank_invalid_routing_number": "Wrong routing number",
        "bank_non_transaction_account": "Account cannot be debited",
        "bank_not_authorized": "Debit not authorized",
        "bank_account_holder_deceased": "Account closed",
        "bank_regulatory_blocked": "Blocked by regulation",
        "bank_details_invalid": "Wrong bank details",
        "bank_processing_error": "Bank debit error",
        "bank_generic_decline": "Bank debit declined",
        "sepa_invalid_iban": "Wrong IBAN",
        "sepa_no_mandate": "No SEPA mandate",
        "sepa_mandate_data_invalid": "SEPA mandate not valid",
        "sepa_generic_decline": "SEPA debit declined",
    },
    DeclineClass.TEST: {
        "test_mode_decline": "Test decline",
        "test_mode_test_card": "Test card",
    },
}

CLASS_OF: dict[str, DeclineClass] = {code: cls for cls, codes in CODES.items() for code in codes}
WORDS_FOR: dict[str, str] = {
    code: words for codes in CODES.values() for code, words in codes.items()
}

# For older payloads, which have free text and no code. The first match wins, so patterns that
# forbid a charge come before those that allow one.
TEXTS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), code)
    for pattern, code in (
        (r"stolen", "stolen_card"),
        (r"\blost\b", "lost_card"),
        (r"fraud|security reasons?", "suspected_fraud"),
        (r"high.?risk", "high_risk"),
        (r"stopped|revoked|blocked by (the )?card.?holder", "transaction_stopped"),
        (r"insufficient|not enough (money|funds)|no funds", "insufficient_funds"),
        (r"daily limit|limit exceeded|velocity", "card_velocity_exceeded"),
        (r"3ds|3-?d secure|authenticat|verify (your|the) identity", "authentication_required"),
        (r"expired", "expired_card"),
        (r"restricted", "restricted_card"),
        (r"account (is )?closed|closed account", "closed_account"),
        (r"does not allow|not (permitted|allowed)", "transaction_not_allowed"),
        (r"permanently declined|not supported", "card_not_supported"),
        (r"(incorrect|invalid|wrong).*(number)", "invalid_card_number"),
        (r"(incorrect|invalid|wrong).*(cvc|cvv|security code)", "invalid_cvc"),
        (r"unavailable|try again|timed? ?out|processing error", "try_again_later"),
        (r"(contact|call).*(bank|issuer)|do.?not.?honou?r", "contact_issuer"),
        (r"declin", "generic_decline"),
    )
)
QUOTED_CODE = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


@dataclass(frozen=True, slots=True)
class Decline:
    """`code`: as Whop gave it or as read from the text; None: neither. `words`: what to show."""

    code: str | None
    decline_class: DeclineClass
    words: str


@lru_cache(maxsize=1024)
def classify(code: str | None, text: str | None = None) -> Decline:
    """By the code; if it is not known, by the text; else UNKNOWN with the bank's own words."""
    known = code if code in CLASS_OF else read_code(text) or read_code(code)
    if known is not None:
        return Decline(known, CLASS_OF[known], WORDS_FOR[known])
    reason = (text or code or "").strip().replace("_", " ")
    return Decline(code, DeclineClass.UNKNOWN, reason[:120].capitalize() or "No reason given")


def name_decline(code: str | None, words: str) -> str:
    """`words` are those kept with the payment: the code's own may have been changed since."""
    return WORDS_FOR.get(code or "", words)


def read_code(text: str | None) -> str | None:
    """A code quoted in the text ("The bank returned the decline code `x`.") or implied by it."""
    if not text:
        return None
    for word in QUOTED_CODE.findall(text):
        if word in CLASS_OF:
            return str(word)
    readable = text.replace("_", " ")
    return next((code for pattern, code in TEXTS if pattern.search(readable)), None)
