"""How much is sent, when again, by how many at once; and a company's manners reach the mail."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from daemon.chat import SupportChat
from daemon.messages import MessageSender
from db.company_settings.messaging import MessagingSettings, save_messaging_settings
from db.company_settings.templates import OwnTemplate, store_template
from db.member_messages import delivery_events, planner
from db.member_messages.event_matching import MailReport, SentAlong
from db.models import Message, Suppression
from db.session import SessionFactory
from recovery.delivery import DeliveryFailure, MailEventKind, put_off, unknown
from recovery.status import Channel, MessageState, Step
from sandbox.servers.sendgrid import SendGrid
from sandbox.servers.support import Support
from tests.factories import COMPANY, NOW
from tests.rig import Rig
from tests.test_messages import Mails

AWAKE = {"quiet_from": 0, "quiet_until": 0}


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path) -> Rig:
    return Rig(sessions, tmp_path)


def choose(rig: Rig, **messaging: Any) -> None:
    with rig.sessions.begin() as session:
        save_messaging_settings(
            session, COMPANY, MessagingSettings(**AWAKE | messaging), "somebody", rig.clock.now
        )


def fail(rig: Rig, **wanted: Any) -> str:
    return rig.fail("expired_card", "expired_card", **wanted)


def use(rig: Rig, mailer: Any, **more: Any) -> MessageSender:
    rig.message_sender = MessageSender(
        rig.sessions, rig.message_sender.whop, mailer, rig.clock, **more
    )
    return rig.message_sender


def count_states(rig: Rig) -> Counter[str]:
    with rig.sessions() as session:
        return Counter(session.scalars(select(Message.state)))


def test_a_company_sends_no_more_a_day_than_it_wants(rig: Rig):
    choose(rig, daily_cap=2)
    for _ in range(5):
        fail(rig)
    rig.message_sender.send_due()
    assert count_states(rig) == {"sent": 2, "queued": 3}
    midnight = NOW.replace(hour=0, minute=0, second=0) + timedelta(days=1)
    rig.clock.now = midnight - timedelta(seconds=1)
    rig.message_sender.send_due()
    assert count_states(rig)["sent"] == 2
    rig.clock.now = midnight
    rig.message_sender.send_due()
    assert count_states(rig) == {"sent": 4, "queued": 1}


@pytest.mark.parametrize(
    ("asked", "minutes"),
    [(None, [5, 10, 20, 40, 80, 120, 120]), (30, [30, 30, 30, 40, 80, 120, 120])],
)
def test_a_busy_service_is_left_alone_for_longer_each_time(rig: Rig, asked, minutes):
    """Or for as long as it asks, where that is longer."""
    choose(rig)
    payment_id = fail(rig)
    wait = None if asked is None else timedelta(minutes=asked)
    message_sender = use(rig, Mails(*[put_off("429", wait)] * len(minutes)))
    waited = []
    for _ in minutes:
        message_sender.send_due()
        (message,) = rig.messages(payment_id)
        assert message.state is MessageState.QUEUED
        waited.append((message.due_at - rig.clock.now) // timedelta(minutes=1))
        rig.clock.now = message.due_at
    assert waited == minutes
    message_sender.send_due()
    assert [message.state for message in rig.messages(payment_id)] == ["sent"]


def test_several_threads_take_different_messages(rig: Rig):
    choose(rig)
    payment_ids = [fail(rig) for _ in range(12)]
    mails = Mails()
    assert use(rig, mails, workers=4).send_due() == 12
    told = Counter(arguments["payment_id"] for _, _, arguments in mails.sent)
    assert told == Counter(payment_ids)


def test_proof_that_a_mail_was_sent_holds_for_those_it_spoke_for(rig: Rig):
    choose(rig)
    first = fail(rig)
    second = fail(rig, membership_id=rig.payment(first).membership_id)
    use(rig, Mails(unknown("no answer"))).send_due()
    (lead,), (joined,) = rig.messages(first), rig.messages(second)
    assert (lead.state, joined.state, joined.sent_at) == ("unknown", "joined", None)
    then = NOW + timedelta(minutes=1)
    about = SentAlong(lead.id, COMPANY, lead.payment_id, lead.step)
    delivered = MailReport("event_1", MailEventKind.DELIVERED, then, sent_along=about)
    with rig.sessions.begin() as session:
        delivery_events.record(session, [delivered], then)
    (lead,), (joined,) = rig.messages(first), rig.messages(second)
    assert (lead.state, lead.sent_at, joined.sent_at) == ("sent", then, then)


def test_only_reminders_offer_to_send_no_more(rig: Rig):
    choose(rig)
    fail(rig)
    message_sender = use(
        rig,
        rig.message_sender.mailer,
        link_to_stop=lambda number: f"https://us.example/stop/{number}",
    )
    for _ in range(100):
        message_sender.send_due()
        rig.pass_time(1)
    offered = {
        mail.custom_args["step"]: "https://us.example/stop/" in mail.part("text/plain")
        for mail in SendGrid(rig.world).mails()
    }
    assert offered == {"payment_failed": False, "reminder": True, "last_day": True}


def test_a_company_s_manners_and_words_reach_the_mail(rig: Rig):
    choose(rig, sender_name="Maya", reply_to="help@example.com", note="See you in class")
    with rig.sessions.begin() as session:
        own = OwnTemplate("Hello {{ name }}", "Oh no.", "<p>Oh no.</p>")
        store_template(session, COMPANY, Step.PAYMENT_FAILED, own, "maya", NOW)
    fail(rig, name="Jo Doe")
    rig.message_sender.send_due()
    (mail,) = SendGrid(rig.world).mails()
    assert mail.sender.startswith("Maya <")
    assert mail.sent["reply_to"] == {"email": "help@example.com"}
    assert mail.subject == "Hello Jo"
    assert "Oh no." in mail.part("text/plain")
    assert "See you in class" in mail.part("text/plain")
    assert mail.part("text/plain").startswith("Maya is writing to you")


def test_where_the_address_is_dead_the_words_arrive_in_whops_own_chat(rig: Rig):
    choose(rig)
    payment_id = fail(rig, email="jo@example.com")
    with rig.sessions.begin() as session:
        session.add(
            Suppression(
                company_id=COMPANY,
                address="jo@example.com",
                reason=DeliveryFailure.BOUNCED,
                since=NOW,
            )
        )
        planner.queue_due(session, NOW)
    use(rig, rig.message_sender.mailer, chat=SupportChat(rig.message_sender.whop)).send_due()
    (message,) = rig.messages(payment_id)
    assert (message.state, message.channel) == ("sent", Channel.WHOP)
    (chat,) = Support(rig.world).chats()
    ((_, words),) = chat.messages
    assert "did not go through" in words
    assert SendGrid(rig.world).mails() == []
