"""A payment's whole window, hour by hour, with the real rules: exactly what its member gets, and
when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import delete

from daemon.messages import MessageSender
from db.company_settings.recovery import RecoverySettings, add_companies, save_recovery_settings
from db.ledger import requests
from db.member_messages import planner
from db.models import Company, Payment, Suppression
from recovery.declines import DeclineClass
from recovery.delivery import Delivery, DeliveryFailure, sent
from recovery.retrying.context import RetryRules
from recovery.status import Channel, ClosedReason, MessageState, RequestKind, Step
from sandbox.model import population
from sandbox.servers.sendgrid import SendGrid
from tests.factories import COMPANY, HOUR, NOW
from tests.rig import Rig

FIRST, REMINDER, LAST, NOTICE = (
    Step.PAYMENT_FAILED,
    Step.REMINDER,
    Step.LAST_DAY,
    Step.NOTICE,
)
EMAIL, CHAT = Channel.EMAIL, Channel.WHOP
Heard = tuple[int, Step, Channel]

CODES = {
    DeclineClass.FUNDS: "insufficient_funds",
    DeclineClass.ISSUER: "generic_decline",
    DeclineClass.TECHNICAL: "issuer_unavailable",
    DeclineClass.AUTHENTICATION: "authentication_required",
    DeclineClass.CARD: "expired_card",
    DeclineClass.FRAUD: "stolen_card",
    DeclineClass.CONSENT: "transaction_stopped",
    DeclineClass.DUPLICATE: "duplicate_transaction",
    DeclineClass.AMOUNT: "invalid_amount",
    DeclineClass.BANK_DEBIT: "bank_account_closed",
    DeclineClass.TEST: "test_mode_decline",
    DeclineClass.UNKNOWN: "a_code_of_tomorrow",
}
ALL_THREE = [(0, FIRST, EMAIL), (48, REMINDER, EMAIL), (96, LAST, EMAIL)]
FIRST_AND_LAST = [(36, FIRST, EMAIL), (96, LAST, EMAIL)]
ONE_NOTICE = [(0, NOTICE, EMAIL)]
HEARD: dict[DeclineClass, list[Heard]] = {
    DeclineClass.FUNDS: FIRST_AND_LAST,
    DeclineClass.ISSUER: FIRST_AND_LAST,
    DeclineClass.TECHNICAL: FIRST_AND_LAST,
    DeclineClass.UNKNOWN: FIRST_AND_LAST,
    DeclineClass.AUTHENTICATION: ALL_THREE,
    DeclineClass.CARD: ALL_THREE,
    DeclineClass.BANK_DEBIT: ALL_THREE,
    DeclineClass.FRAUD: ONE_NOTICE,
    DeclineClass.CONSENT: ONE_NOTICE,
    DeclineClass.DUPLICATE: [],
    DeclineClass.AMOUNT: [],
    DeclineClass.TEST: [],
}


@pytest.fixture
def rig(sessions, tmp_path) -> Rig:
    """A quarter past eight in the morning: 36 hours later it is not yet quiet."""
    rig = Rig(sessions, tmp_path, rules=RetryRules())
    rig.clock.now = NOW - HOUR
    return rig


def fail(rig: Rig, *codes: str, **wanted: Any) -> str:
    """Its charges are declined with these codes, the last one for ever."""
    return rig.fail(*codes, *codes[-1:] * 12, **wanted)


def walk(
    rig: Rig, hours: int = 125, acts: Mapping[int, Callable[[], object]] | None = None
) -> None:
    """`deeds`: what happens just after so many hours from now."""
    for hour in range(hours + 1):
        if rig.has_work():
            rig.cycle.run()
            rig.world.deliver_due(rig.clock.now)
            rig.message_sender.send_due()
        if acts and hour in acts:
            acts[hour]()
        rig.pass_time(1)


def heard(rig: Rig, payment_id: str) -> list[Heard]:
    """Hours after the failure, by what the daemon says it sent; the letter box says the same."""
    failed_at = rig.payment(payment_id).failed_at
    sent = sorted(
        (message.sent_at, message.step, message.channel)
        for message in rig.messages(payment_id)
        if message.state is MessageState.SENT and message.sent_at is not None
    )
    mails = [m for m in SendGrid(rig.world).mails() if m.custom_args["payment_id"] == payment_id]
    assert sorted(m.custom_args["step"] for m in mails) == sorted(
        step for _, step, channel in sent if channel is EMAIL
    )
    return [(int((at - failed_at) / HOUR), step, channel) for at, step, channel in sent]


@pytest.mark.parametrize("decline_class", DeclineClass)
def test_each_class_of_decline_is_told_of_in_its_own_way(rig: Rig, decline_class, monkeypatch):
    unheard_of = CODES[DeclineClass.UNKNOWN]
    monkeypatch.setitem(population.FAILURE_MESSAGES, unheard_of, "Nothing we know.")
    payment_id = fail(rig, CODES[decline_class])
    assert rig.payment(payment_id).decline_class is decline_class
    walk(rig)
    assert heard(rig, payment_id) == HEARD[decline_class]


# --- silence while money may still come by itself ----------------------------------------------


def test_what_the_first_retry_collects_is_never_written_about(rig: Rig):
    rig.world.switches.whop_attempts_after_hours = ()
    payment_id = fail(rig, "insufficient_funds", "paid")
    walk(rig)
    assert heard(rig, payment_id) == []


@pytest.mark.parametrize(("hours", "first"), [(50, 51), (71, 72), (80, 72)])
def test_a_soft_decline_waits_for_its_first_retry_but_not_for_ever(rig: Rig, hours, first):
    """Nobody has tried again; ours is planned for later than usual."""
    rig.world.switches.whop_attempts_after_hours = ()
    payment_id = fail(rig, "insufficient_funds")
    payment = rig.payment(payment_id)
    with rig.sessions.begin() as session:
        session.get_one(Payment, payment.id).next_retry_at = payment.failed_at + hours * HOUR
    walk(rig)
    assert heard(rig, payment_id) == [(first, FIRST, EMAIL), (96, LAST, EMAIL)]


def test_where_all_retries_are_used_the_member_can_still_pay_and_is_told(rig: Rig):
    rig.use(policy="hourly")
    payment_id = fail(rig, "insufficient_funds")
    walk(rig)
    assert rig.payment(payment_id).closed_reason is ClosedReason.RETRIES_USED
    assert heard(rig, payment_id) == FIRST_AND_LAST


# --- what ends a sequence ----------------------------------------------------------------------

ENDS = {
    "the member pays": lambda rig, payment_id: rig.world.member_pays(payment_id, rig.clock.now),
    "the membership ends": lambda rig, payment_id: rig.world.cancel_membership(
        payment_id, rig.clock.now
    ),
    "the member cancels": lambda rig, payment_id: rig.world.cancel_at_period_end(
        payment_id, rig.clock.now
    ),
    "it is voided": lambda rig, payment_id: rig.world.void(payment_id, rig.clock.now),
    "the member disputes": lambda rig, payment_id: dispute_another(rig, payment_id),
    "the creator stops it": lambda rig, payment_id: stop(rig, payment_id),
    "the member complains": lambda rig, payment_id: suppress(
        rig, payment_id, DeliveryFailure.SPAM_REPORT
    ),
}


def dispute_another(rig: Rig, payment_id: str) -> None:
    """One that was paid before."""
    membership_id = rig.payment(payment_id).membership_id
    assert membership_id is not None
    rig.world.dispute(rig.world.renew(rig.clock.now, membership_id=membership_id), rig.clock.now)


def stop(rig: Rig, payment_id: str) -> None:
    with rig.sessions.begin() as session:
        requests.ask(session, payment_id, RequestKind.STOP, "creator", rig.clock.now)
    rig.cycle.fulfil_requests()


def suppress(rig: Rig, payment_id: str, failure: DeliveryFailure) -> None:
    address = rig.payment(payment_id).member_email
    assert address is not None
    with rig.sessions.begin() as session:
        session.add(
            Suppression(
                company_id=COMPANY, address=address.lower(), reason=failure, since=rig.clock.now
            )
        )


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("used", [False, True], ids=["retries left", "retries used"])
def test_whatever_ends_it_ends_its_messages(rig: Rig, end: str, used: bool):
    """Also where the payment is closed already and waits for nobody but the member."""
    codes = ("insufficient_funds",) if used else ("expired_card",)
    if used:
        rig.use(policy="hourly")
    payment_id = fail(rig, *codes)
    walk(rig, 40)
    told = heard(rig, payment_id)
    assert told == [(36 if used else 0, FIRST, EMAIL)]
    ENDS[end](rig, payment_id)
    if end != "the member complains":
        assert rig.payment(payment_id).next_message_at is None
    walk(rig, 90)
    assert heard(rig, payment_id) == told


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        (("insufficient_funds", "expired_card"), [(24, FIRST), (48, REMINDER), (96, LAST)]),
        # A softer answer later changes nothing: neither on a dead card, nor after a notice.
        (("expired_card", "insufficient_funds"), [(0, FIRST), (48, REMINDER), (96, LAST)]),
        (("stolen_card", "insufficient_funds"), [(0, NOTICE)]),
        (("insufficient_funds", "transaction_stopped"), [(24, NOTICE)]),
        (("insufficient_funds", "stolen_card"), [(24, NOTICE)]),
        (("expired_card", "transaction_stopped"), [(0, FIRST)]),
        (("expired_card", "duplicate_transaction"), [(0, FIRST)]),
        (("stolen_card", "expired_card"), [(0, NOTICE)]),
    ],
)
def test_another_reason_changes_what_is_said(rig: Rig, codes: tuple[str, ...], told):
    """Whop tries again a day after the failure, and its bank gives another reason."""
    payment_id = fail(rig, *codes)
    walk(rig)
    assert heard(rig, payment_id) == [(hours, step, EMAIL) for hours, step in told]


# --- late, and by night ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        (30, [(30, FIRST), (50, REMINDER), (96, LAST)]),
        (60, [(60, FIRST), (96, LAST)]),
        (80, [(80, FIRST), (100, LAST)]),
        (97, [(97, LAST)]),
        (119, []),
    ],
)
def test_a_failure_heard_of_late_is_not_made_up_for_all_at_once(rig: Rig, hours, told):
    choose(rig, quiet_from=0, quiet_until=0)
    rig.world.switches.whop_attempts_after_hours = ()
    rig.world.faults.add("webhook", "drop", times=None)
    payment_id = fail(rig, "expired_card")
    rig.reconciler.run()  # set up; what fails from now on is no history
    with rig.sessions.begin() as session:
        session.execute(delete(Payment))
    rig.pass_time(hours)
    rig.reconciler.run()
    assert not rig.payment(payment_id).imported
    walk(rig)
    assert heard(rig, payment_id) == [(at, step, EMAIL) for at, step in told]


def choose(rig: Rig, time_zone: str = "UTC", **messaging: Any) -> None:
    with rig.sessions.begin() as session:
        add_companies(session, {COMPANY})
        company = session.get_one(Company, COMPANY)
        company.time_zone, company.settings = time_zone, {"messaging": messaging}


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        # It fails at 08:15 in London, 03:15 in New York, 21:15 in Auckland.
        ("Europe/London", [(0, FIRST), (48, REMINDER), (96, LAST)]),
        ("America/New_York", [(5, FIRST), (53, REMINDER), (101, LAST)]),
        ("Pacific/Auckland", [(11, FIRST), (59, REMINDER), (107, LAST)]),
    ],
)
def test_nobody_is_written_to_by_night(rig: Rig, zone: str, told):
    choose(rig, zone)
    payment_id = fail(rig, "expired_card")
    walk(rig)
    assert heard(rig, payment_id) == [(at, step, EMAIL) for at, step in told]


# --- who is never written to -------------------------------------------------------------------


@pytest.mark.parametrize("codes", [("expired_card",), ("insufficient_funds", "expired_card")])
def test_those_who_are_left_to_whop_are_never_written_to(rig: Rig, codes):
    with rig.sessions.begin() as session:
        save_recovery_settings(
            session, COMPANY, RecoverySettings(holdout_percent=50), "somebody", rig.clock.now
        )
    payment_ids = [fail(rig, *codes) for _ in range(8)]
    held_out = {p for p in payment_ids if rig.payment(p).held_out}
    assert 0 < len(held_out) < 8
    walk(rig)
    assert {p for p in payment_ids if not rig.messages(p)} == held_out


@pytest.mark.parametrize("codes", [("expired_card",), ("insufficient_funds", "expired_card")])
def test_history_is_never_written_about(rig: Rig, codes):
    rig.world.faults.add("webhook", "drop", times=None)
    payment_id = fail(rig, *codes)
    rig.reconciler.run()
    rig.world.faults.clear()
    assert rig.payment(payment_id).imported
    walk(rig)
    assert rig.messages(payment_id) == []


# --- one member, several payments --------------------------------------------------------------


def fail_again(rig: Rig, payment_id: str, *codes: str) -> str:
    """Another renewal of the same member's."""
    membership_id = rig.payment(payment_id).membership_id
    assert membership_id is not None
    return fail(rig, *codes, membership_id=membership_id)


