"""One rule for e-mail addresses: what may be kept may be sent to, and the reverse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from pydantic import ValidationError
from sqlalchemy.orm import Session

from daemon.mailer import Mailer
from daemon.settings import DaemonSettings
from db.company_settings import messaging, notifications
from db.company_settings.addresses import (
    LONGEST_PLAIN,
    PLAIN,
    AddressError,
    find_address,
    is_address,
    parse_address,
    parse_sender,
)
from db.company_settings.messaging import MessagingSettings, read_messaging_settings
from db.company_settings.notifications import NotificationSettings, find_notification_settings
from db.company_settings.recovery import add_companies
from db.company_settings.validity import ChoiceError
from db.ledger.payment_reports import apply_report
from db.member_messages.reach import is_reachable
from db.models import Company
from db.reporting.attention import count_needed
from db.session import SessionFactory
from recovery.action_required import Need
from recovery.delivery import DeliveryState
from recovery.retrying.context import RetryRules
from recovery.status import Channel, MessageState, Step
from sandbox.servers.sendgrid import SendGrid
from tests.factories import COMPANY, HOUR, NOW, add_payment, iso, report
from tests.rig import Rig
from tests.soak import at_length
from tests.test_mailer import WORDS, Box

LATER = NOW + HOUR
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
    if delivery.state in (DeliveryState.REFUSED, DeliveryState.ADDRESS_REFUSED):
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
        read_messaging_settings({"messaging": {"reply_to": address}})[0].reply_to == address,
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


@pytest.mark.parametrize("address", [address for address in BAD if not find_address(address)])
def test_what_nothing_can_be_sent_to_is_no_address(address: str) -> None:
    assert not is_reachable(address, None)
    assert is_reachable(address, "user_1")


@given(some.sampled_from(GOOD), some.text(" \t\r\n\v\f\u00a0\u2028"), some.text(" \n"))
def test_blanks_around_an_address_are_not_part_of_it(address: str, before: str, after: str) -> None:
    assert find_address(before + address + after) == address


@pytest.mark.slow
@given(some.from_regex(PLAIN, fullmatch=True))
def test_what_is_taken_without_a_second_look_would_pass_it(address: str) -> None:
    if len(address) <= LONGEST_PLAIN:
        assert parse_address(address).lower() == address.lower()


@given(TYPED)
def test_what_is_found_is_an_address_and_found_again(address: str) -> None:
    found = find_address(address)
    assert (found is not None) == is_address(address.strip())
    assert found is None or (find_address(found), found in address) == (found, True)


def test_a_member_whose_address_is_none_is_written_to_in_the_chat_at_every_step(rig: Rig) -> None:
    rig.use(max_retries=0)
    hours: dict[str, Any] = {messaging.KEY: {"quiet_from": 0, "quiet_until": 0}}
    keep(rig, **hours)
    # What is read of a webhook has no NUL.
    told = [text.replace("\0", "") for text in (*BAD[1:], "mira", '"jo" <jo@example.com>')]
    odd = [text for text in told if not find_address(text)]
    in_chat = [rig.fail("expired_card", email=address) for address in odd]
    by_mail = [rig.fail("expired_card", email=f" {address}\n") for address in GOOD]
    for _ in range(5):
        rig.message_sender.send_due()
        rig.pass_time(24)
    for ids, channel in ((in_chat, Channel.WHOP), (by_mail, Channel.EMAIL)):
        for payment_id in ids:
            written = {(m.step, m.channel, m.state) for m in rig.messages(payment_id)}
            steps = (Step.PAYMENT_FAILED, Step.REMINDER, Step.LAST_DAY)
            assert written == {(step, channel, MessageState.SENT) for step in steps}
    sent = {recipient for mail in SendGrid(rig.world).mails() for recipient in mail.recipients}
    assert sent == {parse_address(address) for address in GOOD}


def test_nothing_is_planned_for_a_member_whom_nothing_reaches(session: Session) -> None:
    nobody: dict[str, Any] = {"customer_email": "mira", "user": None}
    payment = add_payment(session, rules=RetryRules(), decline_code="expired_card", **nobody)
    assert (payment.member_email, payment.next_message_at) == (None, None)
    (needed,) = count_needed(session, COMPANY)
    assert needed.need is Need.NO_ADDRESS


@pytest.mark.parametrize(
    "more", [{"customer_email": "jo@example.com"}, {"user": {"id": "user_1", "name": "Jo"}}]
)
def test_a_member_whom_something_reaches_later_is_written_to_then(
    session: Session, more: dict[str, Any]
) -> None:
    nobody: dict[str, Any] = {"customer_email": "mira", "user": None}
    payment = add_payment(session, rules=RetryRules(), decline_code="expired_card", **nobody)
    again = {"id": payment.payment_id, "decline_code": "expired_card", "user": None}
    told = report(**(again | {"customer_email": "al", "updated_at": iso(LATER)} | more))
    apply_report(session, payment, told, LATER, RetryRules())
    assert payment.next_step is Step.PAYMENT_FAILED
    assert count_needed(session, COMPANY) == []


def test_a_word_that_is_no_address_does_not_take_a_good_one_away(session: Session) -> None:
    payment = add_payment(session, rules=RetryRules(), decline_code="expired_card")
    told = report(id=payment.payment_id, customer_email="mira", updated_at=iso(LATER))
    apply_report(session, payment, told, LATER, RetryRules())
    assert payment.member_email == "jo@example.com"


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
