"""Every way in which SendGrid may report on a mail: what becomes of the message and its address."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from db.models import MailEvent, Message, Suppression
from db.session import SessionFactory
from recovery.delivery import DeliveryFailure, MailEventKind
from recovery.status import Channel
from sandbox.wire.mail_events import LARGEST_BATCH, cut
from tests.rig import Rig

pytestmark = pytest.mark.slow


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path) -> Rig:
    rig = Rig(sessions, tmp_path)
    rig.use(max_retries=0)
    rig.hear_of_mails()
    return rig


def send(rig: Rig, **switches: Any) -> Message:
    """A mail, and what is heard of it within a day."""
    for name, value in switches.items():
        setattr(rig.world.switches, name, value)
    payment_id = rig.fail("expired_card", email="jo@example.com")
    rig.message_sender.send_due()
    rig.pass_time(24)
    (message,) = rig.messages(payment_id)
    return message


def is_silenced(rig: Rig) -> bool:
    with rig.sessions() as session:
        return session.scalars(select(Suppression.address)).all() == ["jo@example.com"]


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("times", ["number", "text"])
@pytest.mark.parametrize("kind", ["bounce", "blocked", "expired"])
def test_a_bounce_is_found_and_only_a_dead_address_is_silenced(rig: Rig, kind, times, bare):
    message = send(
        rig,
        mail_bounce_share=1.0,
        mail_bounce_type=kind,
        mail_times=times,
        mail_bounces_are_bare=bare,
    )
    assert message.delivery_failure is DeliveryFailure.BOUNCED
    assert message.delivery_failed_at is not None
    assert message.sent_at is not None
    assert (message.delivery_failed_at - message.sent_at).total_seconds() < 60
    assert is_silenced(rig) == (kind == "bounce")
    rig.message_sender.send_due()
    rig.pass_time(24)
    rig.message_sender.send_due()
    *_, reminder = sorted(rig.messages(message.payment_id), key=lambda one: one.id)
    assert reminder.channel is (Channel.WHOP if kind == "bounce" else Channel.EMAIL)


def test_what_opens_by_itself_is_not_the_reader(rig: Rig):
    for _ in range(9):
        rig.fail("expired_card")
    send(rig, mail_bounce_share=0.0, mail_spam_share=0.0, mail_opened_by_machines=True)
    with rig.sessions() as session:
        delivered = session.scalars(select(Message.delivered_at)).all()
        opened = session.scalars(
            select(MailEvent.message_id).where(MailEvent.kind == MailEventKind.OPENED)
        ).all()
        read = session.scalars(select(Message.id).where(Message.opened_at.is_not(None))).all()
    assert len(delivered) == 10
    assert None not in delivered
    # Some readers open it too.
    assert set(opened) == set(read)
    assert 0 < len(read) < 10


def test_a_batch_of_the_sandboxs_is_as_large_as_sendgrids():
    events = [(number, "x" * 500) for number in range(2_000)]
    assert sum(len(document) for _, document in cut(events)) <= LARGEST_BATCH
    assert len(cut(events)) > 700
    assert cut([(1, "x" * 2 * LARGEST_BATCH)]) == [(1, "x" * 2 * LARGEST_BATCH)]
