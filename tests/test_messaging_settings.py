"""`python -m db messaging`: what a company may choose about its messages, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from sqlalchemy.orm import Session

from db import __main__ as commands
from db.company_settings.messaging import (
    DEFAULT_MESSAGING_SETTINGS,
    MessagingSettings,
    find_messaging_settings,
    read_messaging_settings,
    save_messaging_settings,
)
from db.company_settings.recovery import (
    RecoverySettings,
    find_recovery_settings,
    save_recovery_settings,
)
from db.company_settings.validity import ChoiceError
from recovery.status import Channel
from tests.factories import COMPANY, NOW

CHOSEN = MessagingSettings(
    sender_name="Maya Fit Club 👩‍💻",
    reply_to="help+club@maya.example",
    accent="#FF5A1F",
    note="See you in class,\nMaya",
    quiet_from=22,
    quiet_until=7,
    daily_cap=50,
    channel=Channel.WHOP,
    enabled=False,
)


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path, database_url: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr(commands, "configure_logging", lambda level, style: None)


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["db", "messaging", COMPANY, *options])
    return commands.main()


def test_it_keeps_every_choice_beside_the_company_s_others(session: Session):
    save_recovery_settings(
        session, COMPANY, RecoverySettings("Europe/Berlin", 10, True), "somebody", NOW
    )
    save_messaging_settings(session, COMPANY, CHOSEN, "somebody", NOW)
    session.commit()
    assert find_messaging_settings(session, COMPANY) == CHOSEN
    assert find_recovery_settings(session, COMPANY) == RecoverySettings("Europe/Berlin", 10, True)


def test_a_company_that_chose_nothing_has_the_defaults(session: Session):
    assert find_messaging_settings(session, "biz_unknown") == DEFAULT_MESSAGING_SETTINGS
    of_later = {"messaging": {"note": "Hi", "of_a_later_version": 1}}
    assert read_messaging_settings(of_later) == (MessagingSettings(note="Hi"), {})


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"sender_name": "Maya\r\nBcc: all@example.com"}, "sender name .*U\\+000D"),
        ({"sender_name": "Maya\u202egnp.exe"}, "invisible character .*U\\+202E"),
        ({"sender_name": "Ma\u200bya"}, "U\\+200B"),
        ({"sender_name": "Maya\u2028Bcc"}, "U\\+2028"),
        ({"sender_name": "  "}, "must not be empty"),
        ({"sender_name": "M" * 10_000}, "10,000 characters; the limit is 80"),
        ({"reply_to": "help@maya.example\nBcc: x@example.com"}, "U\\+000A"),
        ({"reply_to": "Maya <help@maya.example>"}, "must be one email address"),
        ({"reply_to": "a@maya.example, b@maya.example"}, "must be one email address"),
        ({"reply_to": "help@maya"}, "such as help@example.com"),
        ({"accent": "red"}, "must look like #1f5eff"),
        ({"accent": "#fff;background:url(//evil.example)"}, "which .* does not"),
        ({"note": "x" * 501}, "501 characters; the limit is 500"),
        ({"note": "bell\x07"}, "U\\+0007"),
        ({"quiet_from": 24}, "from 0 to 23"),
        ({"quiet_until": -1}, "from 0 to 23"),
        ({"daily_cap": 0}, "between 1 and 100,000"),
    ],
)
def test_it_refuses_what_cannot_be_kept_and_says_what_could(session: Session, choice, words):
    with pytest.raises(ChoiceError, match=words):
        save_messaging_settings(session, COMPANY, replace(CHOSEN, **choice), "somebody", NOW)
    assert find_messaging_settings(session, COMPANY) == DEFAULT_MESSAGING_SETTINGS


@pytest.mark.usefixtures("surroundings")
def test_the_command_keeps_what_is_chosen_and_leaves_the_rest(
    monkeypatch, session: Session, capsys
):
    options = (
        *("--sender-name", "Maya", "--reply-to", "help@maya.example", "--accent", "#ff5a1f"),
        *("--note", "See you", "--quiet", "22-7", "--daily-cap", "50"),
        *("--channel", "whop", "--messages", "off"),
    )
    assert run(monkeypatch, *options) == 0
    assert run(monkeypatch, "--note", "", "--quiet", "off", "--messages", "on") == 0
    assert find_messaging_settings(session, COMPANY) == MessagingSettings(
        sender_name="Maya",
        reply_to="help@maya.example",
        accent="#ff5a1f",
        quiet_from=0,
        quiet_until=0,
        daily_cap=50,
        channel=Channel.WHOP,
    )
    shown = capsys.readouterr().out
    assert "22:00 to 7:00 in the company's time zone" in shown
    assert "off: members get no messages" in shown
    assert "no hour" in shown


@pytest.mark.usefixtures("surroundings")
def test_without_options_the_command_only_shows(monkeypatch, session: Session, capsys):
    assert run(monkeypatch) == 0
    assert "the company's name at Whop" in capsys.readouterr().out
    assert find_messaging_settings(session, COMPANY) == DEFAULT_MESSAGING_SETTINGS


@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--quiet", "late"), "late is not a span of hours; write 21-8"),
        (("--quiet", "21-24"), "from 0 to 23"),
        (("--accent", "blue"), "must look like #1f5eff"),
    ],
)
def test_the_command_refuses_with_words(monkeypatch, session: Session, capsys, options, words):
    assert run(monkeypatch, *options) == 2
    assert words in capsys.readouterr().err
    assert find_messaging_settings(session, COMPANY) == DEFAULT_MESSAGING_SETTINGS
