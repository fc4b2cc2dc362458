"""One rule for e-mail addresses: what may be kept may be sent to, and the reverse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from pydantic import ValidationError
from sqlalchemy import select

from daemon.mailer import Mailer
from daemon.settings import DaemonSettings
from db.company_settings import messaging, notifications
from db.company_settings.addresses import AddressError, is_address, parse_address, parse_sender
from db.company_settings.messaging import MessagingSettings
from db.company_settings.notifications import NotificationSettings, find_notification_settings
from db.company_settings.recovery import ChoiceError, add_companies
from db.models import Company, Message
from db.session import SessionFactory
from recovery.delivery import DeliveryState
from recovery.status import MessageState
from sandbox.servers.sendgrid import SendGrid
from tests.factories import COMPANY
from tests.rig import Rig
from tests.soak import at_length
from tests.test_mailer import WORDS, Box

GOOD = (
    "jo@example.com",
    "help+club@maya.example",
    "JO.O'Neil_99@sub.example.co.uk",
    "member@shop.test",
    "jo@exämple.com",
    "jo@xn--exmple-cua.com",
    "x" * 64 + "@example.com",
)
BAD = (
    "",
    "jo",
    "jo@",
    "@example.com",
    "jo@example",
    "jo@test",
    "jo@localhost",
    "jo@shop.invalid",
    "jo@shop.local",
    "jo@@example.com",
    "a@b..c",
    "a..b@example.com",
    ".a@example.com",
    "a.@example.com",
    "a@example.com.",
    "a@-example.com",
    "a@ex_ample.com",
    "a@[127.0.0.1]",
    "a@127.0.0.1",
    '"jo"@example.com',
    "Jo <jo@example.com>",
    "<jo@example.com>",
    "jo@example.com, eve@example.com",
    "jo@example.com;eve@example.com",
    "jo@example.com eve@example.com",
    " jo@example.com",
    "jo@example.com\n",
    "jo@example.com\r\nBcc: eve@example.com",
    "jo\0@example.com",
    "jo\x7f@example.com",
    "jo@exa\u200bmple.com",
    "\u202ejo@example.com",
    "jö@example.com",
    "\uff4ao@example.com",
    "jo\uff20example.com",
    "jo@\uff45xample.com",
    "jo@example\u3002com",
    "jo@\u212aelvin.com",
    "x" * 65 + "@example.com",
    "jo@" + "a" * 64 + ".com",
    "jo@" + "a." * 130 + "com",
)
ALPHABET = some.sampled_from(
    [*"ab.@-_+'\"<>,; \0\n\\[]()", "ä", "\uff41", "\u202e", "@b.com", "xn--"]
)
TYPED = some.one_of(
    some.emails(),
    some.text(),
    some.lists(ALPHABET, max_size=12).map("".join),
    some.builds("{}@{}.com".format, some.text(max_size=5), some.text(max_size=5)),
)


def may_reply_to(address: str) -> bool:
    try:
        MessagingSettings(reply_to=address).check()
    except ChoiceError:
        return False
    return True


def may_get_digest(address: str) -> bool:
    try:
        NotificationSettings(digest_to=address).check()
    except ChoiceError:
        return False
    return True


def send(address: str, **more: str) -> str | None:
    """Whom SendGrid is asked to write to; None: it is not asked."""
    box = Box()
    delivery = Mailer(box, "us@example.com").send(address, WORDS, {}, **more)
    if delivery.state is DeliveryState.REFUSED:
        assert not box.sent
        return None
    (sent,) = box.sent
    ((to,),) = [one["to"] for one in sent["personalizations"]]
    assert to.keys() == {"email"}
    return str(to["email"])


@pytest.mark.parametrize("address", GOOD)
def test_an_address_is_one(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize("address", BAD)
def test_anything_else_is_none(address: str) -> None:
    with pytest.raises(AddressError, match="not a single email address") as caught:
        parse_address(address)
    assert not address or address not in str(caught.value)


@pytest.mark.slow
@given(TYPED)
@settings(max_examples=at_length(500))
@example("jo@example.com")
@example("a..b@example.com")
def test_what_may_be_kept_may_be_sent_to_and_the_reverse(address: str) -> None:
    answers = {
        is_address(address),
        may_reply_to(address),
        may_get_digest(address),
        send(address) is not None,
        send("jo@example.com", reply_to=address) is not None,
        MessagingSettings(reply_to=address).sendable_reply_to == address != "",
    }
    assert len(answers) == 1


@pytest.mark.slow
@given(TYPED)
@settings(max_examples=at_length(300))
def test_what_leaves_is_one_address_in_ascii_and_an_address_itself(address: str) -> None:
    sent = send(address)
    if sent is not None:
        assert sent.isascii()
        assert sent.count("@") == 1
        assert sent.isprintable()
        assert parse_address(sent) == sent


@pytest.mark.parametrize(
    ("sender", "name", "address"),
    [
        ("us@example.com", "", "us@example.com"),
        ("Lantern Academy <billing@example.com>", "Lantern Academy", "billing@example.com"),
        (
            "Müller & Söhne, Inc. <a@müller.example>",
            "Müller & Söhne, Inc.",
            "a@xn--mller-kva.example",
        ),
        (" <us@example.com> ", "", "us@example.com"),
    ],
)
def test_a_sender_is_a_name_and_an_address(sender: str, name: str, address: str) -> None:
    assert parse_sender(sender) == (name, address)


@pytest.mark.parametrize(
    "sender",
    ["Us", "Us <>", "Us <us>", "a@example.com, b@example.com", "Us <a@b.com> <c@d.com>", *BAD[:9]],
)
def test_the_daemon_says_at_its_start_that_it_cannot_send_in_this_name(sender: str) -> None:
    mails: dict[str, Any] = {"sendgrid_api_key": "SG.x", "environment": "development"}
    mails["_env_file"] = None
    with pytest.raises(ValidationError, match=r"EMAIL_ENABLED needs .*EMAIL_FROM") as caught:
        DaemonSettings(email_enabled=True, email_from=sender, **mails)
    assert "None" not in str(caught.value.errors()[0]["msg"])
    DaemonSettings(email_enabled=False, email_from=sender, **mails)


# --- what was kept, or told by Whop, before the rule -------------------------------------------


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path) -> Rig:
    return Rig(sessions, tmp_path)


def keep(rig: Rig, **kept: dict[str, object]) -> None:
    with rig.sessions.begin() as session:
        add_companies(session, {COMPANY})
        session.get_one(Company, COMPANY).settings = kept


def test_a_member_s_address_that_is_none_is_told_of_and_not_written_to(rig: Rig) -> None:
    rig.fail("expired_card", "expired_card", email="a..b@example.com")
    rig.fail("expired_card", "expired_card", email="jo@example.com")
    rig.message_sender.send_due()
    with rig.sessions() as session:
        found = {message.state: message.detail for message in session.scalars(select(Message))}
    assert found == {
        MessageState.FAILED: "the address is not one",
        MessageState.SENT: None,
    }


def test_a_kept_address_for_answers_that_is_none_holds_no_message_up(rig: Rig) -> None:
    keep(
        rig, **{messaging.KEY: {"reply_to": "a..b@example.com", "quiet_from": 0, "quiet_until": 0}}
    )
    rig.fail("expired_card", "expired_card")
    rig.message_sender.send_due()
    (mail,) = SendGrid(rig.world).mails()
    assert "reply_to" not in mail.sent


def test_a_kept_address_for_the_digest_that_is_none_can_still_be_read(rig: Rig) -> None:
    keep(rig, **{notifications.KEY: {"digest": True, "digest_to": "jo@\uff45xample.com"}})
    with rig.sessions() as session:
        assert find_notification_settings(session, COMPANY) == NotificationSettings(
            True, "jo@\uff45xample.com"
        )
    assert send("jo@\uff45xample.com") is None
