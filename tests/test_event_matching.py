"""An event changes the message that it is about and no other, whoever else sends by the account."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.company_settings.recovery import add_companies
from db.ledger import payments
from db.member_messages import delivery_events
from db.member_messages.event_matching import (
    SENT_ALONG,
    MailReport,
    SentAlong,
    find_message,
    list_provider_ids,
)
from db.models import MailEvent, Message, Suppression
from mail.events import read_event, read_events, read_time
from recovery.delivery import MailEventKind
from recovery.status import Channel, MessageState, Step
from tests.factories import COMPANY, NOW
from tests.mail_service import add_message, bare_event, batch, mail_event

LATER = NOW + timedelta(hours=3)
OURS = SentAlong(7, COMPANY, "pay_7", "reminder")
EMAIL_ID = "Ua9z9lSTSaqYBWJe_Xfc-Q"
# As SendGrid has written them over the years.
ENDINGS = [
    "",
    ".recvd-7c6bc7c5b-8x2l9-1-6746E0C6-3.0",
    ".filterdrecv-p3iad2-5b55dcd864-pbk2w-17-5EF98383-10E.0",
    ".filter0905p1mdw1-4434-59E0C6FF-3.0",
    ".filter0001.16648.5515E0B88.0",
]


def make_message(provider_id: str | None = EMAIL_ID, **more: Any) -> Message:
    values: dict[str, Any] = {"id": 7, "company_id": COMPANY, "payment_id": "pay_7"}
    values |= {"step": Step.REMINDER, "channel": Channel.EMAIL, "provider_id": provider_id}
    return Message(**(values | more))


def make_report(**more: Any) -> MailReport:
    report = MailReport("event_1", MailEventKind.SPAM_REPORT, NOW, f"{EMAIL_ID}.recvd-x-1.0", OURS)
    return replace(report, **more)


def match(report: MailReport, *messages: Message) -> Message | None:
    by_number = {message.id: message for message in messages}
    by_provider = {message.provider_id: message for message in messages if message.provider_id}
    return find_message(report, by_number, by_provider)


# --- one event, one message --------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("email_id", [EMAIL_ID, "14c5d75ce93.dfd.64b469"])
def test_every_id_that_sendgrid_makes_of_its_answer_is_known_again(email_id, ending):
    message = make_message(email_id)
    for sent_along in (OURS, None):
        assert match(make_report(email_id=email_id + ending, sent_along=sent_along), message)


@pytest.mark.parametrize("name", SENT_ALONG)
def test_one_word_that_differs_makes_it_another_mails(name):
    other = {"message_id": 8} if name == "message_id" else {name: "other"}
    messages = make_message(), make_message("another", id=8, payment_id="pay_8")
    assert match(make_report(), *messages) is messages[0]
    assert match(make_report(sent_along=replace(OURS, **other)), *messages) is None


@pytest.mark.parametrize("email_id", ["", f"{EMAIL_ID}.x"])
def test_without_one_of_the_services_ids_the_rest_must_do(email_id):
    assert match(make_report(email_id=email_id), make_message(None))
    assert match(make_report(email_id=""), make_message())


@pytest.mark.parametrize(
    "email_id",
    ["another.recvd-1", EMAIL_ID[:-1], f"{EMAIL_ID}x.recvd-1", f"x.{EMAIL_ID}", EMAIL_ID.lower()],
)
@pytest.mark.parametrize("sent_along", [OURS, None])
def test_another_deployments_mail_is_not_ours_though_all_its_words_are(email_id, sent_along):
    assert match(make_report(email_id=email_id, sent_along=sent_along), make_message()) is None


def test_a_bare_event_that_might_be_about_two_is_about_none():
    two = make_message("a"), make_message("a.b", id=8)
    assert match(make_report(email_id="a.b.c", sent_along=None), *two) is None


@given(st.text(max_size=300))
def test_the_ids_it_may_belong_to_are_beginnings_of_it(email_id):
    found = list_provider_ids(email_id)
    assert len(set(found)) == len(found)
    for one in found:
        assert one
        assert email_id == one or email_id.startswith(one + ".")


# --- reading -----------------------------------------------------------------------------------

ANY = st.characters(exclude_categories=())
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(ANY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["event", "type", "status", "reason", "sg_event_id", "sg_message_id", "timestamp"]
FIELDS += ["sg_machine_open", *SENT_ALONG]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.sampled_from(["bounce", "open", "drop"]))
def test_whatever_stands_in_an_event_it_is_read_or_skipped(changes, kind):
    found = read_event(mail_event(kind, 7) | changes, NOW)
    assert found is None or found.happened_at <= NOW


@given(st.lists(JSON, max_size=5), st.integers(0, 5))
def test_an_event_that_makes_no_sense_takes_no_other_with_it(others, place):
    good = mail_event("delivered", 7)
    events = [*others[:place], good, *others[place:]]
    ids = [report.event_id for report in read_events(batch(*events), NOW)]
    assert good["sg_event_id"] in ids


@pytest.mark.parametrize("left_out", SENT_ALONG)
@pytest.mark.parametrize("value", [None, 7, "", [], {}])
def test_an_event_that_brings_back_half_of_what_was_sent_along_is_nobodys(left_out, value):
    assert read_event(mail_event("bounce", 7) | {left_out: value}, NOW) is None


def test_an_event_that_names_no_mail_at_all_is_nobodys():
    for email_id in ("", None, 7, "a b", "a\x00b", "x" * 300):
        assert read_event(bare_event("bounce", "x") | {"sg_message_id": email_id}, NOW) is None


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"type": "bounce"}, MailEventKind.BOUNCED),
        ({"type": "bounced"}, MailEventKind.BOUNCED),
        ({"type": "Bounce "}, MailEventKind.BOUNCED),
        ({"status": "5.1.1"}, MailEventKind.BOUNCED),
        ({}, MailEventKind.BOUNCED),
        ({"status": "4.2.2"}, MailEventKind.BLOCKED),
        ({"type": "blocked"}, MailEventKind.BLOCKED),
        ({"type": "blocked", "status": "5.7.1"}, MailEventKind.BLOCKED),
        ({"type": "expired"}, MailEventKind.BLOCKED),
        ({"type": "expired", "status": "5.4.7"}, MailEventKind.BLOCKED),
        ({"type": "invented"}, MailEventKind.BLOCKED),
    ],
)
def test_only_a_bounce_for_good_says_that_the_address_is_dead(more, kind):
    report = read_event(mail_event("bounce", 7) | more, NOW)
    assert report is not None
    assert report.kind is kind
    assert (report.ends is not None) == (kind is MailEventKind.BOUNCED)


@pytest.mark.parametrize("said", [True, "true", "True", 1])
def test_a_machine_that_opens_a_mail_is_not_its_reader(said):
    assert read_event(mail_event("open", 7) | {"sg_machine_open": said}, NOW) is None
    clicked = read_event(mail_event("click", 7) | {"sg_machine_open": said}, NOW)
    assert clicked is not None


@pytest.mark.parametrize("said", [False, "false", None, 0, "", []])
def test_whoever_else_opens_it_is_its_reader(said):
    report = read_event(mail_event("open", 7) | {"sg_machine_open": said}, NOW)
    assert report is not None
    assert report.kind is MailEventKind.OPENED


SECONDS = int(NOW.timestamp())


@pytest.mark.parametrize("value", [SECONDS, float(SECONDS), str(SECONDS), f" {SECONDS}.0 "])
def test_a_time_is_read_as_a_number_and_as_text(value):
    assert read_time(value, LATER) == NOW


@given(JSON)
def test_a_time_is_never_after_now_and_never_long_ago(value):
    assert LATER - timedelta(days=30) <= read_time(value, LATER) <= LATER


@pytest.mark.parametrize(
    "value",
    [1, -SECONDS, SECONDS * 1000, f"{SECONDS}000", "inf", "nan", "1e9", "١٧٦٣٦٣١٣٠٤", 10**400],
)
def test_a_time_that_cannot_be_is_now(value):
    assert read_time(value, LATER) == LATER


# --- batches, in the database ------------------------------------------------------------------

Books = dict[int, tuple[Any, ...]]


def read_books(session: Session) -> Books:
    """What an event may change: each message, and the addresses that are silenced."""
    session.flush()
    session.expire_all()
    books: Books = {
        one.id: (
            *(one.state, one.sent_at, one.delivered_at, one.opened_at, one.clicked_at),
            *(one.delivery_failure, one.delivery_failed_at),
        )
        for one in session.scalars(select(Message))
    }
    books[0] = tuple(sorted(session.execute(select(Suppression.company_id, Suppression.address))))
    return books


def hear(session: Session, events: list[dict[str, Any]]) -> int:
    return len(delivery_events.record(session, read_events(batch(*events), LATER), LATER))


@pytest.fixture
def message_ids(session: Session) -> list[int]:
    """Six mails to members of two companies, some of which SendGrid gave no id."""
    add_companies(session, {"biz_other"})
    made = []
    for number in range(6):
        state = MessageState.UNKNOWN if number == 5 else MessageState.SENT
        provider_id = None if number in (2, 5) else f"mail{number}"
        address = f"m{number}@example.com"
        made.append(add_message(session, state, provider_id, customer_email=address))
    give_away(session, made[4])
    return made


def give_away(session: Session, message_id: int) -> None:
    message = session.get_one(Message, message_id)
    payment = payments.lock_payments(session, [message.payment_id])[message.payment_id]
    payment.company_id = message.company_id = "biz_other"
    session.commit()


KINDS = ["delivered", "open", "click", "bounce", "dropped", "spamreport", "unsubscribe", "deferred"]


def draw_event(rng: random.Random, message_ids: list[int]) -> dict[str, Any]:
    number = rng.randrange(6)
    at = NOW + timedelta(minutes=rng.randrange(100))
    kind, more = rng.choice(KINDS), {"reason": rng.choice(["Invalid", "Spam Content"])}
    company = {"company_id": "biz_other"} if number == 4 else {}
    email_id = f"mail{number}.recvd-1.0"
    if rng.random() < 0.3:
        return bare_event(kind, email_id, at, **more)
    return mail_event(kind, message_ids[number], at, sg_message_id=email_id, **more, **company)


def spoil(rng: random.Random, event: dict[str, Any], message_ids: list[int]) -> dict[str, Any]:
    """Another deployment's: one thing that should agree does not."""
    if "message_id" not in event:
        return event | {"sg_message_id": f"theirs{rng.randrange(9)}.recvd-1.0"}
    name = rng.choice([*SENT_ALONG, "sg_message_id"])
    theirs = {
        "message_id": str(rng.choice([*message_ids, 0, 10**9])),
        "company_id": rng.choice([COMPANY, "biz_other", "biz_third"]),
        "payment_id": "pay_theirs",
        "step": rng.choice([one.value for one in Step]),
        "sg_message_id": "theirs.recvd-1.0",
    }
    return event | {name: theirs[name]}


