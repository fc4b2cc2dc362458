"""A message that is refused waits, takes the other channel, or fails; it never leaves twice."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sendgrid.helpers.mail import Mail
from sqlalchemy import select

from daemon.mailer import Mailer, Response
from db.company_settings import messaging
from db.company_settings.recovery import add_companies
from db.creator_notices.triggers import is_active
from db.member_messages import queue as outbox
from db.models import Company, Message, Payment
from db.reporting.attention import count_needed
from db.reporting.health import gather_facts
from db.session import SessionFactory
from recovery.action_required import Need
from recovery.health import Level
from recovery.status import Channel, MessageState, NoticeKind, Step
from sandbox.servers.sendgrid import SendGrid
from sandbox.servers.support import Support
from tests.factories import COMPANY
from tests.rig import Rig

pytestmark = pytest.mark.slow

# Of the sandbox's switch.
OF_ACCOUNT = ["revoked_key", "credits", "no_permission", "sender", "region"]
OF_EMAIL = ["content", "too_large"]


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path) -> Rig:
    rig = Rig(sessions, tmp_path)
    rig.use(max_retries=0)
    return rig


def choose(rig: Rig, channel: Channel = Channel.EMAIL) -> None:
    """No quiet hours, and the channel that the creator prefers."""
    kept = {"quiet_from": 0, "quiet_until": 0, "channel": channel.value}
    with rig.sessions.begin() as session:
        add_companies(session, {COMPANY})
        session.get_one(Company, COMPANY).settings = {messaging.KEY: kept}


def fail(rig: Rig, **more: Any) -> str:
    return rig.fail("expired_card", **more)


def forget_user(rig: Rig, payment_id: str) -> None:
    """A member whom Whop's chat does not know."""
    with rig.sessions.begin() as session:
        found = session.scalars(select(Payment).where(Payment.payment_id == payment_id)).one()
        found.user_id = None


def refuse(rig: Rig, refusal: str = "none") -> None:
    rig.world.switches.mail_refusal = refusal  # type: ignore[assignment]


def refuse_chat(rig: Rig, operation: str, status: int) -> None:
    rig.world.faults.add(operation, "status", status=status, times=None)


def count_arrived(rig: Rig) -> Counter[str]:
    """What left, by channel."""
    mails = len(SendGrid(rig.world).mails())
    chats = sum(len(chat.messages) for chat in Support(rig.world).chats())
    return Counter(email=mails, whop=chats)


def count_calls(rig: Rig) -> Counter[str]:
    """Of SendGrid, whatever it answers."""
    calls: Counter[str] = Counter()
    mailer = rig.message_sender.mailer
    assert isinstance(mailer, Mailer)
    asked = mailer.sendgrid_client

    class Counting:
        def send(self, message: Mail) -> Response:
            calls["mail"] += 1
            return asked.send(message)

    mailer.sendgrid_client = Counting()
    return calls


def only(rig: Rig, payment_id: str) -> Message:
    (message,) = rig.messages(payment_id)
    return message


# --- our account -------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", OF_ACCOUNT)
def test_what_an_account_refuses_is_sent_once_it_works(rig: Rig, refusal: str):
    choose(rig)
    payment_ids = [fail(rig) for _ in range(5)]
    refuse(rig, refusal)
    for _ in range(8):
        rig.message_sender.send_due()
        rig.pass_time(0.25)
    assert {only(rig, one).state for one in payment_ids} == {MessageState.QUEUED}
    refuse(rig)
    rig.pass_time(0.2)
    for _ in range(2):
        rig.message_sender.send_due()
        rig.pass_time(0.2)
    assert {only(rig, one).state for one in payment_ids} == {MessageState.SENT}
    assert count_arrived(rig) == Counter(email=5)


