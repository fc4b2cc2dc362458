"""One table of SendGrid's answers: put back, for the other channel, failed, or unknown."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_http_client.exceptions import HTTPError

from daemon.mailer import Mailer
from mail.sendgrid_answers import Complaint, judge_status, read_complaint
from recovery.delivery import Delivery, DeliveryState
from sandbox.wire.mail_refusals import MAIL_REFUSALS
from tests.factories import NOW
from tests.test_mailer import WORDS, Box, TakenMessage

SENT, REFUSED, UNKNOWN = DeliveryState.SENT, DeliveryState.REFUSED, DeliveryState.UNKNOWN
ADDRESS, ACCOUNT = DeliveryState.ADDRESS_REFUSED, DeliveryState.ACCOUNT_REFUSED
PUT_OFF = DeliveryState.PUT_OFF

# By what the body complains of: the account, the address, the email.
BY_BODY = (ACCOUNT, ADDRESS, REFUSED)
ALWAYS = {state: (state, state, state) for state in DeliveryState}
TABLE: dict[int, tuple[DeliveryState, ...]] = {
    200: ALWAYS[UNKNOWN],
    201: ALWAYS[UNKNOWN],
    202: ALWAYS[SENT],
    204: ALWAYS[UNKNOWN],
    301: ALWAYS[ACCOUNT],
    302: ALWAYS[ACCOUNT],
    307: ALWAYS[ACCOUNT],
    308: ALWAYS[ACCOUNT],
    400: BY_BODY,
    401: ALWAYS[ACCOUNT],
    402: ALWAYS[ACCOUNT],
    403: ALWAYS[ACCOUNT],
    404: ALWAYS[ACCOUNT],
    405: ALWAYS[ACCOUNT],
    406: ALWAYS[ACCOUNT],
    407: ALWAYS[ACCOUNT],
    408: ALWAYS[UNKNOWN],
    409: BY_BODY,
    410: ALWAYS[ACCOUNT],
    411: BY_BODY,
    412: BY_BODY,
    413: (ACCOUNT, REFUSED, REFUSED),
    414: BY_BODY,
    415: ALWAYS[ACCOUNT],
    421: ALWAYS[ACCOUNT],
    422: BY_BODY,
    425: (ACCOUNT, PUT_OFF, PUT_OFF),
    426: ALWAYS[ACCOUNT],
    429: (ACCOUNT, PUT_OFF, PUT_OFF),
    431: BY_BODY,
    451: ALWAYS[ACCOUNT],
    499: ALWAYS[UNKNOWN],
    500: ALWAYS[UNKNOWN],
    501: ALWAYS[UNKNOWN],
    502: ALWAYS[UNKNOWN],
    503: ALWAYS[PUT_OFF],
    504: ALWAYS[UNKNOWN],
    520: ALWAYS[UNKNOWN],
}


@pytest.mark.parametrize("status", TABLE)
def test_the_table_holds_for_every_status_and_complaint(status: int):
    assert tuple(judge_status(status, complaint) for complaint in Complaint) == TABLE[status]


def test_every_status_has_an_answer_and_only_a_taken_mail_is_sent():
    for status, complaint, mode in product(range(100, 600), Complaint, (False, True)):
        state = judge_status(status, complaint, sandbox_mode=mode)
        assert (state is SENT) == (status == 202 or (mode and status == 200))
        # What the server may have taken is never sent again, and never by the other channel.
        if status >= 500 and status not in (503, 511):
            assert state is UNKNOWN
        if state in (ACCOUNT, ADDRESS, REFUSED, PUT_OFF):
            assert 300 <= status < 500 or status in (503, 511)


def body(*errors: tuple[Any, Any]) -> bytes:
    listed = [{"message": message, "field": field, "help": None} for message, field in errors]
    return json.dumps({"errors": listed}).encode()


TO = "personalizations.0.to.0.email"


@pytest.mark.parametrize(
    ("errors", "complaint"),
    [
        ([("Maximum credits exceeded", None)], Complaint.ACCOUNT),
        ([("maximum CREDITS EXCEEDED.", "x")], Complaint.ACCOUNT),
        ([("You have exceeded your messaging limits", None)], Complaint.ACCOUNT),
        ([("The from email does not contain a valid address.", "from.email")], Complaint.ACCOUNT),
        ([("The from address does not match a verified Sender", "from")], Complaint.ACCOUNT),
        ([("Does not contain a valid address.", "reply_to.email")], Complaint.ACCOUNT),
        ([("Does not contain a valid address.", TO)], Complaint.ADDRESS),
        ([("Invalid", "personalizations.0.to")], Complaint.ADDRESS),
        ([("Invalid", "personalizations.to")], Complaint.ADDRESS),
        ([("Invalid", TO), ("Also", TO)], Complaint.ADDRESS),
        ([("Invalid", TO), ("Empty", "content.0.value")], Complaint.EMAIL),
        ([("Invalid", TO), ("Who?", "from.email")], Complaint.ACCOUNT),
        ([("Empty", "content.0.value")], Complaint.EMAIL),
        ([("Long", "subject")], Complaint.EMAIL),
        ([("Unknown", "fromage")], Complaint.EMAIL),
        ([("Unknown", "personalizations.0.token")], Complaint.EMAIL),
        ([("Bad Request", None)], Complaint.EMAIL),
        ([(None, None)], Complaint.EMAIL),
        ([], Complaint.EMAIL),
    ],
)
def test_a_body_says_whom_it_complains_of(errors, complaint):
    assert read_complaint(body(*errors))[0] is complaint


@pytest.mark.parametrize(
    "unread", [None, b"", b"{", b"[]", b"null", b'{"errors": 7}', b'{"errors": [7]}', b"\xff"]
)
def test_a_body_that_cannot_be_read_says_nothing(unread):
    assert read_complaint(unread) == (Complaint.EMAIL, "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["message", "field"]), inner),
)


@given(JSON)
def test_no_body_is_too_odd(errors):
    complaint, said = read_complaint(json.dumps({"errors": errors}).encode())
    assert complaint in Complaint
    assert "@" not in said
    assert len(said) <= 200


def answer(status: int, said: bytes = b"") -> Delivery:
    ok = 200 <= status < 300
    box = Box(None if ok else HTTPError(status, "", said, {}), TakenMessage({}, status))
    return Mailer(box, "us@example.com", clock=lambda: NOW).send("jo@example.com", WORDS, {})


def test_no_address_of_a_body_is_told_on():
    said = body(("The address jo@example.com is not valid", "content"))
    assert answer(400, said).detail == "SendGrid answered 400: The address (address) is not valid"


@pytest.mark.parametrize("status", [200, 204])
def test_an_answer_that_is_not_the_promise_to_send_promises_nothing(status):
    assert answer(status).state is UNKNOWN


MEANT = {
    "revoked_key": ACCOUNT,
    "credits": ACCOUNT,
    "no_permission": ACCOUNT,
    "sender": ACCOUNT,
    "address": ADDRESS,
    "content": REFUSED,
    "too_large": REFUSED,
    "region": ACCOUNT,
}


@pytest.mark.parametrize("name", MAIL_REFUSALS)
def test_every_refusal_of_the_sandbox_is_understood(name):
    status, message, field = MAIL_REFUSALS[name]
    delivery = answer(status, body((message, field)))
    assert delivery.state is MEANT[name]
    assert message.split(".")[0] in (delivery.detail or "")