def names_ours(event: dict[str, Any], honest: list[dict[str, Any]]) -> bool:
    """Whether what should have been spoiled came out as it was, or the message has no id that
    could tell."""
    told = [event.get(name) for name in SENT_ALONG]
    return any(told == [one.get(name) for name in SENT_ALONG] for one in honest)


@pytest.mark.parametrize("seed", range(8))
def test_no_event_of_another_message_ever_changes_ours(
    session: Session, message_ids: list[int], seed: int
):
    rng = random.Random(seed)
    before = read_books(session)
    honest = [draw_event(rng, message_ids) for _ in range(40)]
    strange = [spoil(rng, event, message_ids) for event in honest]
    strange = [one for one in strange if "message_id" not in one or not names_ours(one, honest)]
    assert len(strange) > 10
    assert hear(session, strange) == 0
    assert read_books(session) == before


@pytest.mark.parametrize("seed", range(6))
def test_neither_order_nor_repetition_nor_strangers_matter(
    session: Session, message_ids: list[int], seed: int
):
    rng = random.Random(seed)
    events = [draw_event(rng, message_ids) for _ in range(30)]
    with session.begin_nested() as once:
        hear(session, events)
        expected = read_books(session)
        once.rollback()
    strange = [event | {"payment_id": "pay_theirs", "message_id": "0"} for event in events]
    again = [*events, *rng.sample(events, 10), *strange]
    rng.shuffle(again)
    heard = 0
    while again:
        size = rng.randrange(1, 9)
        heard += hear(session, again[:size])
        del again[:size]
    assert read_books(session) == expected
    assert heard == len(set(session.scalars(select(MailEvent.event_id))))