def test_a_refused_account_is_told_of_once_and_tried_by_one_at_a_time(
    rig: Rig, caplog: pytest.LogCaptureFixture
):
    choose(rig)
    for _ in range(20):
        fail(rig)
    refuse(rig, "credits")
    asked = count_calls(rig)
    caplog.set_level(logging.INFO, "daemon.messages")
    for _ in range(3):
        rig.message_sender.send_due()
        rig.message_sender.send_due()
        rig.pass_time(0.2)
    assert asked.total() == 3
    refuse(rig)
    for _ in range(3):
        rig.message_sender.send_due()
        rig.pass_time(0.2)
    said = [(one.levelname, one.getMessage()) for one in caplog.records if "account" in one.message]
    assert [level for level, _ in said] == ["ERROR", "INFO"]
    assert "Maximum credits exceeded" in said[0][1]
    assert count_arrived(rig) == Counter(email=20)


def test_a_refused_account_is_shown_and_posted_while_it_lasts(rig: Rig):
    from dashboard.text.health_links import describe_sending

    choose(rig)
    payment_id = fail(rig)
    refuse(rig, "credits")
    rig.message_sender.send_due()
    for refused in (True, False):
        with rig.sessions() as session:
            finding = describe_sending(gather_facts(session, COMPANY, rig.clock.now))
            active = is_active(session, COMPANY, NoticeKind.MAILS_REFUSED, rig.clock.now)
        assert (finding.level is Level.RED, active) == (refused, refused)
        assert ("Maximum credits exceeded" in finding.words) == refused
        refuse(rig)
        rig.pass_time(0.2)
        rig.message_sender.send_due()
    assert only(rig, payment_id).state is MessageState.SENT


def test_a_refused_account_holds_nothing_up_that_goes_by_the_other_channel(rig: Rig):
    choose(rig)
    by_mail, in_chat = fail(rig), fail(rig, email="mira")
    refuse(rig, "revoked_key")
    rig.message_sender.send_due()
    assert only(rig, by_mail).state is MessageState.QUEUED
    assert (only(rig, in_chat).state, only(rig, in_chat).channel) == ("sent", "whop")


def test_what_an_account_refuses_to_the_end_has_failed_with_the_reason(rig: Rig):
    choose(rig)
    payment_id = fail(rig)
    refuse(rig, "credits")
    for _ in range(125):
        rig.message_sender.send_due()
        rig.pass_time(1)
    messages = rig.messages(payment_id)
    assert {one.state for one in messages} <= {MessageState.FAILED, MessageState.SKIPPED}
    assert all("Maximum credits exceeded" in (one.detail or "") for one in messages if one.tries)
    assert count_arrived(rig) == Counter()


# --- the address -------------------------------------------------------------------------------


def test_an_address_that_sendgrid_refuses_is_left_for_the_chat_at_every_step(rig: Rig):
    choose(rig)
    payment_id = fail(rig)
    refuse(rig, "address")
    for _ in range(5):
        rig.message_sender.send_due()
        rig.pass_time(24)
    written = {one.step: (one.channel, one.state) for one in rig.messages(payment_id)}
    steps = (Step.PAYMENT_FAILED, Step.REMINDER, Step.LAST_DAY)
    assert written == dict.fromkeys(steps, (Channel.WHOP, MessageState.SENT))
    assert count_arrived(rig) == Counter(whop=3)


@pytest.mark.parametrize("operation", ["support_channels.create", "messages.create"])
@pytest.mark.parametrize("status", [404, 409])
def test_a_member_whom_the_chat_does_not_reach_gets_an_email(rig: Rig, operation, status):
    choose(rig, Channel.WHOP)
    payment_id = fail(rig)
    refuse_chat(rig, operation, status)
    rig.message_sender.send_due()
    message = only(rig, payment_id)
    assert (message.channel, message.state, message.refused_by) == ("email", "sent", "whop")
    assert count_arrived(rig) == Counter(email=1)


def test_a_member_whom_neither_reaches_is_the_creators_to_write_to(rig: Rig):
    choose(rig)
    both, alone = fail(rig), fail(rig)
    forget_user(rig, alone)
    refuse(rig, "address")
    refuse_chat(rig, "support_channels.create", 404)
    rig.message_sender.send_due()
    for payment_id in (both, alone):
        assert only(rig, payment_id).state is MessageState.FAILED
    with rig.sessions() as session:
        assert {one.need: one.payments for one in count_needed(session, COMPANY)} == {
            Need.UNREACHED: 2
        }
    assert count_arrived(rig) == Counter()


