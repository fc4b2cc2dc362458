"""At most one mail per failure, with the member's own link, whatever goes wrong."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from daemon.messages import MessageSender
from db.member_messages import planner
from db.member_messages import queue as outbox
from db.member_messages.message_context import MessageContext
from db.models import Company
from db.session import SessionFactory
from mail.messages import RenderedMessage
from recovery.delivery import Delivery, put_off, refused, sent, unknown
from recovery.status import MessageState
from sandbox.servers.sendgrid import SendGrid
from tests.factories import COMPANY, NOW
from tests.rig import Rig
from whop.memberships import MEMBERSHIPS_PAGE

SUBJECT = "Your payment failed — click here to update your card"


class Mails:
    """A courier that remembers what it was given, and takes it unless it is told otherwise."""

    def __init__(self, *answers: Delivery) -> None:
        self.sent: list[tuple[str, RenderedMessage, dict[str, str]]] = []
        self.answers = list(answers)

    def send(
        self, address: str, written: RenderedMessage, arguments: dict[str, str], **more: str | None
    ) -> Delivery:
        self.sent.append((address, written, arguments))
        return self.answers.pop(0) if self.answers else sent("mail_1")


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path) -> Rig:
    return Rig(sessions, tmp_path)


def make_message_sender(rig: Rig, mailer) -> MessageSender:
    return MessageSender(rig.sessions, rig.cycle.retrier.whop, mailer, rig.clock)


def fail(rig: Rig, **wanted: Any) -> str:
    """A payment that only the member can put right, who is written to at once."""
    return rig.fail("expired_card", "paid", **wanted)


def choose(rig: Rig, **messaging: Any) -> None:
    with rig.sessions.begin() as session:
        company = session.get_one(Company, COMPANY)
        company.settings = company.settings | {"messaging": messaging}


def states(rig: Rig, payment_id: str) -> list[str]:
    return [message.state for message in rig.messages(payment_id)]


def test_a_new_failure_sends_one_mail_with_the_members_own_link(rig: Rig):
    payment_id = fail(rig, email="jo@example.com", name="Jo Doe", amount=Decimal("49.00"))
    rig.message_sender.send_due()
    rig.message_sender.send_due()
    (mail,) = SendGrid(rig.world).mails()
    assert mail.recipients == ["jo@example.com"]
    assert mail.subject == SUBJECT
    membership_id = rig.payment(payment_id).membership_id
    assert membership_id is not None
    membership = rig.world.store.membership(membership_id)
    link = rig.world.shapes.membership(membership, "current")["manage_url"]
    assert link.startswith("https://whop.com/billing/manage/")
    for part in ("text/plain", "text/html"):
        assert link in mail.part(part)
        assert "$49.00" in mail.part(part)
        assert "Jo" in mail.part(part)
    assert mail.custom_args["payment_id"] == payment_id
    (message,) = rig.messages(payment_id)
    assert (message.state, message.sent_at) == (MessageState.SENT, NOW)
    assert message.provider_id == mail.id


def test_without_its_own_link_the_mail_leads_to_whops_page(rig: Rig):
    fail(rig)
    rig.world.faults.add("memberships.retrieve", "status", status=500, times=3)
    rig.message_sender.send_due()
    (mail,) = SendGrid(rig.world).mails()
    assert MEMBERSHIPS_PAGE in mail.part("text/plain")


def test_a_payment_recovered_before_the_mail_is_not_written_about(rig: Rig):
    payment_id = fail(rig)
    rig.world.member_pays(payment_id, NOW + timedelta(minutes=1))
    rig.pass_time(0.1)
    rig.message_sender.send_due()
    assert SendGrid(rig.world).mails() == []
    assert states(rig, payment_id) == []


@pytest.mark.parametrize(("hours_left", "state"), [(2, "sent"), (1.9, "skipped")])
def test_a_message_that_comes_too_late_to_help_is_not_sent(rig: Rig, hours_left, state):
    rig.world.switches.whop_attempts_after_hours = ()
    payment_id = fail(rig)
    choose(rig, quiet_from=0, quiet_until=0)
    with rig.sessions.begin() as session:
        planner.queue_due(session, rig.clock.now)
    rig.clock.now = rig.payment(payment_id).window_ends_at - timedelta(hours=hours_left)
    rig.message_sender.send_due()
    assert states(rig, payment_id)[0] == state


def test_switched_off_it_sends_nothing_and_catches_up_on_nothing(rig: Rig):
    payment_id = fail(rig)
    make_message_sender(rig, None).send_due()
    rig.message_sender.send_due()
    assert SendGrid(rig.world).mails() == []
    assert states(rig, payment_id) == ["skipped"]


@pytest.mark.parametrize(
    ("answer", "state", "times"),
    [
        (refused("400"), "failed", 1),
        (unknown("no answer"), "unknown", 1),
        (put_off("429"), "sent", 2),  # not taken the first time, so sent again
    ],
)
def test_only_a_mail_that_was_surely_not_taken_is_sent_again(rig: Rig, answer, state, times):
    payment_id = fail(rig)
    mails = Mails(answer)
    message_sender = make_message_sender(rig, mails)
    message_sender.send_due()
    rig.clock.now += timedelta(minutes=6)
    message_sender.send_due()
    assert states(rig, payment_id) == [state]
    assert len(mails.sent) == times


def take(rig: Rig) -> MessageContext:
    with rig.sessions.begin() as session:
        planner.queue_due(session, rig.clock.now)
        taken = outbox.take_message(session, rig.clock.now)
    assert taken is not None
    return taken.context


def post(rig: Rig, context: MessageContext) -> bool:
    with rig.sessions.begin() as session:
        return outbox.mark_dispatched(session, context, rig.clock.now)


def test_a_mail_interrupted_while_sending_is_never_sent_again(rig: Rig):
    payment_id = fail(rig)
    assert post(rig, take(rig))
    # killed here
    rig.clock.now += timedelta(hours=1)
    rig.message_sender.send_due()
    assert SendGrid(rig.world).mails() == []
    assert states(rig, payment_id) == ["unknown"]


def test_a_mail_interrupted_before_it_was_to_leave_is_sent_by_the_next_daemon(rig: Rig):
    payment_id = fail(rig)
    slow = take(rig)
    # killed here, or only slow
    rig.clock.now += timedelta(minutes=5)
    rig.message_sender.send_due()
    assert states(rig, payment_id) == ["sending"]
    rig.clock.now += timedelta(minutes=6)
    rig.message_sender.send_due()
    assert states(rig, payment_id) == ["sent"]
    assert not post(rig, slow)
    assert len(SendGrid(rig.world).mails()) == 1


def test_what_becomes_known_while_it_is_prepared_still_stops_it(rig: Rig):
    payment_id = fail(rig)
    context = take(rig)
    rig.world.member_pays(payment_id, rig.clock.now)
    assert not post(rig, context)
    assert states(rig, payment_id) == ["skipped"]


def test_two_daemons_do_not_take_the_same_letter(rig: Rig, sessions: SessionFactory):
    fail(rig)
    with sessions.begin() as session:
        assert planner.queue_due(session, NOW) == 1
    with sessions() as one, sessions() as other:
        assert outbox.take_message(one, NOW) is not None
        assert outbox.take_message(other, NOW) is None


def test_the_mail_is_on_disk_as_sending_before_it_leaves(rig: Rig):
    payment_id = fail(rig)
    seen = []

    class Look(Mails):
        def send(self, *arguments, **more):
            seen.extend(states(rig, payment_id))
            return super().send(*arguments, **more)

    message_sender = make_message_sender(rig, Look())
    message_sender.queue_some()
    message_sender.send_one()
    assert seen == ["sending"]
