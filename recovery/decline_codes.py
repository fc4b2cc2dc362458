"""Which class a decline belongs to: by the payment method, the code, and the bank's own words.

The codes are Whop's `PaymentDeclineCodes`, an open list, so `classify` has a default. The grouping
follows Visa's and Mastercard's retry rules and the lists that other processors publish; where they
disagree, the stricter rule wins. docs/creators/declines.md shows the table.
"""

from __future__ import annotations

import re
from functools import lru_cache

from recovery.decline_words import list_forbidding, list_permitting
from recovery.declines import STICKS, STRICTNESS, Decline, DeclineClass, choose_stricter
from recovery.payment_methods import may_charge_method

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

# What the card networks and Stripe call a few of them, where Whop passes it on. Visa's category 1.
NETWORK_CODES: dict[str, str] = {
    "04": "suspected_fraud",
    "07": "suspected_fraud",
    "12": "invalid_transaction",
    "14": "invalid_card_number",
    "15": "issuer_not_found",
    "41": "lost_card",
    "43": "stolen_card",
    "46": "closed_account",
    "57": "transaction_not_permitted",
    "R0": "transaction_stopped",
    "R1": "transaction_stopped",
    "R3": "transaction_stopped",
}
QUOTED_CODE = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


@lru_cache(maxsize=1024)
def classify(code: str | None, text: str | None = None, method_type: str | None = None) -> Decline:
    """The method decides before the code, the code before the words; but what forbids wins.

    `method_type`: what was charged, as Whop calls it. Neither code nor words that we know: UNKNOWN,
    with the bank's own words.
    """
    decline = read_decline(code, text)
    if may_charge_method(method_type):
        return decline
    of_debit = decline.code if decline.decline_class is DeclineClass.BANK_DEBIT else None
    return choose_stricter(Decline(of_debit, DeclineClass.BANK_DEBIT, decline.words), decline)


def read_decline(code: str | None, text: str | None) -> Decline:
    """By a known code, unless the words forbid more than it does."""
    known = code if code in CLASS_OF else NETWORK_CODES.get((code or "").upper())
    quoted, rest = split_quoted(text or "")
    forbidding = [quote for quote in quoted if CLASS_OF[quote] in STICKS]
    if known is not None:
        return describe(min((known, *forbidding, *list_forbidding(rest)), key=rank))
    rest = f"{rest} {code or ''}"
    if forbidding := [*forbidding, *list_forbidding(rest)]:
        return describe(min(forbidding, key=rank))
    implied = next(iter((*quoted, *list_permitting(rest))), None)
    if implied is not None:
        return describe(implied)
    reason = (text or code or "").strip().replace("_", " ")
    return Decline(code, DeclineClass.UNKNOWN, reason[:120].capitalize() or "No reason given")


def split_quoted(text: str) -> tuple[list[str], str]:
    """The codes quoted in the text ("The bank returned the decline code `x`."), and the rest."""
    quoted = [word for word in QUOTED_CODE.findall(text) if word in CLASS_OF]
    return quoted, QUOTED_CODE.sub(lambda found: "" if found[0] in CLASS_OF else found[0], text)


def describe(code: str) -> Decline:
    return Decline(code, CLASS_OF[code], WORDS_FOR[code])


def rank(code: str) -> int:
    """The strictest first."""
    return STRICTNESS.index(CLASS_OF[code])


def name_decline(code: str | None, words: str) -> str:
    """`words` are those kept with the payment: the code's own may have been changed since."""
    return WORDS_FOR.get(code or "", words)
