"""`python -m db company`: what it shows, keeps and refuses."""

from __future__ import annotations

import sys

import pytest
from sqlalchemy.orm import Session

from db import __main__ as commands
from db.company_settings.recovery import (
    DEFAULT_RECOVERY_SETTINGS,
    RecoverySettings,
    find_chosen_name,
    find_recovery_settings,
)
from tests.factories import COMPANY


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path, database_url: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr(commands, "configure_logging", lambda level, style: None)


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["db", "company", COMPANY, *options])
    return commands.main()


def test_it_keeps_what_is_chosen_and_leaves_the_rest(monkeypatch, session: Session, capsys):
    options = ("--time-zone", "Europe/Berlin", "--holdout", "10", "--backup-card", "on")
    assert run(monkeypatch, *options) == 0
    assert run(monkeypatch, "--backup-card", "off") == 0
    assert find_recovery_settings(session, COMPANY) == RecoverySettings("Europe/Berlin", 10, False)
    assert "10% of the members are left to Whop alone" in capsys.readouterr().out


def test_without_options_it_only_shows(monkeypatch, session: Session, capsys):
    assert run(monkeypatch) == 0
    assert "off: every member's payment is worked on" in capsys.readouterr().out
    assert find_recovery_settings(session, COMPANY) == DEFAULT_RECOVERY_SETTINGS


def test_a_name_is_kept_and_can_be_left_to_whop_again(monkeypatch, session: Session, capsys):
    assert run(monkeypatch, "--name", " Maya's Kitchen ", "--holdout", "10") == 0
    assert find_chosen_name(session, COMPANY) == "Maya's Kitchen"
    assert run(monkeypatch, "--name", "") == 0
    assert find_chosen_name(session, COMPANY) is None
    assert find_recovery_settings(session, COMPANY).holdout_percent == 10
    shown = capsys.readouterr().out
    assert "Maya's Kitchen" in shown
    assert "not known yet" in shown


def test_of_two_choices_none_is_kept_where_one_cannot_be(monkeypatch, session: Session):
    assert run(monkeypatch, "--name", "a\nb", "--holdout", "10") == 2
    assert run(monkeypatch, "--name", "Maya's Kitchen", "--holdout", "51") == 2
    assert (find_chosen_name(session, COMPANY), find_recovery_settings(session, COMPANY)) == (
        None,
        DEFAULT_RECOVERY_SETTINGS,
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--name", "x" * 81), "up to 80 visible characters"),
        (("--name", "Maya\u202e"), "visible characters"),
        (("--holdout", "51"), "between 0 and 50 percent"),
        (("--time-zone", "Mars/Base"), "Mars/Base is not a time zone"),
    ],
)
def test_it_refuses_what_cannot_be_kept(monkeypatch, session: Session, capsys, options, words):
    assert run(monkeypatch, *options) == 2
    assert words in capsys.readouterr().err
    assert find_recovery_settings(session, COMPANY) == DEFAULT_RECOVERY_SETTINGS
