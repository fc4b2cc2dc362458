"""SendGrid's events: only its own are believed, each counts once, and in any order."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sendgrid.helpers.eventwebhook import EventWebhook
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from db.company_settings.recovery import add_companies
from db.ledger import payments
from db.member_messages import delivery_events
from db.member_messages.delivery_events import settle_unknown
from db.member_messages.eligibility import is_suppressed
from db.member_messages.suppressions import suppress
from db.models import MailEvent, Message, Payment, Suppression
from db.session import SessionFactory
from mail.events import read_events
from mail.signature import SignatureError, load_key, verify_signature
from recovery.delivery import DeliveryFailure
from recovery.status import MessageState, Step
from tests.factories import COMPANY, HOUR, NOW, add_payment
from tests.mail_service import (
    PATH,
    STRANGER,
    MailReceiver,
    add_message,
    batch,
    get_message,
    mail_event,
    make_settings,
    show_key,
    sign_events,
)

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
MINUTE = timedelta(minutes=1)
LATER = NOW + 3 * HOUR


@pytest.fixture
def receiver(engine: Engine) -> MailReceiver:
    return MailReceiver(engine)


def kept(sessions: SessionFactory) -> list[str]:
    with sessions() as session:
        return list(session.scalars(select(MailEvent.kind).order_by(MailEvent.event_id)))


def list_suppressed(session: Session) -> list[str]:
    return list(session.scalars(select(Suppression.address)))


# CompanyScope word it is.


def refuse(headers: dict[str, str], body: bytes, now: Any = NOW) -> str:
    with pytest.raises(SignatureError) as caught:
        verify_signature(load_key(show_key()), headers, body, now)
    return str(caught.value)


def test_a_signature_of_sendgrids_holds_and_the_official_helper_agrees():
    helper = EventWebhook(show_key())
    for number in range(50):
        body = batch(mail_event("open", number + 1, reason="naïve ünïcode"))
        headers = sign_events(body, NOW + number * MINUTE)
        verify_signature(load_key(show_key()), headers, body, NOW + number * MINUTE)
        assert helper.verify_signature(body.decode(), headers[SIGNATURE], headers[TIMESTAMP])


def test_what_is_tampered_with_is_refused_and_the_official_helper_agrees():
    helper = EventWebhook(show_key())
    body = batch(mail_event("open", 1))
    signed = sign_events(body)
    other = sign_events(batch(mail_event("spamreport", 1)))
    moved = signed | {TIMESTAMP: str(int(signed[TIMESTAMP]) + 1)}
    forged = sign_events(body, private=STRANGER)
    for headers, sent in (
        (signed, body.replace(b"open", b"click")),
        (signed, body + b" "),
        (signed | {SIGNATURE: other[SIGNATURE]}, body),
        (moved, body),
        (forged, body),
    ):
        assert refuse(headers, sent) == "the signature does not match"
        assert not helper.verify_signature(sent.decode(), headers[SIGNATURE], headers[TIMESTAMP])


@pytest.mark.parametrize("mark", ["!", "AAAA", "====", "é", "MEUCIQ", "A" * 5000])
def test_a_signature_that_is_none_is_refused_without_a_fault(mark):
    assert refuse(sign_events(b"[]") | {SIGNATURE: mark}, b"[]") == "the signature does not match"


@pytest.mark.parametrize("missing", [SIGNATURE, TIMESTAMP])
def test_both_headers_are_needed(missing):
    headers = {name: text for name, text in sign_events(b"[]").items() if name != missing}
    assert "are required" in refuse(headers, b"[]")


@pytest.mark.parametrize("text", ["soon", "-1", "1e9", "١٧٦٣٦٣١٣٠٤", "9" * 40, " 1"])
def test_a_timestamp_must_be_seconds(text):
    assert "unix seconds" in refuse(sign_events(b"[]") | {TIMESTAMP: text}, b"[]")


@pytest.mark.parametrize("off", [-6 * MINUTE, 6 * MINUTE, timedelta(days=-20_000)])
def test_a_stale_batch_is_refused_though_its_signature_holds(off):
    assert "5 minutes" in refuse(sign_events(b"[]", NOW + off), b"[]")


@pytest.mark.parametrize("off", [-4 * MINUTE, 4 * MINUTE])
def test_clocks_may_differ_a_little(off):
    verify_signature(load_key(show_key()), sign_events(b"[]", NOW + off), b"[]", NOW)


@pytest.mark.parametrize("key", ["MFkw", "not base64!", show_key()[:-8], "ssh-rsa AAAA", "é"])
def test_a_key_that_is_none_is_said_at_the_start(key):
    with pytest.raises(ValueError, match="public key"):
        make_settings(sendgrid_webhook_key=key)


def test_a_key_of_another_curve_is_not_taken():
    with pytest.raises(ValueError, match="another kind"):
        load_key(show_key(ec.derive_private_key(7, ec.SECP384R1())))


# The route.


def test_a_signed_batch_is_stored_and_answered_200(
    receiver: MailReceiver, session: Session, sessions: SessionFactory
):
    message_id = add_message(session)
    answer = receiver.deliver(mail_event("delivered", message_id))
    assert (answer.status_code, answer.json()) == (200, {"status": "stored"})
    assert get_message(sessions, message_id).delivered_at == NOW


@pytest.mark.parametrize(
    "spoil",
    [
        lambda headers: headers | {SIGNATURE: "AAAA"},
        lambda headers: {"content-type": "application/json"},
        lambda headers: headers | {TIMESTAMP: str(int(headers[TIMESTAMP]) - 301)},
    ],
    ids=["forged", "unsigned", "moved in time"],
)
def test_what_is_not_sendgrids_is_refused_and_changes_nothing(
    receiver: MailReceiver, session: Session, sessions: SessionFactory, spoil
):
    message_id = add_message(session)
    body = batch(mail_event("spamreport", message_id))
    answer = receiver.send(body, spoil(sign_events(body)))
    assert answer.status_code == 401
    assert kept(sessions) == []
    assert get_message(sessions, message_id).delivery_failure is None


def test_a_replayed_batch_changes_nothing(
    receiver: MailReceiver, session: Session, sessions: SessionFactory
):
    message_id = add_message(session)
    event = mail_event("open", message_id)
    for _ in range(3):
        assert receiver.deliver(event).status_code == 200
    assert receiver.deliver(event | {"timestamp": 1}, event).status_code == 200
    assert kept(sessions) == ["opened"]
    assert get_message(sessions, message_id).opened_at == NOW


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[NaN]", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b"{}", 422),
        (b"[]", 422),
        (b"null", 422),
        (batch(*[{}] * 5000), 200),
        (batch(1, None, "x", [], {}), 200),
        (b" " * (1024 * 1024 + 1), 413),
    ],
)
def test_a_bad_body_gets_a_clear_answer(receiver: MailReceiver, body, status):
    answer = receiver.send(body, sign_events(body))
    assert answer.status_code == status, answer.text
    assert answer.json()["status" if status == 200 else "detail"]


def test_a_body_of_another_kind_is_refused(receiver: MailReceiver):
    headers = sign_events(b"[]") | {"content-type": "text/plain"}
    assert receiver.send(b"[]", headers).status_code == 415


def test_without_its_key_production_takes_no_events(engine: Engine):
    answer = MailReceiver(engine, sendgrid_webhook_key="").deliver(mail_event("open", 1))
    assert answer.status_code == 404
    assert "SENDGRID_WEBHOOK_KEY" in answer.json()["detail"]


@pytest.mark.parametrize("key", ["", show_key()])
def test_development_takes_unsigned_events(
    engine: Engine, session: Session, sessions: SessionFactory, key
):
    message_id = add_message(session)
    receiver = MailReceiver(engine, environment="development", sendgrid_webhook_key=key)
    answer = receiver.request("POST", PATH, json=[mail_event("open", message_id)])
    assert answer.status_code == 200
    assert kept(sessions) == ["opened"]


def test_a_signature_that_is_claimed_must_hold_in_development_too(engine: Engine):
    body = batch(mail_event("open", 1))
    forged = sign_events(body, private=STRANGER)
    assert MailReceiver(engine, environment="development").send(body, forged).status_code == 401


def test_somebody_may_look_whether_it_is_there(receiver: MailReceiver):
    assert receiver.request("GET", PATH).status_code == 200
    assert receiver.request("PUT", PATH).status_code == 405


# What an event says about its message.


def hear(sessions: SessionFactory, *events: dict[str, Any]) -> int:
    with sessions.begin() as session:
        return len(delivery_events.record(session, read_events(batch(*events), LATER), LATER))


def test_the_earliest_delivery_opening_and_click_stay_in_whatever_order(
    session: Session, sessions: SessionFactory
):
    told = [
        ("delivered", NOW + MINUTE),
        ("open", NOW + 5 * MINUTE),
        ("open", NOW + 2 * MINUTE),
        ("click", NOW + 9 * MINUTE),
        ("click", NOW + 3 * MINUTE),
    ]
    shuffle = random.Random(4).shuffle
    for _ in range(6):
        message_id = add_message(session)
        shuffle(told)
        for kind, at in told:
            hear(sessions, mail_event(kind, message_id, at))
        message = get_message(sessions, message_id)
        assert (message.delivered_at, message.opened_at, message.clicked_at) == (
            NOW + MINUTE,
            NOW + 2 * MINUTE,
            NOW + 3 * MINUTE,
        )
        assert message.delivery_failure is None


WORDS = [
    ("dropped", {"reason": "Spam Content"}, DeliveryFailure.DROPPED),
    ("bounce", {"type": "bounce"}, DeliveryFailure.BOUNCED),
    ("unsubscribe", {}, DeliveryFailure.UNSUBSCRIBED),
    ("spamreport", {}, DeliveryFailure.SPAM_REPORT),
]


def test_the_worst_word_stays_in_whatever_order(session: Session, sessions: SessionFactory):
    for order in itertools.permutations(WORDS):
        message_id = add_message(session)
        for minute, (kind, more, _) in enumerate(order):
            hear(sessions, mail_event(kind, message_id, NOW + minute * MINUTE, **more))
        message = get_message(sessions, message_id)
        assert message.delivery_failure is DeliveryFailure.SPAM_REPORT
        assert message.delivery_failed_at == NOW + order.index(WORDS[-1]) * MINUTE


@pytest.mark.parametrize(
    ("kind", "more", "failure", "ends"),
    [
        ("bounce", {"type": "bounce"}, DeliveryFailure.BOUNCED, DeliveryFailure.BOUNCED),
        ("bounce", {}, DeliveryFailure.BOUNCED, DeliveryFailure.BOUNCED),
        ("bounce", {"type": "blocked"}, DeliveryFailure.BOUNCED, None),
        ("spamreport", {}, DeliveryFailure.SPAM_REPORT, DeliveryFailure.SPAM_REPORT),
        ("unsubscribe", {}, DeliveryFailure.UNSUBSCRIBED, DeliveryFailure.UNSUBSCRIBED),
        ("group_unsubscribe", {}, DeliveryFailure.UNSUBSCRIBED, DeliveryFailure.UNSUBSCRIBED),
        (
            "dropped",
            {"reason": "Bounced Address"},
            DeliveryFailure.DROPPED,
            DeliveryFailure.BOUNCED,
        ),
        (
            "dropped",
            {"reason": "Spam Reporting Address"},
            DeliveryFailure.DROPPED,
            DeliveryFailure.SPAM_REPORT,
        ),
        (
            "dropped",
            {"reason": "Unsubscribed Address"},
            DeliveryFailure.DROPPED,
            DeliveryFailure.UNSUBSCRIBED,
        ),
        ("dropped", {"reason": "Invalid"}, DeliveryFailure.DROPPED, DeliveryFailure.DROPPED),
        ("dropped", {"reason": "Invalid SMTPAPI header"}, DeliveryFailure.DROPPED, None),
        ("dropped", {"reason": "Spam Content"}, DeliveryFailure.DROPPED, None),
        ("dropped", {}, DeliveryFailure.DROPPED, None),
        ("deferred", {}, None, None),
        ("processed", {}, None, None),
    ],
)
def test_only_what_is_said_of_the_address_silences_it(
    session: Session, sessions: SessionFactory, kind, more, failure, ends
):
    message_id = add_message(session, customer_email="Jo@Example.com")
    hear(sessions, mail_event(kind, message_id, email="somebody@else.com", **more))
    assert get_message(sessions, message_id).delivery_failure is failure
    with sessions() as session:
        assert is_suppressed(session, COMPANY, "JO@example.COM") is ends
        assert is_suppressed(session, COMPANY, "somebody@else.com") is None
        assert len(list_suppressed(session)) == (ends is not None)


def give_away(session: Session, message_id: int, company_id: str) -> None:
    """Makes a message, and its payment, another company's."""
    add_companies(session, {company_id})
    message = session.get_one(Message, message_id)
    payments.lock_payments(session, [message.payment_id])[
        message.payment_id
    ].company_id = company_id
    message.company_id = company_id
    session.commit()