def spoken_for(rig: Rig, payment_id: str) -> list[tuple[int, Step]]:
    """By another payment's message: hours after its own failure."""
    failed_at = rig.payment(payment_id).failed_at
    return sorted(
        (int((message.sent_at - failed_at) / HOUR), message.step)
        for message in rig.messages(payment_id)
        if message.state is MessageState.JOINED and message.sent_at is not None
    )


def test_two_payments_that_fail_together_are_told_of_together(rig: Rig):
    first = fail(rig, "expired_card")
    second = fail_again(rig, first, "expired_card")
    walk(rig)
    assert heard(rig, first) == ALL_THREE
    assert heard(rig, second) == []
    assert spoken_for(rig, second) == [(0, FIRST), (48, REMINDER), (96, LAST)]


def test_a_second_payment_waits_for_the_next_message_to_its_member(rig: Rig):
    first = fail(rig, "expired_card")
    second: list[str] = []
    walk(rig, acts={10: lambda: second.append(fail_again(rig, first, "expired_card"))})
    walk(rig, 20)
    assert heard(rig, first) == [(0, FIRST, EMAIL), (96, LAST, EMAIL)]
    # In the morning after the 20 hours, 14 after it failed. It spares the other one's reminder.
    assert heard(rig, second[0]) == [(14, FIRST, EMAIL), (48, REMINDER, EMAIL)]
    assert spoken_for(rig, first) == [(24, REMINDER)]
    assert spoken_for(rig, second[0]) == [(86, LAST)]


