"""The settings page, without a browser: what can be chosen, what is refused, what is noted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from markupsafe import escape
from sqlalchemy import select
from sqlalchemy.orm import Session
from streamlit.testing.v1 import AppTest

from dashboard.data.choices import DEFAULTS, Group, find_faults
from dashboard.data.database import Unavailable
from dashboard.views.settings import group as settings
from dashboard.views.settings.fields import CHOICES
from db.company_settings.changes import PRIVATE, list_changes
from db.company_settings.messaging import (
    DEFAULT_MESSAGING_SETTINGS,
    MessagingSettings,
    find_messaging_settings,
    save_messaging_settings,
)
from db.company_settings.notifications import (
    DEFAULT_NOTIFICATION_SETTINGS,
    NotificationSettings,
    find_notification_settings,
    save_notification_settings,
)
from db.company_settings.recovery import (
    DEFAULT_RECOVERY_SETTINGS,
    RecoverySettings,
    add_companies,
    find_recovery_settings,
    save_recovery_settings,
)
from db.company_settings.validity import list_values
from db.models import AuditEntry, Company
from recovery.status import Action, Channel
from tests.factories import COMPANY, NOW
from tests.test_pages import ANOTHER, HOSTILE, press, read_words
from tests.test_pages import fresh as fresh

PAGE_SCRIPT = """
from dashboard.settings import DashboardSettings
from dashboard.views.settings import page as settings
from db.settings import load_settings