@pytest.mark.parametrize("kind", ["spamreport", "unsubscribe"])
def test_who_wants_no_more_gets_no_more_about_any_payment(
    session: Session, sessions: SessionFactory, kind
):
    told = add_message(session)
    queued = add_message(session, MessageState.QUEUED, customer_email="JO@example.com")
    stranger = add_message(session, MessageState.QUEUED, customer_email="al@example.com")
    elsewhere = add_message(session, MessageState.QUEUED)
    give_away(session, elsewhere, "biz_other")
    with sessions.begin() as writing:
        for payment in writing.scalars(select(Payment)):
            payment.next_step, payment.next_message_at = Step.REMINDER, NOW + 48 * HOUR
    hear(sessions, mail_event(kind, told))
    assert get_message(sessions, queued).state is MessageState.SKIPPED
    assert (get_message(sessions, queued).detail or "").startswith("the member")
    assert get_message(sessions, told).state is MessageState.SENT
    for other in (stranger, elsewhere):
        assert get_message(sessions, other).state is MessageState.QUEUED
    with sessions() as session:
        planned = {
            (payment.company_id, payment.member_email)
            for payment in session.scalars(select(Payment).where(Payment.next_step.is_not(None)))
        }
    assert planned == {(COMPANY, "al@example.com"), ("biz_other", "jo@example.com")}


