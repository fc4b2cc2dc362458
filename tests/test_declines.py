from __future__ import annotations

import typing
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whop_sdk.types.payment_decline_codes import PaymentDeclineCodes

from recovery.decline_codes import CLASS_OF, CODES, classify
from recovery.declines import (
    ADVICE,
    ADVICE_WITHOUT_CARD,
    FOR_MEMBER,
    FOR_MEMBER_BY_CODE,
    MEANINGS,
    NEVER_CHARGED_AGAIN,
    WITHOUT_CARD,
    DeclineClass,
    explain_to_creator,
    explain_to_member,
)

DOCS = Path(__file__).parent.parent / "docs" / "creators" / "declines.md"


def test_our_codes_are_exactly_those_of_the_official_sdk():
    literal = next(part for part in typing.get_args(PaymentDeclineCodes) if part is not typing.Any)
    assert {code for codes in CODES.values() for code in codes} == set(typing.get_args(literal))


def test_every_code_is_classified_once():
    counted = Counter(code for codes in CODES.values() for code in codes)
    assert {code for code, times in counted.items() if times != 1} == set()


def test_every_class_has_a_meaning():
    assert set(MEANINGS) == set(DeclineClass)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Your card has insufficient funds.", "insufficient_funds"),
        ("The bank returned the decline code `stolen_card`.", "stolen_card"),
        ("card_declined", "generic_decline"),
        ("do_not_honor", "contact_issuer"),
        ("The card was declined for security reasons.", "suspected_fraud"),
        ("Your card has expired.", "expired_card"),
        ("This payment requires 3DS authentication.", "authentication_required"),
        ("Your card was declined: exceeds daily limit.", "card_velocity_exceeded"),
        ("The issuer does not allow this type of purchase.", "transaction_not_allowed"),
        ("This card was reported lost or stolen.", "stolen_card"),
    ],
)
def test_a_text_without_a_code_is_understood(text, code):
    assert classify(None, text).code == code


def test_a_known_code_outweighs_the_text():
    assert classify("expired_card", "insufficient funds").code == "expired_card"


def test_an_unknown_code_falls_back_to_the_text():
    assert classify("brand_new_code", "Your card has expired.").code == "expired_card"


def test_the_unknown_has_a_default_and_keeps_the_banks_words():
    decline = classify("zz_9", "Zut alors")
    assert (decline.code, decline.decline_class) == ("zz_9", DeclineClass.UNKNOWN)
    assert decline.words == "Zut alors"
    assert classify(None, None).words == "No reason given"


@given(st.none() | st.text(max_size=50), st.none() | st.text(max_size=200))
def test_whatever_is_said_there_is_a_class_and_a_word(code, text):
    decline = classify(code, text)
    assert decline.decline_class in DeclineClass
    assert decline.words


def test_lost_stolen_and_stopped_cards_are_never_charged_again():
    for code in ("lost_card", "stolen_card", "suspected_fraud", "transaction_stopped"):
        assert classify(code).decline_class in NEVER_CHARGED_AGAIN


@pytest.mark.parametrize(("code", "decline_class"), [*CLASS_OF.items(), (None, "unknown")])
def test_every_code_has_a_sentence_for_the_creator_and_one_for_the_member(code, decline_class):
    for sentence in (
        explain_to_creator(classify(code).words, DeclineClass(decline_class), retrying=True),
        explain_to_creator(classify(code).words, DeclineClass(decline_class), retrying=False),
        explain_to_member(DeclineClass(decline_class), code, is_card=True),
        explain_to_member(DeclineClass(decline_class), code, is_card=False),
    ):
        assert sentence.endswith(".")
        assert len(sentence) > 20


@pytest.mark.parametrize("code", [None, *CLASS_OF])
def test_the_member_never_reads_of_fraud_loss_or_theft(code):
    decline_class = CLASS_OF.get(code or "", DeclineClass.UNKNOWN)
    said = " ".join(
        explain_to_member(decline_class, code, is_card=is_card) for is_card in (True, False)
    ).lower()
    forbidden = (
        "fraud",
        "stolen",
        "lost",
        "theft",
        "risk",
        "suspic",
        "report",
        "deceased",
        "block",
    )
    assert [word for word in forbidden if word in said] == []


@pytest.mark.parametrize("decline_class", DeclineClass)
def test_no_card_is_spoken_of_where_none_was_charged(decline_class):
    for code in (None, *CLASS_OF):
        said = explain_to_member(decline_class, code, is_card=False)
        assert "card" not in said.lower(), code


@pytest.mark.parametrize("decline_class", DeclineClass)
def test_no_later_retry_is_spoken_of_where_none_is_to_come(decline_class):
    assert "retry" not in explain_to_creator("Declined", decline_class, retrying=False)


def test_sentences_for_the_member_are_for_what_exists():
    assert set(FOR_MEMBER) == set(DeclineClass)
    assert set(FOR_MEMBER_BY_CODE) <= set(CLASS_OF)


def test_the_docs_show_what_the_member_reads():
    page = " ".join(DOCS.read_text().split())
    sentences = {*FOR_MEMBER.values(), *FOR_MEMBER_BY_CODE.values(), *ADVICE.values()}
    sentences |= {*WITHOUT_CARD.values(), *ADVICE_WITHOUT_CARD.values()}
    assert [sentence for sentence in sentences if sentence not in page] == []


def test_the_docs_list_every_class_and_every_code():
    page = DOCS.read_text()
    assert {f"`{cls}`" for cls in DeclineClass if f"`{cls}`" not in page} == set()
    assert {code for codes in CODES.values() for code in codes if f"`{code}`" not in page} == set()