def test_what_comes_shortly_before_another_ones_last_day_waits_for_it(rig: Rig):
    first = fail(rig, "expired_card")
    second: list[str] = []
    walk(rig, acts={80: lambda: second.append(fail_again(rig, first, "expired_card"))})
    assert heard(rig, first) == ALL_THREE
    assert spoken_for(rig, second[0]) == [(16, FIRST)]
    assert heard(rig, second[0]) == []  # with the first one's window the membership ends


def test_the_one_that_is_paid_first_leaves_the_word_to_the_other(rig: Rig):
    first = fail(rig, "expired_card")
    second = fail_again(rig, first, "expired_card")
    with rig.sessions.begin() as session:
        planner.queue_due(session, rig.clock.now)
    rig.world.member_pays(first, rig.clock.now)
    rig.message_sender.send_due()
    assert heard(rig, first) == []
    assert heard(rig, second) == [(0, FIRST, EMAIL)]


# --- by which channel --------------------------------------------------------------------------


class Chat:
    """Whop's support chat, as far as the messenger knows it."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str, str]] = []

    def send(self, company_id: str, user_id: str, content: str) -> Delivery:
        self.written.append((company_id, user_id, content))
        return sent(f"chat_{len(self.written)}")


def use_chat(rig: Rig, chat: Chat | None) -> None:
    rig.message_sender = MessageSender(
        rig.sessions, rig.message_sender.whop, rig.message_sender.mailer, rig.clock, chat
    )


def open_chat(rig: Rig) -> Chat:
    chat = Chat()
    use_chat(rig, chat)
    return chat


def test_a_company_may_prefer_whops_chat(rig: Rig):
    chat = open_chat(rig)
    choose(rig, channel="whop")
    payment_id = fail(rig, "expired_card")
    walk(rig)
    assert heard(rig, payment_id) == [(at, step, CHAT) for at, step, _ in ALL_THREE]
    user_id = rig.payment(payment_id).user_id
    assert {(company, user) for company, user, _ in chat.written} == {(COMPANY, user_id)}
    assert len(chat.written) == 3


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (DeliveryFailure.BOUNCED, [(0, FIRST, EMAIL), (48, REMINDER, CHAT), (96, LAST, CHAT)]),
        (DeliveryFailure.DROPPED, [(0, FIRST, EMAIL), (48, REMINDER, CHAT), (96, LAST, CHAT)]),
        (DeliveryFailure.UNSUBSCRIBED, [(0, FIRST, EMAIL)]),
        (DeliveryFailure.SPAM_REPORT, [(0, FIRST, EMAIL)]),
    ],
)
def test_where_mail_cannot_reach_the_chat_does_but_a_no_is_a_no(rig: Rig, failure, told):
    open_chat(rig)
    payment_id = fail(rig, "expired_card")
    walk(rig, acts={1: lambda: suppress(rig, payment_id, failure)})
    assert heard(rig, payment_id) == told


def test_a_member_without_an_address_is_written_to_in_the_chat(rig: Rig):
    open_chat(rig)
    payment_id = fail(rig, "expired_card")
    with rig.sessions.begin() as session:
        session.get_one(Payment, rig.payment(payment_id).id).member_email = None
    rig.message_sender.send_due()
    assert heard(rig, payment_id) == [(0, FIRST, CHAT)]


def test_without_a_chat_a_dead_address_means_silence(rig: Rig):
    use_chat(rig, None)
    payment_id = fail(rig, "expired_card")
    walk(rig, acts={1: lambda: suppress(rig, payment_id, DeliveryFailure.BOUNCED)})
    assert heard(rig, payment_id) == [(0, FIRST, EMAIL)]
    details = sorted(message.detail or "" for message in rig.messages(payment_id))
    assert details == ["", *["the email address does not work: bounced"] * 2]
