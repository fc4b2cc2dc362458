"""The weekly digest: the right figures, at eight on Monday, once, and readable by anyone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from daemon.mailer import Mailer
from daemon.notices import CreatorNotifier
from daemon.posts import Poster
from db.company_settings.notifications import NotificationSettings, save_notification_settings
from db.company_settings.recovery import RecoverySettings, save_recovery_settings
from db.creator_notices import queue as notices
from db.creator_notices.digest import (
    NOTHING,
    Digest,
    Figures,
    PaymentNeedingAction,
    Sum,
    measure_week,
)
from db.creator_notices.triggers import plan_notices
from db.creator_notices.weeks import Week, find_digest_week, read_week
from db.member_messages.suppressions import suppress
from db.models import Message, Notice, Payment, Sync
from db.reporting.attention import Needed
from db.reporting.mail_health import find_digest_failure
from db.reporting.month_ends import MonthResult
from db.session import SessionFactory
from mail.digest import describe_week, write_digest
from recovery.action_required import Need
from recovery.delivery import Delivery, DeliveryFailure, put_off, refused, sent, unknown
from recovery.health import SyncState
from recovery.retrying.context import RetryRules
from recovery.status import RecoveredBy
from sandbox.demo.in_process import SENDER, InProcessSendGrid
from sandbox.servers.sendgrid import SendGrid
from tests.factories import COMPANY, HOUR, NOW, add_payment, value_row
from tests.mail_service import add_message
from tests.rig import Rig

SMART = RetryRules()
BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)
# NOW is a Friday; the Monday after it, eight in the morning in Berlin.
MONDAY = datetime(2026, 11, 23, 7, tzinfo=UTC)
WEEK = Week(date(2026, 11, 16), BERLIN)


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path) -> Rig:
    rig = Rig(sessions, tmp_path)
    rig.world.switches.whop_attempts_after_hours = ()
    with sessions.begin() as session:
        save_recovery_settings(session, COMPANY, RecoverySettings("Europe/Berlin"), "somebody", NOW)
        save_notification_settings(
            session,
            COMPANY,
            NotificationSettings(digest=True, digest_to="creator@example.com"),
            "somebody",
            NOW,
        )
    return rig


class Mails:
    """A mailer that remembers, and takes what it is given unless it is told otherwise."""

    def __init__(self, *answers: Delivery) -> None:
        self.sent: list[str] = []
        self.answers = list(answers)

    def send(self, address, written, arguments, *, category) -> Delivery:
        self.sent.append(address)
        return self.answers.pop(0) if self.answers else sent("mail_1")


def make_notifier(rig: Rig, mailer=None) -> CreatorNotifier:
    sendgrid_client = InProcessSendGrid(rig.transport, rig.settings.sendgrid_key)
    return CreatorNotifier(
        rig.sessions, mailer or Mailer(sendgrid_client, SENDER), Poster(), rig.clock
    )


def rows(rig: Rig) -> list[tuple[str, str]]:
    with rig.sessions() as session:
        return [
            (n.trigger_key, n.state) for n in session.scalars(select(Notice).order_by(Notice.id))
        ]


# --- when ----------------------------------------------------------------------------------------


def test_it_comes_at_eight_on_monday_in_the_companys_time_zone(rig: Rig):
    rig.fail("expired_card", amount=Decimal("49.00"), currency="usd")
    notifier = make_notifier(rig)
    for at, mails in ((MONDAY - timedelta(minutes=1), 0), (MONDAY, 1), (MONDAY + DAY, 1)):
        rig.clock.now = at
        notifier.notify_due()
        assert len(SendGrid(rig.world).mails()) == mails
    (mail,) = SendGrid(rig.world).mails()
    assert mail.recipients == ["creator@example.com"]
    assert mail.sent["categories"] == ["digest"]
    assert mail.subject == "Last week: 1 payment failed, $49.00 at risk"
    assert rows(rig) == [("2026-W47", "sent")]


def test_the_next_week_brings_the_next_one(rig: Rig):
    rig.fail("expired_card")
    notifier = make_notifier(rig)
    for weeks in range(2):
        rig.clock.now = MONDAY + 7 * weeks * DAY
        notifier.notify_due()
    assert [trigger_key for trigger_key, _ in rows(rig)] == ["2026-W47", "2026-W48"]


@pytest.mark.parametrize(
    ("monday", "zone", "hours", "due_at"),
    [
        # The clocks go forward, or back, on the Sunday before the digest.
        (date(2026, 3, 23), "Europe/Berlin", 167, datetime(2026, 3, 30, 6, tzinfo=UTC)),
        (date(2026, 10, 19), "Europe/Berlin", 169, datetime(2026, 10, 26, 7, tzinfo=UTC)),
        (date(2026, 11, 2), "America/New_York", 168, datetime(2026, 11, 9, 13, tzinfo=UTC)),
        (date(2026, 10, 26), "America/New_York", 169, datetime(2026, 11, 2, 13, tzinfo=UTC)),
        (date(2026, 6, 1), "Pacific/Kiritimati", 168, datetime(2026, 6, 7, 18, tzinfo=UTC)),
    ],
)
def test_a_week_follows_the_clocks_of_its_zone(monday, zone, hours, due_at):
    week = Week(monday, ZoneInfo(zone))
    assert week.end - week.start == timedelta(hours=hours)
    assert week.digest_due_at == due_at
    assert find_digest_week(due_at, week.zone) == week
    assert find_digest_week(due_at - timedelta(seconds=1), week.zone) == week.before
    assert read_week(week.trigger_key, week.zone) == week


def test_weeks_around_new_year_have_their_own_names():
    week = find_digest_week(datetime(2027, 1, 4, 12, tzinfo=UTC), BERLIN)
    assert (week.trigger_key, describe_week(week)) == (
        "2026-W53",
        "December 28 to January 3, 2027",
    )


def test_two_days_late_it_is_not_sent_any_more(rig: Rig):
    rig.fail("expired_card")
    rig.clock.now = MONDAY + 2 * DAY + HOUR
    make_notifier(rig).notify_due()
    assert rows(rig) == []


def test_an_empty_week_sends_nothing(rig: Rig):
    rig.clock.now = MONDAY
    make_notifier(rig).notify_due()
    assert SendGrid(rig.world).mails() == []
    assert rows(rig) == [("2026-W47", "skipped")]


def test_without_a_mailer_nothing_leaves(rig: Rig):
    rig.fail("expired_card")
    rig.clock.now = MONDAY
    CreatorNotifier(rig.sessions, None, Poster(), rig.clock).notify_due()
    assert rows(rig) == [("2026-W47", "skipped")]


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (DeliveryFailure.BOUNCED, "skipped"),
        (DeliveryFailure.DROPPED, "skipped"),
        (DeliveryFailure.SPAM_REPORT, "skipped"),
        (DeliveryFailure.UNSUBSCRIBED, "sent"),  # from reminders, as a member
    ],
)
def test_a_dead_address_gets_no_digest_and_the_notice_says_why(rig: Rig, failure, state):
    rig.fail("expired_card")
    with rig.sessions.begin() as session:
        suppress(session, COMPANY, "Creator@example.com", failure, NOW)
    rig.clock.now = MONDAY
    mails = Mails()
    make_notifier(rig, mails).notify_due()
    assert (rows(rig), len(mails.sent)) == ([("2026-W47", state)], int(state == "sent"))
    with rig.sessions() as session:
        detail = session.scalars(select(Notice.detail)).one()
        assert find_digest_failure(session, COMPANY) == (None if state == "sent" else failure)
    if state == "sent":
        assert detail is None
    else:
        assert detail is not None
        assert detail.endswith(f"any more: {failure}")


def test_another_companys_dead_address_is_no_reason(rig: Rig):
    with rig.sessions.begin() as session:
        save_recovery_settings(session, "biz_another", RecoverySettings(), "somebody", NOW)
        suppress(session, "biz_another", "creator@example.com", DeliveryFailure.BOUNCED, NOW)
        assert find_digest_failure(session, COMPANY) is None


# --- at most once --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "state", "times"),
    [
        (refused("400"), "failed", 1),
        (unknown("no answer"), "unknown", 1),
        (put_off("429"), "sent", 2),  # not taken the first time
    ],
)
def test_only_a_digest_that_was_surely_not_taken_is_sent_again(rig: Rig, answer, state, times):
    rig.fail("expired_card")
    rig.clock.now = MONDAY
    mails = Mails(answer)
    notifier = make_notifier(rig, mails)
    notifier.notify_due()
    rig.clock.now += timedelta(minutes=6)
    notifier.notify_due()
    assert (rows(rig), len(mails.sent)) == ([("2026-W47", state)], times)


def test_a_digest_that_nobody_takes_is_tried_until_it_would_come_late(rig: Rig):
    rig.fail("expired_card")
    mails = Mails(*[put_off("SendGrid answered 429")] * 3)
    notifier = make_notifier(rig, mails)
    for late in (timedelta(), DAY, 2 * DAY):
        rig.clock.now = MONDAY + late
        notifier.notify_due()
    assert (rows(rig), len(mails.sent)) == ([("2026-W47", "queued")], 3)
    rig.clock.now += timedelta(minutes=6)
    notifier.notify_due()
    assert (rows(rig), len(mails.sent)) == ([("2026-W47", "failed")], 3)


def test_two_daemons_send_one(rig: Rig):
    rig.fail("expired_card")
    rig.clock.now = MONDAY
    notifiers = [make_notifier(rig) for _ in range(2)]
    threads = [Thread(target=notifier.notify_due) for notifier in notifiers for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(SendGrid(rig.world).mails()) == 1


@pytest.mark.parametrize("killed", ["planned", "taken", "sent"])
def test_wherever_the_daemon_is_killed_there_is_one_digest_at_most(rig: Rig, killed):
    rig.fail("expired_card")
    rig.clock.now = MONDAY
    notifier = make_notifier(rig)
    with rig.sessions.begin() as session:
        plan_notices(session, COMPANY, MONDAY, HOUR)
    if killed != "planned":
        with rig.sessions.begin() as session:
            batch = notices.take_batch(session, MONDAY)
        assert batch is not None
        if killed == "sent":
            notifier.send_batch(batch)
    # killed here
    for _ in range(3):
        rig.clock.now += HOUR
        notifier.notify_due()
    assert len(SendGrid(rig.world).mails()) == (0 if killed == "taken" else 1)
    assert rows(rig) == [("2026-W47", "sent" if killed == "planned" else "unknown")]


# --- figures -------------------------------------------------------------------------------------


def set_payment(session: Session, payment: Payment, **values) -> None:
    session.execute(update(Payment).where(Payment.id == payment.id).values(values))
    value_row(session, payment.id)
    session.commit()


def recover(session: Session, by: str, at: datetime, **more) -> None:
    payment = add_payment(session)
    values = {"status": "recovered", "recovered_by": by, "recovered_at": at, "next_retry_at": None}
    set_payment(session, payment, **values | more)


def test_money_is_told_by_who_brought_it_and_beside_the_week_before(session: Session):
    inside, before = WEEK.start, WEEK.start - timedelta(seconds=1)
    recover(session, "retry", inside)
    recover(session, "retry", inside, refunded_amount=Decimal("9.00"))
    recover(session, "member", inside)
    recover(session, "without_us", WEEK.end - timedelta(seconds=1))
    recover(session, "retry", WEEK.end)  # the week after
    recover(session, "member", before, failed_at=before)
    recover(session, "retry", inside, amount_usd=None)  # counted, and in no sum
    digest = measure_week(session, COMPANY, WEEK)
    assert digest.figures.recovered == {
        RecoveredBy.RETRY: Sum(3, Decimal("89.00")),
        RecoveredBy.CLICK: NOTHING,
        RecoveredBy.MEMBER: Sum(1, Decimal("49.00")),
        RecoveredBy.WITHOUT_US: Sum(1, Decimal("49.00")),
    }
    assert digest.figures.failed == Sum(6, Decimal("245.00"))
    assert digest.figures.ours == Sum(4, Decimal("138.00"))
    assert digest.before.recovered[RecoveredBy.MEMBER] == Sum(1, Decimal("49.00"))
    assert digest.before.failed == Sum(1, Decimal("49.00"))
    assert digest.at_risk == NOTHING


def test_another_creators_payments_are_not_in_it(session: Session):
    payment = add_payment(session)
    save_recovery_settings(session, "biz_another", RecoverySettings(), "somebody", NOW)
    set_payment(session, payment, company_id="biz_another")
    assert measure_week(session, COMPANY, WEEK).is_empty


@pytest.mark.parametrize(
    ("code", "email", "need"),
    [
        ("invalid_amount", "jo@example.com", Need.AMOUNT),
        ("duplicate_transaction", "jo@example.com", Need.DUPLICATE),
        ("expired_card", None, Need.NO_ADDRESS),
        ("expired_card", "jo@example.com", None),
        ("insufficient_funds", None, None),  # we charge again: no need of anybody
    ],
)
def test_what_needs_a_person_is_named_with_its_reason(session: Session, code, email, need):
    # Who has no address has no chat either.
    user: dict[str, Any] = {} if email else {"user": None}
    payment = add_payment(session, rules=SMART, decline_code=code, customer_email=email, **user)
    expected = [] if need is None else [need]
    assert list_needs(session) == expected
    set_payment(session, payment, imported=True)
    # A creator's own set-up is theirs whenever it failed; nobody is written to about the past.
    always = (Need.AMOUNT, Need.DUPLICATE)
    assert list_needs(session) == [need for need in expected if need in always]


def list_needs(session: Session) -> list[Need]:
    digest = measure_week(session, COMPANY, WEEK)
    assert digest.needed_total.payments == len(digest.needing_action)
    return [payment.need for payment in digest.needing_action]


def test_a_mail_that_did_not_arrive_needs_a_person(session: Session):
    message_id = add_message(session, rules=SMART, decline_code="expired_card")
    session.get_one(Message, message_id).delivery_failure = DeliveryFailure.BOUNCED
    session.commit()
    assert list_needs(session) == [Need.UNREACHED]


def test_the_dearest_ten_are_named_and_the_rest_counted(session: Session):
    for dollars in range(12):
        payment = add_payment(session, decline_code="invalid_amount")
        set_payment(session, payment, amount_usd=Decimal(dollars), amount=Decimal(dollars))
    digest = measure_week(session, COMPANY, WEEK)
    assert [payment.amount for payment in digest.needing_action] == [*range(11, 1, -1)]
    assert digest.needed_total == Sum(12, Decimal(66))
    text = write_digest(digest, "https://dash.example").text
    assert "- Payments that wait for you: $66.00 (12 payments)\n- $11.00" in text
    assert "- and 2 more" in text


def test_what_is_at_risk_and_unpaid_is_told_however_old_it_is(session: Session):
    payment = add_payment(session, rules=SMART, decline_code="invalid_amount")
    set_payment(session, payment, failed_at=NOW - 400 * DAY, window_ends_at=NOW - 395 * DAY)
    digest = measure_week(session, COMPANY, WEEK)
    assert (digest.at_risk, digest.needed_total) == (Sum(1, Decimal(49)), Sum(1, Decimal(49)))


def test_a_missing_permission_needs_a_person(session: Session):
    add_payment(session)
    session.add(Sync(company_id=COMPANY, since=NOW, missing_permissions=["payment:manage"]))
    session.commit()
    written = write_digest(measure_week(session, COMPANY, WEEK), "http://localhost:3000")
    assert "Permissions are missing at Whop: payment:manage" in written.text


def test_the_figures_are_read_by_index(session: Session):
    seen: list[str] = []
    session.execute(select(1))
    connection = session.connection()

    def explain(conn, cursor, statement, parameters, context, executemany) -> None:
        if "FROM payments" in statement and not statement.startswith("explain"):
            cursor.execute("set local enable_seqscan = off")
            cursor.execute("explain " + statement, parameters)
            seen.append("\n".join(line for (line,) in cursor.fetchall()))

    event.listen(connection, "before_cursor_execute", explain)
    measure_week(session, COMPANY, WEEK)
    assert len(seen) == 7
    assert not [plan for plan in seen if "Seq Scan" in plan]


# --- words ---------------------------------------------------------------------------------------

HOSTILE = '<img src=x onerror=alert(1)>{{ 7 * 7 }}\r\nBcc: x@y.example \u202e"&'


@pytest.fixture
def digest() -> Digest:
    return make_digest()


def make_digest() -> Digest:
    figures = Figures(
        failed=Sum(9, Decimal("441.00")),
        recovered={
            RecoveredBy.RETRY: Sum(3, Decimal("147.00")),
            RecoveredBy.CLICK: NOTHING,
            RecoveredBy.MEMBER: Sum(1, Decimal("49.00")),
            RecoveredBy.WITHOUT_US: Sum(2, Decimal("98.00")),
        },
    )
    less = dict(figures.recovered) | {RecoveredBy.RETRY: Sum(1, Decimal("49.00"))}
    before = replace(figures, recovered=less, failed=NOTHING)
    payment = PaymentNeedingAction(
        "pay_1", "Maya Okafor", "Pro", Decimal("99.00"), "eur", Need.AMOUNT
    )
    return Digest(
        company="Lantern Academy",
        week=WEEK,
        figures=figures,
        before=before,
        month_end=MonthResult(date(2026, 10, 1), Decimal("812.50"), Decimal("300.00"), MONDAY),
        at_risk=Sum(3, Decimal("147.00")),
        needed=(Needed(Need.AMOUNT, 3, Decimal(297)), Needed(Need.NO_ADDRESS, 1, Decimal(99))),
        needing_action=(payment, replace(payment, payment_id="pay_2", need=Need.NO_ADDRESS)),
        sync=SyncState(missing_permissions=("payment:manage",)),
    )


def test_the_text_says_it_all(digest: Digest):
    written = write_digest(digest, "https://dash.example")
    assert written.subject == "Last week: $196.00 recovered, $147.00 at risk"
    for words in (
        "Failed payments of Lantern Academy, November 16 to 22, 2026 (Europe/Berlin).",
        "Recovered by our retry: $147.00 (3 payments); the week before: $49.00 (1 payment)",
        "Paid after our message: $49.00 (1 payment); the week before: $49.00 (1 payment)",
        "Would have come anyway: $98.00 (2 payments)",
        "October 2026 ended with $812.50 recovered, $300.00 of it by our retries or after our",
        "Needs you",
        "- Payments that wait for you: $396.00 (4 payments)",
        "- €99.00, Maya Okafor, Pro: Wrong amount. Correct the plan's price",
        "and 2 more",
        "https://dash.example",
    ):
        assert words in written.text


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)


def test_hostile_names_are_text(digest: Digest):
    payment = replace(digest.needing_action[0], member_name=HOSTILE, product=HOSTILE * 200)
    written = write_digest(
        replace(digest, company=HOSTILE, needing_action=(payment,)), "https://x.example"
    )
    tags = Tags()
    tags.feed(written.html)
    assert "img" not in tags.seen
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert "{{ 7 * 7 }}" in written.text
    assert "\r" not in written.text
    assert "\u202e" not in written.text + written.html
    assert len(written.html) < 20_000
    assert "Bcc" not in written.subject