settings.show(load_settings(DashboardSettings))
"""
HOOK = "https://discord.com/api/webhooks/123456789/a-very-secret-token"
SAVE = {
    Group.RECOVERY: "Save general settings",
    Group.MESSAGING: "Save message settings",
    Group.NOTIFICATIONS: "Save notification settings",
}


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Callable[..., AppTest]:
    def open_page(**environment: str) -> AppTest:
        given = {"DATABASE_URL": database_url, "WHOP_COMPANY_ID": COMPANY} | environment
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        return AppTest.from_string(PAGE_SCRIPT, default_timeout=30).run()

    return open_page


def find(page: AppTest, key: str) -> Any:
    (found,) = [
        widget
        for kind in ("selectbox", "number_input", "toggle", "text_input", "text_area")
        for widget in page.get(kind)
        if widget.key == f"choice-{key}"
    ]
    return found


def save(page: AppTest, group: Group, **typed: object) -> AppTest:
    for name, value in typed.items():
        find(page, f"{group}-{name}").set_value(value)
    return press(page, SAVE[group])


def read_entries(session: Session) -> list[AuditEntry]:
    """What was done on the page."""
    session.rollback()
    return list(session.scalars(select(AuditEntry).where(AuditEntry.actor == "dashboard")))


# --- what is shown -----------------------------------------------------------------------------


@pytest.mark.parametrize("group", list(Group))
def test_every_choice_of_a_creator_is_on_the_page_with_its_default(group: Group) -> None:
    assert {choice.name for choice in CHOICES[group]} == {
        name for name, _ in list_values(DEFAULTS[group])
    }
    assert all(choice.label and choice.default and choice.effect for choice in CHOICES[group])


def test_it_shows_what_is_kept_and_each_choice_s_effect_and_default(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    save_recovery_settings(
        session, COMPANY, RecoverySettings("Europe/Berlin", 10, True), "somebody", NOW
    )
    save_messaging_settings(
        session, COMPANY, MessagingSettings(sender_name="Maya", quiet_from=22), "somebody", NOW
    )
    session.commit()
    page = open_page()
    assert find(page, "recovery-time_zone").value == "Europe/Berlin"
    assert find(page, "recovery-holdout_percent").value == 10
    assert find(page, "recovery-backup_card").value is True
    assert find(page, "messaging-sender_name").value == "Maya"
    assert find(page, "messaging-quiet_from").value == 22
    words = read_words(page)
    for choices in CHOICES.values():
        for choice in choices:
            assert escape(f"Default: {choice.default}.") in words


def test_it_says_where_the_operator_sets_the_rest(open_page: Callable[..., AppTest]) -> None:
    words = read_words(open_page(RETRY_POLICY="hourly", MAX_RETRIES="4", EMAIL_ENABLED="true"))
    for said in ("RETRY_POLICY", "hourly", "MAX_RETRIES", "<dd>4", "60 minutes", "<dd>on"):
        assert said in words
    assert "restart all three" in words
    assert "Totals are in US dollars" in words


def test_it_waits_for_a_company(open_page: Callable[..., AppTest]) -> None:
    page = open_page(WHOP_COMPANY_ID="")
    assert "No company yet." in read_words(page)
    assert not page.button


def test_it_says_that_the_database_is_away(open_page: Callable[..., AppTest]) -> None:
    page = open_page(DATABASE_URL="postgresql://nobody@/nothing?host=/nowhere")
    assert "does not answer" in page.error[0].value


# --- saving ------------------------------------------------------------------------------------


def test_it_saves_says_what_and_from_when_and_notes_old_and_new(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    page = save(open_page(), Group.RECOVERY, time_zone="Europe/Berlin", holdout_percent=10)
    assert find_recovery_settings(session, COMPANY) == RecoverySettings("Europe/Berlin", 10, False)
    words = read_words(page)
    assert "Saved: Time zone, Control group." in words
    assert "Applies to payments that fail from now on." in words
    (entry,) = read_entries(session)
    assert (entry.action, entry.actor, entry.company_id) == ("settings", "dashboard", COMPANY)
    assert entry.details == {
        "time_zone": {"from": "UTC", "to": "Europe/Berlin"},
        "holdout_percent": {"from": 0, "to": 10},
    }
    assert "Time zone: UTC → Europe/Berlin, Control group: 0% → 10% · you" in words


def test_it_saves_how_members_are_written_to(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    save(
        open_page(),
        Group.MESSAGING,
        sender_name=" Maya ",
        reply_to="help@example.com",
        note="See you",
        channel=Channel.WHOP,
        quiet_from=0,
        quiet_until=0,
        daily_cap=50,
        enabled=False,
    )
    assert find_messaging_settings(session, COMPANY) == MessagingSettings(
        "Maya", "help@example.com", "#1f5eff", "See you", 0, 0, 50, Channel.WHOP, False
    )
    assert isinstance(find_messaging_settings(session, COMPANY).channel, Channel)


def test_no_address_and_no_secret_is_noted_or_shown(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    page = save(
        open_page(), Group.MESSAGING, reply_to="help@example.com", note="call jo@example.com"
    )
    page = save(page, Group.NOTIFICATIONS, digest_to="jo@example.com", digest=True, post_url=HOOK)
    messaging, notifications = read_entries(session)
    assert messaging.details == {"reply_to": "changed", "note": "changed"}
    assert notifications.details == {
        "digest_to": "changed",
        "post_url": "changed",
        "digest": {"from": False, "to": True},
    }
    assert find_notification_settings(session, COMPANY).post_url == HOOK
    words = read_words(page)
    assert "Current: discord.com, ending in oken." in words
    assert "secret-token" not in words
    assert find(page, "notifications-post_url").value == ""


def test_an_empty_webhook_field_keeps_the_one_there_is(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    save_notification_settings(
        session, COMPANY, NotificationSettings(post_url=HOOK), "somebody", NOW
    )
    session.commit()
    save(open_page(), Group.NOTIFICATIONS, on_problem=True)
    session.rollback()
    assert find_notification_settings(session, COMPANY) == NotificationSettings(
        post_url=HOOK, on_problem=True
    )


def test_a_webhook_can_be_forgotten_and_its_posts_with_it(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    save_notification_settings(
        session, COMPANY, NotificationSettings(post_url=HOOK, on_recovery=True), "somebody", NOW
    )
    session.commit()
    page = press(open_page(), "Remove the webhook and stop posts")
    (entry,) = read_entries(session)
    assert find_notification_settings(session, COMPANY) == DEFAULT_NOTIFICATION_SETTINGS
    assert entry.details == {"post_url": "changed", "on_recovery": {"from": True, "to": False}}
    assert "no more posts are sent." in read_words(page)
    assert find(page, "notifications-on_recovery").value is False


def test_saving_what_is_kept_already_notes_nothing(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    page = save(open_page(), Group.RECOVERY)
    assert "no setting was changed." in read_words(page)
    assert read_entries(session) == []


def test_what_somebody_else_chose_meanwhile_stays(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    page = open_page()
    save_messaging_settings(session, COMPANY, MessagingSettings(daily_cap=7), "somebody", NOW)
    session.commit()
    page = save(page, Group.MESSAGING, sender_name="Maya")
    session.rollback()
    assert find_messaging_settings(session, COMPANY) == MessagingSettings(
        sender_name="Maya", daily_cap=7
    )
    assert find(page, "messaging-daily_cap").value == 7


# --- refusing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "typed", "said"),
    [
        (Group.MESSAGING, {"reply_to": "nobody"}, "The reply-to address must be one email address"),
        (Group.MESSAGING, {"sender_name": "x" * 81}, "The sender name has 81 characters"),
        (Group.MESSAGING, {"note": "a\u202eb"}, "The closing note has an invisible character"),
        (Group.NOTIFICATIONS, {"digest_to": "a b"}, "The digest address must be one email address"),
        (Group.NOTIFICATIONS, {"digest": True}, "The weekly digest needs a digest address"),
        (
            Group.NOTIFICATIONS,
            {"on_recovery": True},
            "Posts need a Discord or Slack webhook",
        ),
        (
            Group.NOTIFICATIONS,
            {"post_url": "https://example.com/x"},
            "must be one from Discord",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words_and_changes_nothing(
    open_page: Callable[..., AppTest],
    session: Session,
    group: Group,
    typed: dict[str, object],
    said: str,
) -> None:
    page = save(open_page(), group, **typed)
    words = read_words(page)
    assert said in words
    assert "Nothing was saved. See the notes below." in words
    assert read_entries(session) == []
    assert find_messaging_settings(session, COMPANY) == DEFAULT_MESSAGING_SETTINGS
    assert find_notification_settings(session, COMPANY) == DEFAULT_NOTIFICATION_SETTINGS


def test_it_says_which_address_that_was_kept_once_is_none_by_now(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    add_companies(session, {COMPANY})
    kept = {"messaging": {"reply_to": "a..b@example.com"}, "notifications": {"digest_to": "a@b..c"}}
    session.get_one(Company, COMPANY).settings = kept
    session.commit()
    words = read_words(open_page())
    assert "The reply-to address must be one email address, such as help@example.com." in words
    assert "The digest address must be one email address, such as jo@example.com." in words


@pytest.mark.parametrize("zone", ["localtime", "Mars/Base", ""])
def test_a_time_zone_that_cannot_be_used_is_shown_and_another_can_be_chosen(
    open_page: Callable[..., AppTest], session: Session, zone: str
) -> None:
    add_companies(session, {COMPANY})
    session.get_one(Company, COMPANY).time_zone = zone
    session.commit()
    page = open_page()
    assert "is not a time zone; choose one such as Europe/Berlin. The saved value" in read_words(
        page
    )
    field = find(page, "recovery-time_zone")
    assert field.value == "UTC"
    assert not {"localtime", "posixrules", "Factory"} & set(field.options)
    save(page, Group.RECOVERY, time_zone="Europe/Berlin")
    session.rollback()
    assert find_recovery_settings(session, COMPANY).time_zone == "Europe/Berlin"


def test_it_says_that_nothing_was_saved_while_the_database_is_away(
    open_page: Callable[..., AppTest], session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_notification_settings(
        session, COMPANY, NotificationSettings(post_url=HOOK), "somebody", NOW
    )
    session.commit()
    page = open_page()
    monkeypatch.setattr(settings, "save_choices", lambda *arguments: Unavailable.AWAY)
    page = save(page, Group.RECOVERY, holdout_percent=10)
    assert settings.AWAY in read_words(page)
    assert find(page, "recovery-holdout_percent").value == 10
    assert settings.AWAY in read_words(press(page, "Remove the webhook and stop posts"))


def test_what_was_refused_stays_in_its_field(open_page: Callable[..., AppTest]) -> None:
    page = save(open_page(), Group.MESSAGING, reply_to="nobody", daily_cap=9)
    assert find(page, "messaging-reply_to").value == "nobody"
    assert find(page, "messaging-daily_cap").value == 9


def test_each_choice_is_told_its_own_fault() -> None:
    wrong = replace(
        DEFAULT_MESSAGING_SETTINGS, reply_to="nobody", accent="red", daily_cap=0, note="fine"
    )
    assert find_faults(wrong, DEFAULT_MESSAGING_SETTINGS, False).keys() == {
        "reply_to",
        "accent",
        "daily_cap",
    }
    assert find_faults(RecoverySettings("Mars", 51), DEFAULT_RECOVERY_SETTINGS, False).keys() == {
        "time_zone",
        "holdout_percent",
    }
    told = NotificationSettings(digest=True, on_recovery=True, on_problem=True)
    assert find_faults(told, DEFAULT_NOTIFICATION_SETTINGS, False).keys() == {
        "digest",
        "on_recovery",
        "on_problem",
    }
    assert (
        find_faults(
            replace(told, digest_to="a@b.example", post_url=HOOK),
            DEFAULT_NOTIFICATION_SETTINGS,
            False,
        )
        == {}
    )


@given(
    some.builds(
        MessagingSettings,
        sender_name=some.text(),
        reply_to=some.text(),
        accent=some.text(),
        note=some.text(),
    )
)
def test_faults_are_found_whenever_a_choice_cannot_be_kept(messaging: MessagingSettings) -> None:
    faults = find_faults(messaging, DEFAULT_MESSAGING_SETTINGS, False)
    right = replace(
        messaging, **{name: getattr(DEFAULT_MESSAGING_SETTINGS, name) for name in faults}
    )
    assert find_faults(right, DEFAULT_MESSAGING_SETTINGS, False) == {}


def test_private_choices_are_noted_without_their_values() -> None:
    before, after = (
        DEFAULT_MESSAGING_SETTINGS,
        MessagingSettings("Maya", "a@b.example", "#000000", "See you"),
    )
    noted = list_changes(asdict(before), asdict(after))
    assert {name for name, change in noted.items() if change == "changed"} <= PRIVATE
    assert noted["accent"] == {"from": "#1f5eff", "to": "#000000"}
    assert "a@b.example" not in str(noted)


# --- one company -------------------------------------------------------------------------------


def test_nothing_of_another_company_is_shown_or_changed(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    theirs = MessagingSettings(sender_name="Not Yours", daily_cap=7)
    save_messaging_settings(session, ANOTHER, theirs, "somebody", NOW)
    save_recovery_settings(
        session, ANOTHER, RecoverySettings("Asia/Tokyo", 20, True), "somebody", NOW
    )
    save_notification_settings(
        session, ANOTHER, NotificationSettings(post_url=HOOK), "somebody", NOW
    )
    session.add(
        AuditEntry(company_id=ANOTHER, done_at=NOW, actor="them", action=Action.STOP, details={})
    )
    session.commit()
    page = open_page()
    assert find(page, "messaging-sender_name").value == ""
    assert find(page, "recovery-time_zone").value == "UTC"
    words = read_words(page)
    assert "ending in" not in words
    assert "Stopped recovery" not in words
    assert "· them" not in words
    save(page, Group.MESSAGING, daily_cap=9)
    session.rollback()
    assert find_messaging_settings(session, ANOTHER) == theirs
    assert find_messaging_settings(session, COMPANY).daily_cap == 9


def test_no_word_that_was_typed_is_read_as_markup(open_page: Callable[..., AppTest]) -> None:
    page = save(open_page(), Group.MESSAGING, reply_to=HOSTILE, sender_name="<b>x</b>")
    page = save(page, Group.MESSAGING, reply_to="", sender_name="<b>x</b>")
    words = read_words(page)
    assert "<script" not in words
    assert "<b>x</b>" not in words
