"""The classes of declines: what each means, and how to explain it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DeclineClass(StrEnum):
    FUNDS = "funds"
    ISSUER = "issuer"
    TECHNICAL = "technical"
    AUTHENTICATION = "authentication"
    CARD = "card"
    FRAUD = "fraud"
    CONSENT = "consent"
    DUPLICATE = "duplicate"
    AMOUNT = "amount"
    BANK_DEBIT = "bank_debit"
    TEST = "test"
    UNKNOWN = "unknown"


# From the strictest: where less may be charged, or asked of the member, comes first. Of two things
# that are told of one payment, the stricter one counts.
STRICTNESS: tuple[DeclineClass, ...] = (
    DeclineClass.CONSENT,
    DeclineClass.FRAUD,
    DeclineClass.DUPLICATE,
    DeclineClass.AMOUNT,
    DeclineClass.TEST,
    DeclineClass.BANK_DEBIT,
    DeclineClass.CARD,
    DeclineClass.AUTHENTICATION,
    DeclineClass.UNKNOWN,
    DeclineClass.ISSUER,
    DeclineClass.FUNDS,
    DeclineClass.TECHNICAL,
)


@dataclass(frozen=True, slots=True)
class Decline:
    """`code`: as Whop gave it or as read from the text; None: neither. `words`: what to show."""

    code: str | None
    decline_class: DeclineClass
    words: str


def choose_stricter(one: Decline, other: Decline) -> Decline:
    """The first of the two where they are equally strict."""
    return min(one, other, key=lambda decline: STRICTNESS.index(decline.decline_class))


MEANINGS: dict[DeclineClass, str] = {
    DeclineClass.FUNDS: "the balance or a limit was too low today; a later retry often works",
    DeclineClass.ISSUER: "the bank gave no lasting reason; a later retry often works",
    DeclineClass.TECHNICAL: "something failed on the way to the bank; a retry usually works",
    DeclineClass.AUTHENTICATION: "the member must confirm the payment with the bank",
    DeclineClass.CARD: "this card is never charged again; the member must change it",
    DeclineClass.FRAUD: "reported lost, stolen or suspicious; never charged again",
    DeclineClass.CONSENT: "the member stopped this charge; never charged again",
    DeclineClass.DUPLICATE: "the bank took it for a second charge; check whether the member paid",
    DeclineClass.AMOUNT: "the price is set up wrongly; you must correct it on Whop",
    DeclineClass.BANK_DEBIT: "this way to pay is never charged again by us; the member must pay",
    DeclineClass.TEST: "a test card or test mode; no money",
    DeclineClass.UNKNOWN: "not a reason that we know; a later retry may work",
}

# Of these, the meaning's second half speaks of a later retry.
MAY_WORK_LATER = frozenset(
    {DeclineClass.FUNDS, DeclineClass.ISSUER, DeclineClass.TECHNICAL, DeclineClass.UNKNOWN}
)

# What the member reads. It says what helps and never why the bank refused: we must not reveal that
# a card is thought stolen, neither to its owner nor to a thief.
NEUTRAL = "A quick look at your payment details puts it right."
FOR_MEMBER: dict[DeclineClass, str] = {
    DeclineClass.FUNDS: "Your bank could not cover it this time.",
    DeclineClass.ISSUER: "Your bank declined it without giving a reason. Another card, or a call "
    "to the bank, usually settles it.",
    DeclineClass.TECHNICAL: "Something went wrong on the way to your bank.",
    DeclineClass.AUTHENTICATION: "Your bank wants you to confirm the payment.",
    DeclineClass.CARD: "The card on file can no longer be charged.",
    DeclineClass.FRAUD: NEUTRAL,
    DeclineClass.CONSENT: "If you meant to stop, there is nothing you need to do.",
    DeclineClass.DUPLICATE: NEUTRAL,
    DeclineClass.AMOUNT: NEUTRAL,
    DeclineClass.BANK_DEBIT: "This way to pay cannot be tried again without you.",
    DeclineClass.TEST: NEUTRAL,
    DeclineClass.UNKNOWN: NEUTRAL,
}
FOR_MEMBER_BY_CODE: dict[str, str] = {
    "expired_card": "The card on file has expired.",
    "card_velocity_exceeded": "Your card has reached its limit for now.",
    "withdrawal_count_limit_exceeded": "Your card has reached its limit for now.",
    "contact_issuer": "Please ask your bank to allow the charge, or use another card.",
    "restricted_card": "This card cannot be used for this purchase; please use another one.",
    "invalid_zip": "The postal code on file does not match your card.",
    "invalid_cvc": "The security code on file does not match your card.",
    "currency_not_supported": "Your card does not pay in this currency.",
}

# What the member can do, where the explanation does not say so.
ADVICE: dict[DeclineClass, str] = {
    DeclineClass.FUNDS: "You can also pay with another card.",
    DeclineClass.TECHNICAL: "Your card itself is probably fine.",
    DeclineClass.AUTHENTICATION: "Only you can do that.",
    DeclineClass.CARD: "Please update it, or use another one.",
    DeclineClass.BANK_DEBIT: "Another way to pay usually settles it.",
}

# The same where no card is known to have been charged: nothing of a card, nor of a bank that may
# have no part in it.
WITHOUT_CARD: dict[DeclineClass, str] = FOR_MEMBER | {
    DeclineClass.FUNDS: "The balance or a limit was too low this time.",
    DeclineClass.ISSUER: "It was declined without a reason.",
    DeclineClass.TECHNICAL: "Something went wrong on the way.",
    DeclineClass.AUTHENTICATION: "The payment needs your confirmation.",
    DeclineClass.CARD: "The payment method on file can no longer be charged.",
}
ADVICE_WITHOUT_CARD: dict[DeclineClass, str] = {
    DeclineClass.FUNDS: "You can also pay another way.",
    DeclineClass.ISSUER: "Another way to pay usually settles it.",
    DeclineClass.AUTHENTICATION: "Only you can do that.",
    DeclineClass.CARD: "Please update it, or pay another way.",
    DeclineClass.BANK_DEBIT: "Another way to pay usually settles it.",
}

# Never charged again on that card, whatever the policy, whoever asks and whatever is answered
# later, because the card networks forbid it, or the member has said no. Visa's category 1 (pick up,
# lost, stolen, invalid number or account, no such issuer, closed account, not permitted, stopped,
# revoked) and Mastercard's advice 03 and 21 are all in these classes. Only another card lifts it.
STICKS = frozenset(
    {
        DeclineClass.CARD,
        DeclineClass.FRAUD,
        DeclineClass.CONSENT,
        DeclineClass.DUPLICATE,
        DeclineClass.AMOUNT,
        DeclineClass.BANK_DEBIT,
        DeclineClass.TEST,
    }
)
# Not about the card but about this payment: the member's other payments go on.
FORBIDS_THE_PAYMENT = frozenset({DeclineClass.DUPLICATE, DeclineClass.AMOUNT, DeclineClass.TEST})
# The card may work, but not without the member, for as long as this is the newest answer.
NEVER_CHARGED_AGAIN = STICKS | {DeclineClass.AUTHENTICATION}
# Of these, the member can put it right.
MEMBER_CAN_FIX = frozenset({DeclineClass.CARD, DeclineClass.AUTHENTICATION})


def explain_to_member(decline_class: DeclineClass, code: str | None, *, is_card: bool) -> str:
    """One or two sentences that anybody who opens the message may read. `is_card`: a card was
    charged, as far as we know."""
    if is_card:
        explanation = FOR_MEMBER_BY_CODE.get(code or "", FOR_MEMBER[decline_class])
        return f"{explanation} {ADVICE.get(decline_class, '')}".rstrip()
    return f"{WITHOUT_CARD[decline_class]} {ADVICE_WITHOUT_CARD.get(decline_class, '')}".rstrip()


def explain_to_creator(words: str, decline_class: DeclineClass, *, retrying: bool) -> str:
    """One sentence: what the bank said, and what that means. That a retry may work is only said
    where one is to come."""
    meaning, _, outlook = MEANINGS[decline_class].partition("; ")
    if outlook and (retrying or decline_class not in MAY_WORK_LATER):
        meaning = f"{meaning}; {outlook}"
    return f"{words}: {meaning}."
