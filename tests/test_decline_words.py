"""What a bank's words allow: real texts, and that no refusal put into them makes them milder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.decline_codes import CLASS_OF, NETWORK_CODES, classify
from recovery.declines import NEVER_CHARGED_AGAIN, STRICTNESS, DeclineClass

# By ISO 8583 as Visa, Mastercard and Amex word it, by Stripe, Adyen, Braintree and Whop.
SOFT_TEXTS = (
    "Do not honor",
    "Refer to card issuer",
    "Not sufficient funds",
    "Exceeds withdrawal amount limit",
    "Exceeds withdrawal frequency limit",
    "Issuer or switch inoperative",
    "Issuer unavailable or switch inoperative (STIP not applicable)",
    "System malfunction",
    "Re-enter transaction",
    "Honor with identification",
    "Restricted card",
    "Your card has insufficient funds.",
    "Your card was declined. Please try another card.",
    "The card has exceeded the balance or credit limit available on the card.",
    "An error occurred while processing the card. Try again later.",
    "Refused",
    "Issuer Unavailable",
    "Not enough balance",
    "Withdrawal amount exceeded",
    "Acquirer Error",
    "Processor Declined",
    "Processor Network Unavailable - Try Again",
    "Limit Exceeded",
    "Declined - Call Issuer",
    "Call Issuer. Pay and decide",
    "Approve with ID",
    "The bank could not authorize the payment.",
    "The bank could not verify the 3D Secure identity.",
    "The card's bank could not be reached.",
    "No response from issuer",
    "3D Secure authentication was canceled by the customer",
    "Connection was lost",
    "Processing stopped unexpectedly",
    "Something went wrong while the card was processed.",
    "",
    "Zut alors",
)
FORBIDDING_TEXTS = (
    "Do not try again",
    "Don't try again.",
    "do not",
    "don’t retry",  # noqa: RUF001  # as typographers write it
    "never",
    "Never approve",
    "stop",
    "Stop payment order",
    "Stop recurring payments",
    "not permitted",
    "Transaction not permitted to cardholder",
    "Transaction not allowed at terminal",
    "not authorized",
    "Not authorised for this type of purchase",
    "no longer",
    "Card can no longer be charged",
    "revoked",
    "Revocation of authorization order",
    "Revocation of all authorizations order",
    "R1 - cardholder revoked authorization",
    "Cancelled by cardholder",
    "Customer requested stop of all recurring payments",
    "Closed account",
    "Pick up card",
    "Pick up card, special condition (fraud account)",
    "PICKUP",
    "Lost card, pick up",
    "Stolen card, pickup (fraud account)",
    "Suspected fraud",
    "Security violation",
    "Deny - pick up card",
    "Deny - account canceled",
    "Deny - new card issued",
    "Invalid card number (no such number)",
    "No such issuer",
    "Invalid transaction",
    "Expired card",
    "No checking account",
    "This card was reported lost or stolen.",
    "Your card does not support this type of purchase.",
    "Permanently declined",
    "Mandate was revoked",
    "Unauthorized",
    "It must not be retried",
    "Retain card",
)
WORDS = sorted({word for text in (*SOFT_TEXTS, *FORBIDDING_TEXTS) for word in text.split()})


def strictness(decline_class: DeclineClass) -> int:
    """The higher, the less is allowed."""
    return -STRICTNESS.index(decline_class)


@pytest.mark.parametrize("text", FORBIDDING_TEXTS)
def test_what_forbids_is_never_charged_again(text):
    assert classify(None, text).decline_class in NEVER_CHARGED_AGAIN


@pytest.mark.parametrize("text", SOFT_TEXTS)
def test_what_forbids_nothing_is_no_reason_to_ban_a_card(text):
    waits_for_member = {DeclineClass.AUTHENTICATION}
    assert classify(None, text).decline_class not in NEVER_CHARGED_AGAIN - waits_for_member


@pytest.mark.parametrize(
    ("text", "decline_class"),
    [
        ("Connection was lost", DeclineClass.TECHNICAL),
        ("Connection to the bank was lost", DeclineClass.UNKNOWN),
        ("Processing stopped unexpectedly", DeclineClass.UNKNOWN),
        ("Declined. Please try again.", DeclineClass.ISSUER),
        ("Declined. Do not try again.", DeclineClass.CARD),
        ("Stop payment order", DeclineClass.CONSENT),
        ("Pick up card", DeclineClass.FRAUD),
        ("Do not honor", DeclineClass.ISSUER),
        ("Do not honor. Do not try again.", DeclineClass.CARD),
    ],
)
def test_a_text_is_read_for_what_it_says(text, decline_class):
    assert classify(None, text).decline_class is decline_class


soft_codes = st.sampled_from([c for c, cls in CLASS_OF.items() if cls not in NEVER_CHARGED_AGAIN])
codes = st.none() | st.just("zz_9") | st.sampled_from(sorted(CLASS_OF))
texts = st.sampled_from((*SOFT_TEXTS, *FORBIDDING_TEXTS)) | st.lists(
    st.sampled_from(WORDS), max_size=12
).map(" ".join)


@given(codes, texts, st.sampled_from(FORBIDDING_TEXTS), st.integers(0, 20))
def test_a_refusal_put_anywhere_never_makes_it_milder(code, text, refusal, place):
    words = text.split()
    refused = " ".join([*words[:place], refusal, *words[place:]])
    before, after = classify(code, text).decline_class, classify(code, refused).decline_class
    assert strictness(after) >= strictness(before), refused


@given(soft_codes | st.none(), texts, st.sampled_from(FORBIDDING_TEXTS), st.booleans())
def test_words_that_forbid_win_over_a_code_that_allows(code, text, refusal, first):
    refused = f"{refusal}. {text}" if first else f"{text}. {refusal}"
    assert classify(code, refused).decline_class in NEVER_CHARGED_AGAIN


@given(codes, texts, st.sampled_from(("cannot", "not", "unable to", "stopped", "lost")))
def test_a_doubt_is_never_technical(code, text, doubt):
    if classify(code, "").decline_class is not DeclineClass.TECHNICAL:
        assert classify(code, f"{text}; {doubt}").decline_class is not DeclineClass.TECHNICAL


@pytest.mark.parametrize("code", NETWORK_CODES)
def test_visas_own_codes_of_its_first_category_are_known(code):
    assert classify(code, "Try again later").decline_class in NEVER_CHARGED_AGAIN