def test_a_dead_address_leaves_the_other_way_open(session: Session, sessions: SessionFactory):
    told = add_message(session)
    queued = add_message(session, MessageState.QUEUED)
    hear(sessions, mail_event("bounce", told, type="bounce"))
    assert get_message(sessions, queued).state is MessageState.QUEUED


def test_the_worst_reason_to_write_no_more_stays(session: Session):
    add_payment(session)
    reasons = [DeliveryFailure.BOUNCED, DeliveryFailure.SPAM_REPORT, DeliveryFailure.UNSUBSCRIBED]
    for minute, reason in enumerate(reasons):
        suppress(session, COMPANY, "jo@example.com", reason, NOW + minute * MINUTE)
    (known,) = session.scalars(select(Suppression))
    assert (known.reason, known.since) == (DeliveryFailure.SPAM_REPORT, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"company_id": "biz_somebody_else"},
        {"company_id": None},
        {"message_id": "999999"},
        {"message_id": "0"},
        {"message_id": "-1"},
        {"message_id": "1e3"},
        {"message_id": 1},
        {"message_id": "9" * 19},
        {"message_id": "9" * 40},
        {"message_id": None},
        {"event": "group_resubscribe"},
        {"event": "invented"},
        {"event": None},
        {"sg_event_id": ""},
        {"sg_event_id": "x" * 256},
        {"sg_event_id": "a\x00b"},
        {"sg_event_id": 7},
    ],
)
def test_what_is_not_about_a_message_of_ours_is_ignored(
    session: Session, sessions: SessionFactory, change
):
    message_id = add_message(session)
    event = mail_event("spamreport", message_id) | change
    ours = mail_event("open", message_id)
    assert hear(sessions, event, ours) == 1
    assert kept(sessions) == ["opened"]
    assert get_message(sessions, message_id).delivery_failure is None


