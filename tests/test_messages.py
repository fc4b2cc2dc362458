"""At most one mail per failure, with the member's own link, whatever goes wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from daemon.mailer import BusyError, Mailer, RejectedError, UncertainError, make_courier
from daemon.messages import Messenger
from db import outbox
from db.declines import DeclineClass
from db.outbox import Letter
from db.session import SessionFactory
from db.status import MessageState
from mail.letters import Destination, Written, describe_card, format_money, write
from sandbox.sendgrid import SendGrid
from tests.factories import NOW
from tests.rig import Rig
from whop.client import MEMBERSHIPS_PAGE

SUBJECT = "Your payment failed — click here to update your card"


class Mails:
    """A courier that remembers what it carried, and breaks on demand."""

    def __init__(self, *errors: Exception) -> None:
        self.sent: list[tuple[str, Written, dict[str, str]]] = []
        self.errors = list(errors)

    def send(self, address: str, written: Written, arguments: dict[str, str]) -> str:
        self.sent.append((address, written, arguments))
        if self.errors:
            raise self.errors.pop(0)
        return "mail_1"


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path) -> Rig:
    return Rig(sessions, tmp_path)


def make_messenger(rig: Rig, mailer) -> Messenger:
    return Messenger(rig.sessions, rig.cycle.retrier.whop, mailer, rig.clock)


def states(rig: Rig, payment_id: str) -> list[str]:
    return [message.state for message in rig.messages(payment_id)]


def test_a_new_failure_sends_one_mail_with_the_members_own_link(rig: Rig):
    payment_id = rig.fail(email="jo@example.com", name="Jo Doe", amount=Decimal("49.00"))
    rig.messenger.send_due()
    rig.messenger.send_due()
    (mail,) = SendGrid(rig.world).mails()
    assert mail.recipients == ["jo@example.com"]
    assert mail.subject == SUBJECT
    link = rig.world.shapes.membership(
        rig.world.store.membership(rig.payment(payment_id).membership_id), "current"
    )["manage_url"]
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
    rig.fail()
    rig.world.faults.add("memberships.retrieve", "status", status=500, times=3)
    rig.messenger.send_due()
    (mail,) = SendGrid(rig.world).mails()
    assert MEMBERSHIPS_PAGE in mail.part("text/plain")


def test_a_payment_recovered_before_the_mail_is_not_written_about(rig: Rig):
    payment_id = rig.fail()
    rig.world.member_pays(payment_id, NOW + timedelta(minutes=1))
    rig.pass_time(0.1)
    rig.messenger.send_due()
    assert SendGrid(rig.world).mails() == []
    assert states(rig, payment_id) == []


def test_a_mail_a_day_late_is_not_sent(rig: Rig):
    rig.world.switches.whop_attempts_after_hours = ()
    payment_id = rig.fail("stolen_card")
    rig.pass_time(25)
    rig.messenger.send_due()
    assert states(rig, payment_id) == ["skipped"]


def test_switched_off_it_sends_nothing_and_catches_up_on_nothing(rig: Rig):
    payment_id = rig.fail()
    make_messenger(rig, None).send_due()
    rig.messenger.send_due()
    assert SendGrid(rig.world).mails() == []
    assert states(rig, payment_id) == ["skipped"]


@pytest.mark.parametrize(
    ("error", "state", "sent"),
    [
        (RejectedError("400"), "failed", 1),
        (UncertainError("no answer"), "unknown", 1),
        (BusyError("429"), "sent", 2),  # not taken the first time, so sent again
    ],
)
def test_only_a_mail_that_was_surely_not_taken_is_sent_again(rig: Rig, error, state, sent):
    payment_id = rig.fail()
    mails = Mails(error)
    messenger = make_messenger(rig, mails)
    messenger.send_due()
    rig.clock.now += timedelta(minutes=6)
    messenger.send_due()
    assert states(rig, payment_id) == [state]
    assert len(mails.sent) == sent


def test_a_mail_interrupted_while_sending_is_never_sent_again(rig: Rig):
    payment_id = rig.fail()
    with rig.sessions.begin() as session:
        outbox.queue_due(session, rig.clock.now)
        assert outbox.take_letter(session, rig.clock.now) is not None
    # killed here
    rig.clock.now += timedelta(hours=1)
    rig.messenger.send_due()
    assert SendGrid(rig.world).mails() == []
    assert states(rig, payment_id) == ["unknown"]


def test_two_daemons_do_not_take_the_same_letter(rig: Rig, sessions: SessionFactory):
    rig.fail()
    with sessions.begin() as session:
        assert outbox.queue_due(session, NOW) == 1
    with sessions() as one, sessions() as other:
        assert outbox.take_letter(one, NOW) is not None
        assert outbox.take_letter(other, NOW) is None


def test_the_mail_is_on_disk_as_sending_before_it_leaves(rig: Rig):
    payment_id = rig.fail()
    seen = []

    class Look(Mails):
        def send(self, *arguments):
            seen.extend(states(rig, payment_id))
            return super().send(*arguments)

    make_messenger(rig, Look()).send_due()
    assert seen == ["sending"]


def test_a_sendgrid_that_hangs_is_given_up_on(monkeypatch):
    """The package has no time-out of its own; a silent server must not stop the daemon."""
    assert make_courier("key", "http://localhost:1").client.timeout == 15


def test_an_unreachable_sendgrid_is_uncertain_not_fatal(letter: Letter):
    mailer = Mailer(make_courier("SG.x", "http://127.0.0.1:9"), "Us <us@example.com>")
    with pytest.raises(UncertainError, match="no answer"):
        mailer.send("jo@example.com", Written("s", "t", "h"), {})


@pytest.fixture
def letter() -> Letter:
    return Letter(
        message_id=1,
        payment_id="pay_1",
        company_id="biz_1",
        step="payment_failed",
        address="jo@example.com",
        member_name="Jo Doe",
        membership_id="mem_1",
        amount=Decimal("49.00"),
        currency="usd",
        reason="Card reported stolen",
        decline_class=DeclineClass.FRAUD,
        decline_code="stolen_card",
        card_brand="visa",
        card_last4="4242",
        product=None,
        next_retry_at=NOW,
        window_ends_at=NOW + timedelta(days=5),
        recovery_url=None,
    )


MEMBERSHIP = Destination("https://whop.com/billing/manage/mber_1/", "Acme", "Pro")


def test_the_first_line_says_who_writes(letter: Letter):
    written = write(letter, MEMBERSHIP)
    assert written.text.startswith("Acme is writing to you about Pro.")
    assert "your Visa ending in 4242" in written.text
    assert "Wednesday, November 25 at 09:15 UTC" in written.text


def test_the_member_never_reads_why_the_bank_refused(letter: Letter):
    written = write(letter, MEMBERSHIP)
    for word in ("stolen", "fraud", "lost"):
        assert word not in (written.text + written.html).lower()


def test_what_members_call_themselves_cannot_break_the_html(letter: Letter):
    written = write(replace(letter, member_name="<script>alert(1)</script>"), MEMBERSHIP)
    assert "<script>" not in written.html
    assert "&lt;script&gt;" in written.html


def test_a_confirmation_is_asked_for_with_its_own_link(letter: Letter):
    asks = replace(
        letter,
        decline_class=DeclineClass.AUTHENTICATION,
        recovery_url="https://whop.com/recover/1",
    )
    written = write(asks, MEMBERSHIP)
    assert "Confirm the payment: https://whop.com/recover/1" in written.text


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("49", "usd", "$49.00"),
        ("1234.5", "eur", "€1,234.50"),
        ("10", "chf", "10.00 CHF"),
    ],
)
def test_money_is_written_with_its_currency(amount, currency, shown):
    assert format_money(Decimal(amount), currency) == shown


def test_a_card_without_digits_is_just_a_card():
    assert describe_card(None, None) == "your card"
    assert describe_card(None, "4242") == "your card ending in 4242"