def test_a_bounce_that_comes_hours_later_and_bare_finds_its_mail(session: Session):
    message_id = add_message(session, provider_id=EMAIL_ID)
    other = add_message(session, provider_id="another", customer_email="al@example.com")
    assert hear(session, [bare_event("bounce", EMAIL_ID + ENDINGS[2], type="bounce")]) == 1
    books = read_books(session)
    assert "bounced" in books[message_id]
    assert "bounced" not in books[other]
    assert books[0] == ((COMPANY, "jo@example.com"),)


def test_a_mails_own_event_is_heard_though_a_stranger_bears_its_number(session: Session):
    message_id = add_message(session, provider_id=EMAIL_ID)
    ours = mail_event("open", message_id, sg_message_id=EMAIL_ID)
    theirs = ours | {"payment_id": "pay_theirs"}
    assert hear(session, [theirs, ours]) == 1


def test_a_chat_message_has_no_mail_events(session: Session):
    message_id = add_message(session, provider_id="post_1")
    session.get_one(Message, message_id).channel = Channel.WHOP
    session.commit()
    events = [mail_event("bounce", message_id), bare_event("bounce", "post_1")]
    assert hear(session, events) == 0


def test_a_full_batch_is_taken_however_small_its_events_are(session: Session):
    message_id = add_message(session, provider_id=EMAIL_ID)
    others = [bare_event("open", f"theirs{number}.recvd-1") for number in range(1400)]
    assert hear(session, [*others, mail_event("bounce", message_id, sg_message_id=EMAIL_ID)]) == 1


def test_all_that_leaves_with_a_mail_is_what_its_events_are_matched_by():
    assert tuple(field.name for field in fields(SentAlong)) == SENT_ALONG
    assert datetime.fromtimestamp(SECONDS, UTC) == NOW