@pytest.mark.parametrize("timestamp", [None, "soon", True, -5, 0, 10**18, 1e300, [], 4102444800])
def test_a_time_that_cannot_be_is_taken_for_now(
    session: Session, sessions: SessionFactory, timestamp
):
    message_id = add_message(session)
    hear(sessions, mail_event("open", message_id) | {"timestamp": timestamp})
    assert get_message(sessions, message_id).opened_at == LATER


@pytest.mark.parametrize(
    "kind", ["processed", "delivered", "deferred", "open", "click", "bounce", "spamreport"]
)
def test_an_event_proves_that_a_doubtful_mail_was_sent(
    session: Session, sessions: SessionFactory, kind
):
    message_id = add_message(session, MessageState.UNKNOWN)
    hear(sessions, mail_event(kind, message_id, NOW + MINUTE))
    message = get_message(sessions, message_id)
    assert (message.state, message.sent_at) == (MessageState.SENT, NOW + MINUTE)


def test_a_dropped_mail_was_not_sent(session: Session, sessions: SessionFactory):
    message_id = add_message(session, MessageState.UNKNOWN)
    hear(sessions, mail_event("dropped", message_id, reason="Bounced Address"))
    assert get_message(sessions, message_id).state is MessageState.UNKNOWN


def test_proof_that_came_before_the_doubt_is_found_later(
    session: Session, sessions: SessionFactory
):
    message_id = add_message(session, MessageState.SENDING)
    hear(sessions, mail_event("delivered", message_id, NOW + MINUTE))
    assert get_message(sessions, message_id).state is MessageState.SENDING
    with sessions.begin() as session:
        session.get_one(Message, message_id).state = MessageState.UNKNOWN
    with sessions.begin() as session:
        assert settle_unknown(session, [message_id]) == 1
    assert get_message(sessions, message_id).sent_at == NOW + MINUTE


def test_the_events_of_a_digest_are_about_no_message(
    receiver: MailReceiver, session: Session, sessions: SessionFactory
):
    message_id = add_message(session)
    told = mail_event("bounce", message_id, notice_id=str(message_id), category=["digest"])
    del told["message_id"]
    assert receiver.deliver(told).status_code == 200
    assert kept(sessions) == []
    assert get_message(sessions, message_id).delivery_failure is None
    assert list_suppressed(session) == []


def test_two_batches_with_the_same_events_count_each_once(
    session: Session, sessions: SessionFactory
):
    message_ids = [add_message(session) for _ in range(20)]
    events = [mail_event("open", message_id) for message_id in message_ids]
    with sessions() as one, sessions.begin() as other:
        first = read_events(batch(*events[:10]), LATER)
        assert len(delivery_events.record(one, first, LATER)) == 10
        later = read_events(batch(*reversed(events[10:])), LATER)
        assert len(delivery_events.record(other, later, LATER)) == 10
        one.commit()
    assert hear(sessions, *reversed(events)) == 0
    assert len(kept(sessions)) == 20
