"""What creators are told in Discord or Slack, and that each occasion is told once."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from threading import Thread

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from daemon.notices import CreatorNotifier
from daemon.posts import Poster
from db import __main__ as commands
from db.company_settings.notifications import (
    DEFAULT_NOTIFICATION_SETTINGS,
    NotificationSettings,
    Platform,
    find_notification_settings,
    find_platform,
    save_notification_settings,
)
from db.company_settings.recovery import RecoverySettings, save_recovery_settings
from db.company_settings.validity import ChoiceError
from db.creator_notices import queue as notices
from db.creator_notices.digest import Sum
from db.creator_notices.triggers import plan_notices
from db.models import Company, Message, Notice, Payment
from db.reporting.attention import Needed
from db.reporting.mail_health import measure_deliverability
from db.reporting.webhook_health import find_webhooks
from db.session import SessionFactory
from mail.posts import encode, write_recoveries
from recovery.action_required import Need
from recovery.delivery import DeliveryFailure, DeliveryState, refused
from recovery.health import (
    DeliverabilityState,
    WebhookState,
    assess_deliverability,
    assess_webhooks,
)
from recovery.status import CLAIMED, RecoveredBy
from sandbox.servers.chat_page import posts_page
from sandbox.servers.posts import Posts
from tests.factories import COMPANY, NOW
from tests.mail_service import add_message
from tests.rig import Rig

DISCORD = "http://localhost:9000/api/webhooks/1/a-token"
SLACK = "http://localhost:9000/services/T1/B1/token"
REAL_DISCORD = "https://discord.com/api/webhooks/123/a_Token-1"
REAL_SLACK = "https://hooks.slack.com/services/T0/B0/abc"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path) -> Rig:
    return Rig(sessions, tmp_path)


@pytest.fixture
def notifier(rig: Rig) -> CreatorNotifier:
    return make_notifier(rig)


def make_notifier(rig: Rig, transport: httpx.BaseTransport | None = None) -> CreatorNotifier:
    poster = Poster(in_development=True, transport=transport or rig.transport)
    return CreatorNotifier(rig.sessions, None, poster, rig.clock)


def choose(rig: Rig, **choices) -> None:
    with rig.sessions.begin() as session:
        notifications = NotificationSettings(**{"post_url": DISCORD} | choices)
        save_notification_settings(
            session, COMPANY, notifications, "somebody", rig.clock.now, in_development=True
        )


def texts(rig: Rig) -> list[str]:
    """Oldest first."""
    return [post.text for post in reversed(Posts(rig.world).list())]


def states(rig: Rig) -> list[str]:
    with rig.sessions() as session:
        return list(session.scalars(select(Notice.state).order_by(Notice.id)))


def recover(rig: Rig, times: int = 1, **wanted) -> list[str]:
    """By our own retry, an hour after the failure."""
    failed = [rig.fail("insufficient_funds", "paid", **wanted) for _ in range(times)]
    rig.run(1)
    return failed


# --- recoveries ----------------------------------------------------------------------------------


def test_recoveries_are_summed_up_in_one_post(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_recovery=True)
    recover(rig, 3, amount=Decimal("49.00"), currency="usd", name="Jo Doe")
    notifier.notify_due()
    notifier.notify_due()
    (text,) = texts(rig)
    words = "3 payments recovered, $147.00: 3 by our retry \\($147.00\\)."
    assert text == f"biz\\_AbCdEfGhIjKlMn: {words}"
    assert "Jo" not in text
    assert states(rig) == ["sent"] * 3


def test_what_needs_the_creator_is_told_along_by_reason_and_without_names(
    rig: Rig, notifier: CreatorNotifier
):
    choose(rig, on_recovery=True)
    rig.fail("invalid_amount", amount=Decimal("99.00"), currency="usd", name="Jo Doe")
    recover(rig, amount=Decimal("49.00"), currency="usd")
    notifier.notify_due()
    (text,) = texts(rig)
    assert text.endswith(" 1 payment needs you, $99.00. Wrong amount: 1 \\($99.00\\).")
    assert "Jo" not in text


def test_the_next_post_waits_for_the_next_cycle(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_recovery=True)
    recover(rig)
    notifier.notify_due()
    rig.clock.now += 30 * MINUTE
    rig.world.member_pays(rig.fail("expired_card", "paid"), rig.clock.now)
    with rig.sessions.begin() as session:
        newest = session.scalars(select(Payment).order_by(Payment.id.desc()).limit(1)).one()
        newest.recovered_by = RecoveredBy.MEMBER
    notifier.notify_due()
    assert len(texts(rig)) == 1
    rig.clock.now += 30 * MINUTE
    notifier.notify_due()
    assert "1 paid after our message" in texts(rig)[1]


def test_what_came_back_before_the_switch_is_not_told(rig: Rig, notifier: CreatorNotifier):
    recover(rig)
    rig.clock.now += MINUTE
    choose(rig, on_recovery=True)
    notifier.notify_due()
    assert texts(rig) == []
    rig.clock.now += MINUTE
    choose(rig, on_recovery=True)  # saved again: it has been on since then
    recover(rig)
    notifier.notify_due()
    assert len(texts(rig)) == 1


def test_what_was_paid_without_us_is_not_claimed(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_recovery=True)
    payment_id = rig.fail("expired_card", "paid")
    rig.world.member_pays(payment_id, rig.clock.now + MINUTE)
    rig.pass_time(0.5)
    assert rig.payment(payment_id).recovered_by == "without_us"
    notifier.notify_due()
    assert texts(rig) == []


def test_a_recovery_that_is_heard_of_late_is_told_all_the_same(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_recovery=True)
    recover(rig)
    notifier.notify_due()
    (late,) = recover(rig)
    with rig.sessions.begin() as session:
        paid_before_the_post = update(Payment).where(Payment.payment_id == late)
        session.execute(paid_before_the_post.values(recovered_at=NOW + MINUTE))
    rig.clock.now += HOUR
    notifier.notify_due()
    assert len(texts(rig)) == 2


def test_switched_off_meanwhile_nothing_is_posted(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_recovery=True)
    recover(rig)
    with rig.sessions.begin() as session:
        plan_notices(session, COMPANY, rig.clock.now, HOUR)
    choose(rig, on_recovery=False)
    notifier.notify_due()
    assert texts(rig) == []
    assert states(rig) == ["skipped"]


# --- at most once --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "state", "arrived", "arrives_later"),
    [
        ("status", 429, "queued", 0, 1),
        ("refused", 0, "queued", 0, 1),
        ("status", 404, "failed", 0, 0),
        ("status", 302, "failed", 0, 0),
        ("status", 500, "unknown", 0, 0),
        ("timeout_before", 0, "unknown", 0, 0),
        ("timeout_after", 0, "unknown", 1, 1),
    ],
)
def test_only_what_was_surely_not_taken_is_posted_again(
    rig: Rig, notifier: CreatorNotifier, kind, status, state, arrived, arrives_later
):
    choose(rig, on_recovery=True)
    recover(rig, 2)
    rig.world.faults.add("posts.send", kind, status=status)
    notifier.notify_due()
    assert (states(rig), len(texts(rig))) == ([state] * 2, arrived)
    rig.clock.now += 6 * MINUTE
    notifier.notify_due()
    assert len(texts(rig)) == arrives_later


def test_what_nobody_takes_for_a_day_is_given_up(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_recovery=True)
    recover(rig)
    rig.world.faults.add("posts.send", "status", status=429, times=None)
    notifier.notify_due()
    rig.clock.now += DAY - MINUTE
    notifier.notify_due()
    assert states(rig) == ["queued"]
    rig.clock.now += 2 * MINUTE
    notifier.notify_due()
    with rig.sessions() as session:
        (notice,) = session.scalars(select(Notice))
    assert (notice.state, notice.detail) == ("failed", "given up: Discord answered 429")
    rig.world.faults.clear()
    rig.clock.now += 6 * MINUTE
    notifier.notify_due()
    assert texts(rig) == []


def test_it_is_tried_again_every_five_minutes(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_recovery=True)
    recover(rig)
    rig.world.faults.add("posts.send", "status", status=429, times=2)
    arrived = []
    for _ in range(11):
        notifier.notify_due()
        arrived.append(len(texts(rig)))
        rig.clock.now += MINUTE
    assert arrived == [0] * 10 + [1]


def test_two_daemons_post_once(rig: Rig):
    choose(rig, on_recovery=True, on_problem=True)
    recover(rig, 5)
    notifiers = [make_notifier(rig) for _ in range(2)]
    threads = [Thread(target=notifier.notify_due) for notifier in notifiers for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts(rig)) == 1
    assert states(rig) == ["sent"] * 5


def test_a_post_interrupted_while_sending_is_never_sent_again(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_recovery=True)
    recover(rig)
    with rig.sessions.begin() as session:
        plan_notices(session, COMPANY, rig.clock.now, HOUR)
    with rig.sessions.begin() as session:
        assert notices.take_batch(session, rig.clock.now) is not None
    # killed here
    rig.clock.now += HOUR
    notifier.notify_due()
    assert texts(rig) == []
    assert states(rig) == ["unknown"]


def test_the_notice_is_on_disk_as_sending_before_it_leaves(rig: Rig):
    choose(rig, on_recovery=True)
    recover(rig)
    seen: list[str] = []

    class Look(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            seen.extend(states(rig))
            return httpx.Response(204)

    make_notifier(rig, Look()).notify_due()
    assert seen == ["sending"]


# --- trouble -------------------------------------------------------------------------------------


def test_a_refused_key_is_told_once_and_so_is_its_end(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_problem=True)
    rig.transport.whop.accept_keys(["another"])
    for _ in range(3):
        rig.reconciler.run()
        notifier.notify_due()
        rig.clock.now += HOUR
    assert len(texts(rig)) == 1
    assert "Whop refuses our key" in texts(rig)[0]
    rig.transport.whop.accept_keys([rig.settings.api_key])
    for _ in range(2):
        rig.reconciler.run()
        notifier.notify_due()
        rig.clock.now += HOUR
    assert len(texts(rig)) == 2
    assert "accepts our key again" in texts(rig)[1]


def test_a_whop_that_is_down_says_nothing_about_the_key(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_problem=True)
    rig.transport.whop.accept_keys(["another"])
    rig.reconciler.run()
    notifier.notify_due()
    rig.world.faults.add("*", "refused", times=None)
    rig.reconciler.run()
    notifier.notify_due()
    assert len(texts(rig)) == 1


def test_what_comes_back_at_once_is_not_told_again(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_problem=True)
    for keys in (["another"], [rig.settings.api_key], ["another"]):
        rig.transport.whop.accept_keys(keys)
        rig.reconciler.run()
        notifier.notify_due()
        rig.clock.now += HOUR
    assert len(texts(rig)) == 2
    rig.clock.now += 6 * HOUR
    notifier.notify_due()
    assert len(texts(rig)) == 3


def miss_webhooks(rig: Rig, hours: int) -> None:
    """Failures whose webhooks never come, found by reading back each hour."""
    rig.world.switches.whop_attempts_after_hours = ()
    rig.world.faults.add("webhook", "drop", times=None)
    for _ in range(hours):
        rig.fail("expired_card")
        rig.clock.now += HOUR
        rig.reconciler.run()


def test_a_silent_webhook_is_told_after_a_day_with_the_time_of_the_last_one(
    rig: Rig, notifier: CreatorNotifier
):
    with rig.sessions.begin() as session:
        save_recovery_settings(
            session, COMPANY, RecoverySettings(time_zone="Europe/Berlin"), "somebody", NOW
        )
    choose(rig, on_problem=True)
    rig.reconciler.run()
    rig.fail("expired_card")
    miss_webhooks(rig, 23)
    notifier.notify_due()
    assert texts(rig) == []
    miss_webhooks(rig, 2)
    notifier.notify_due()
    (text,) = texts(rig)
    assert "No webhooks from Whop since Friday, November 20 at 10:15" in text


def test_a_webhook_that_comes_ends_the_silence(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_problem=True)
    rig.reconciler.run()
    miss_webhooks(rig, 26)
    notifier.notify_due()
    rig.world.faults.clear()
    rig.fail("expired_card")
    notifier.notify_due()
    assert [text.split(": ")[1] for text in texts(rig)][1] == "Webhooks from Whop arrive again."


def is_silent(session: Session, now: datetime) -> bool:
    return assess_webhooks(find_webhooks(session, COMPANY, now), now) is WebhookState.SILENT


def test_a_day_without_failures_is_not_a_silence(rig: Rig):
    rig.reconciler.run()
    rig.fail("expired_card")
    with rig.sessions() as session:
        assert not is_silent(session, NOW + 5 * DAY)


def test_history_that_was_imported_is_not_a_silence(rig: Rig):
    rig.world.faults.add("webhook", "drop", times=None)
    rig.fail("expired_card")
    rig.pass_time(30)
    rig.reconciler.run()
    with rig.sessions() as session:
        assert session.scalars(select(Payment.imported)).all() == [True]
        assert not is_silent(session, rig.clock.now)


def add_mails(
    session: Session, sent: int, undelivered: int, failure=DeliveryFailure.BOUNCED
) -> None:
    for number in range(sent):
        message = session.get_one(Message, add_message(session))
        message.delivery_failure = failure if number < undelivered else None
    session.commit()


@pytest.mark.parametrize(
    ("sent", "undelivered", "bad"), [(20, 4, False), (100, 5, False), (99, 5, True), (5, 5, True)]
)
def test_mails_bounce_above_five_percent_and_at_least_five(session, sent, undelivered, bad):
    add_mails(session, sent, undelivered)
    delivery = measure_deliverability(session, COMPANY, NOW + HOUR)
    is_bad = assess_deliverability(delivery) is DeliverabilityState.BOUNCING
    assert (delivery.sent, delivery.undelivered, is_bad) == (sent, undelivered, bad)
    assert measure_deliverability(session, COMPANY, NOW + 2 * DAY).sent == 0


def test_who_opts_out_has_been_reached(session: Session):
    add_mails(session, 6, 6, DeliveryFailure.UNSUBSCRIBED)
    assert measure_deliverability(session, COMPANY, NOW + HOUR).undelivered == 0


def test_bouncing_mails_are_told_with_their_number(
    rig: Rig, notifier: CreatorNotifier, session: Session
):
    choose(rig, on_problem=True)
    add_mails(session, 8, 6)
    notifier.notify_due()
    assert "Emails to members do not arrive: 6 of 8 bounced" in texts(rig)[0]
    rig.clock.now += 2 * DAY
    notifier.notify_due()
    assert "arrive again" in texts(rig)[1]


# --- where posts may go --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "platform"),
    [
        (REAL_DISCORD, Platform.DISCORD),
        ("https://discordapp.com/api/v10/webhooks/1/x", Platform.DISCORD),
        (REAL_SLACK, Platform.SLACK),
    ],
)
def test_webhooks_of_discord_and_slack_are_known(url, platform):
    assert find_platform(url) is platform


@pytest.mark.parametrize(
    "url",
    [
        "http://discord.com/api/webhooks/1/x",
        "https://discord.com.evil.example/api/webhooks/1/x",
        "https://evil.example/api/webhooks/1/x",
        "https://discord.com@evil.example/api/webhooks/1/x",
        "https://discord.com\\@evil.example/api/webhooks/1/x",
        "https://discord.com:8080/api/webhooks/1/x",
        "https://discord.com/api/webhooks/1/x?wait=true#",
        "https://discord.com/api/webhooks/1/../../x",
        "https://discord.com/api/webhooks/1/x\n",
        "https://hooks.slack.com/services/T/B",
        "https://127.0.0.1/services/T/B/x",
        "https://[::1]/services/T/B/x",
        "https://169.254.169.254/services/T/B/x",
        "https://discord.com/api/webhooks/\u0661/x",
        DISCORD,
        "",
    ],
)
def test_any_other_address_is_refused_and_not_repeated(url):
    with pytest.raises(ChoiceError) as refused:
        find_platform(url)
    assert not url or url not in str(refused.value)


def test_an_address_kept_by_other_means_is_still_refused(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_recovery=True)
    recover(rig)
    with rig.sessions.begin() as session:
        company = session.get_one(Company, COMPANY)
        kept = company.settings["notifications"] | {
            "post_url": "http://169.254.169.254/services/T/B/x"
        }
        company.settings = company.settings | {"notifications": kept}
    notifier.notify_due()
    assert texts(rig) == []
    assert states(rig) == ["failed"]


def test_the_sandbox_is_no_address_in_production():
    assert Poster().send(DISCORD, "Hello").state is DeliveryState.REFUSED


def test_a_redirect_is_not_followed():
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(307, headers={"location": "http://169.254.169.254/"})

    poster = Poster(transport=httpx.MockTransport(answer))
    assert poster.send(REAL_DISCORD, "Hello") == refused("Discord answered 307")
    assert asked == ["discord.com"]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (httpx.ConnectError, DeliveryState.PUT_OFF),
        (httpx.ReadTimeout, DeliveryState.UNKNOWN),
        (httpx.RemoteProtocolError, DeliveryState.UNKNOWN),
    ],
)
def test_no_answer_and_no_log_line_shows_the_address(error, state, caplog):
    def answer(request: httpx.Request) -> httpx.Response:
        raise error(f"cannot reach {request.url}")

    caplog.set_level(logging.INFO)
    delivery = Poster(transport=httpx.MockTransport(answer)).send(REAL_DISCORD, "Hello")
    assert delivery.state is state
    assert "a_Token-1" not in repr(delivery) + caplog.text
    assert "a_Token-1" not in repr(NotificationSettings(post_url=REAL_DISCORD))


def test_a_post_waits_ten_seconds_for_an_answer():
    assert Poster().http.timeout == httpx.Timeout(10)


# --- words ---------------------------------------------------------------------------------------

ONE = Sum(1, Decimal(5))
HOSTILE = "@everyone <!channel> <@1> **x** [a](https://evil.example) &amp; \u202e\nid: `y`"


def test_what_a_company_calls_itself_mentions_nobody_and_links_nowhere():
    text = write_recoveries(HOSTILE, {RecoveredBy.RETRY: ONE})
    assert "\n" not in text
    assert "\u202e" not in text
    discord = encode(Platform.DISCORD, text)
    assert discord["allowed_mentions"] == {"parse": []}
    assert "\\@everyone \\<!channel\\> \\<\\@1\\> \\*\\*x\\*\\* \\[a\\]\\(" in discord["content"]
    slack = encode(Platform.SLACK, text)
    assert "<" not in slack["text"]
    assert "&lt;!channel&gt;" in slack["text"]
    assert "&amp;amp;" in slack["text"]
    assert slack["mrkdwn"] is False


def test_a_post_is_never_longer_than_discord_takes():
    needed = [Needed(need, 10**9, Decimal(10**12)) for need in Need]
    text = write_recoveries("*" * 10_000, dict.fromkeys(CLAIMED, ONE), needed)
    assert len(encode(Platform.DISCORD, text)["content"]) < 2000


def test_slack_is_posted_to_as_well(rig: Rig, notifier: CreatorNotifier):
    choose(rig, on_recovery=True, post_url=SLACK)
    recover(rig)
    notifier.notify_due()
    (post,) = Posts(rig.world).list()
    assert post.platform == "Slack"
    assert post.text.startswith(f"{COMPANY}: 1 payment recovered")
    assert "1 payment recovered" in posts_page([post])


# --- choices -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notifications", "words"),
    [
        (NotificationSettings(digest=True), "needs a digest address"),
        (NotificationSettings(on_problem=True), "need a Discord or Slack webhook"),
        (
            NotificationSettings(digest_to="a@b.example\nBcc: x@y.example"),
            "must be one email address",
        ),
        (NotificationSettings(digest_to="a@b.example,c@d.example"), "must be one email address"),
        (NotificationSettings(digest_to="Jo <jo@example.com>"), "must be one email address"),
        (NotificationSettings(digest_to="jo@" + "a" * 250 + ".com"), "must be one email address"),
        (NotificationSettings(post_url="https://evil.example/"), "must be one from Discord"),
    ],
)
def test_a_choice_that_cannot_be_kept_is_refused(session: Session, notifications, words):
    with pytest.raises(ChoiceError, match=words):
        save_notification_settings(session, COMPANY, notifications, "somebody", NOW)
    assert find_notification_settings(session, COMPANY) == DEFAULT_NOTIFICATION_SETTINGS


def test_other_choices_of_the_company_stay(session: Session):
    save_recovery_settings(
        session, COMPANY, RecoverySettings("Europe/Berlin", 10, True), "somebody", NOW
    )
    save_notification_settings(
        session,
        COMPANY,
        NotificationSettings(post_url=REAL_SLACK, on_problem=True),
        "somebody",
        NOW,
    )
    save_recovery_settings(
        session, COMPANY, RecoverySettings("Europe/Paris", 10, True), "somebody", NOW
    )
    assert find_notification_settings(session, COMPANY) == NotificationSettings(
        post_url=REAL_SLACK, on_problem=True
    )


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path, database_url: str):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr(commands, "configure_logging", lambda level, style: None)

    def run(*options: str) -> int:
        monkeypatch.setattr(sys, "argv", ["db", "notifications", COMPANY, *options])
        return commands.main()

    return run


def test_the_command_keeps_what_is_chosen_and_never_shows_the_secret(
    command, session: Session, capsys, monkeypatch
):
    monkeypatch.setattr(sys, "stdin", StringIO(REAL_DISCORD + "\n"))
    assert command("--post-url", "-", "--on-problem", "on") == 0
    assert command("--digest", "on", "--digest-to", "jo@example.com") == 0
    shown = capsys.readouterr().out
    assert "discord.com, ending in en-1" in shown
    assert REAL_DISCORD not in shown
    expected = NotificationSettings(True, "jo@example.com", REAL_DISCORD, False, True)
    assert find_notification_settings(session, COMPANY) == expected


def test_the_command_refuses_with_a_reason(command, session: Session, capsys):
    assert command("--on-recovery", "on") == 2
    assert "need a Discord or Slack webhook" in capsys.readouterr().err
    assert find_notification_settings(session, COMPANY) == DEFAULT_NOTIFICATION_SETTINGS


def test_an_empty_text_takes_the_address_away(command, session: Session):
    command("--post-url", REAL_SLACK, "--on-problem", "on")
    assert command("--post-url", "", "--on-problem", "off") == 0
    assert find_notification_settings(session, COMPANY) == DEFAULT_NOTIFICATION_SETTINGS