@pytest.mark.parametrize("refusal", OF_EMAIL)
def test_a_mail_that_is_refused_for_itself_fails_with_its_reason(rig: Rig, refusal: str):
    choose(rig)
    payment_id = fail(rig)
    refuse(rig, refusal)
    rig.message_sender.send_due()
    message = only(rig, payment_id)
    assert (message.state, message.refused_by) == ("failed", None)
    assert (message.detail or "").startswith("SendGrid answered 4")
    assert count_arrived(rig) == Counter()


# --- never twice, whatever crashes -------------------------------------------------------------


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


def die(*ignored: Any, **named: Any) -> Any:
    raise Killed


def die_after(real: Callable[..., Any]) -> Callable[..., Any]:
    def killed(*arguments: Any, **named: Any) -> Any:
        real(*arguments, **named)
        raise Killed

    return killed


def list_moments(rig: Rig) -> dict[str, tuple[Any, str]]:
    """Where a sender may die: an object, and the name of what it calls there."""
    sender = rig.message_sender
    return {
        "taking": (outbox, "take_message"),
        "preparing": (sender, "prepare"),
        "marking": (outbox, "mark_dispatched"),
        "sending by email": (sender.mailer, "send"),
        "sending in the chat": (sender.chat, "send"),
        "recording": (sender, "record"),
        "falling back": (outbox, "fall_back"),
    }


MOMENTS = ["taking", "preparing", "marking", "sending by email", "sending in the chat"]
MOMENTS += ["recording", "falling back"]


@pytest.mark.parametrize("preferred", list(Channel))
@pytest.mark.parametrize("how", [lambda real: die, die_after], ids=["before", "after"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_message_that_falls_back_leaves_once_at_most_whatever_crashes(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, moment, how, preferred
):
    choose(rig, preferred)
    payment_id = fail(rig)
    if preferred is Channel.EMAIL:
        refuse(rig, "address")
    else:
        refuse_chat(rig, "support_channels.create", 404)
    owner, name = list_moments(rig)[moment]
    # At the first time, and at the second, which is the other channel's.
    for nth in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, die_at(getattr(owner, name), how, nth))
            with suppress(Killed):
                rig.message_sender.send_due()
        rig.pass_time(0.2)
    for _ in range(4):
        rig.message_sender.send_due()
        rig.pass_time(0.2)
    message = only(rig, payment_id)
    arrived = count_arrived(rig)
    assert sum(arrived.values()) <= 1
    assert message.state in (MessageState.SENT, MessageState.UNKNOWN)
    assert (message.state is MessageState.SENT) <= (arrived[message.channel] == 1)


def die_at(real: Callable[..., Any], how: Callable[..., Any], nth: int) -> Callable[..., Any]:
    calls = [0]

    def counted(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        return (how(real) if calls[0] == nth else real)(*arguments, **named)

    return counted


def test_what_may_have_left_by_email_does_not_leave_in_the_chat(rig: Rig):
    choose(rig)
    payment_id = fail(rig)
    rig.world.faults.add("mail.send", "500_after")
    rig.message_sender.send_due()
    refuse(rig, "address")
    rig.pass_time(1)
    rig.message_sender.send_due()
    assert only(rig, payment_id).state is MessageState.UNKNOWN
    assert count_arrived(rig) == Counter(email=1)


def test_what_is_put_back_is_counted_as_delayed(rig: Rig):
    choose(rig)
    fail(rig)
    rig.world.faults.add("mail.send", "status", status=429)
    rig.message_sender.send_due()
    with rig.sessions() as session:
        sending = gather_facts(session, COMPANY, rig.clock.now + timedelta(minutes=1)).sending
    assert (sending.put_off, sending.sent, sending.failed) == (1, 0, 0)
