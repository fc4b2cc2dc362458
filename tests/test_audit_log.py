"""Whatever somebody chooses or asks for leaves one entry in the audit list: who, what, when.

Who writes is found in the code, so that a new function, command or page that leaves none fails.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from daemon import commands as daemon_commands
from daemon.process import Daemon
from daemon.settings import DaemonSettings
from dashboard.data import choices, health, messages, payments
from dashboard.settings import DashboardSettings
from db import __main__ as db_commands
from db.company_settings.messaging import (
    MessagingSettings,
    find_messaging_settings,
    save_messaging_settings,
)
from db.company_settings.notifications import NotificationSettings, save_notification_settings
from db.company_settings.recovery import (
    RecoverySettings,
    add_companies,
    save_name,
    save_recovery_settings,
)
from db.company_settings.templates import OwnTemplate, restore_template, store_template
from db.ledger import replays, requests
from db.models import AuditEntry, Company, Payment, WebhookEvent
from db.session import SessionFactory
from recovery.status import Action, RequestKind, Step
from tests.factories import COMPANY, HOUR, NOW, fail_now
from tests.pages import fresh as fresh

ROOT = Path(__file__).parent.parent
ROOMS = ("recovery", "db", "mail", "whop", "webhook", "daemon", "dashboard")
WORDS = OwnTemplate("Hello {{ name }}", "Hi {{ name }}", "<p>Hi {{ name }}</p>")
TOLD = NotificationSettings(digest_to="jo@example.com")
HOOK = "https://discord.com/api/webhooks/123456789/a-very-secret-token"
Act = Callable[[Session, str, datetime], object]
PAYMENT = "pay_asked_about"


# --- the functions that change something ---------------------------------------------------------


def ask(kind: RequestKind) -> Act:
    return lambda session, actor, now: requests.ask(session, PAYMENT, kind, actor, now, COMPANY)


def restore(session: Session, actor: str, now: datetime) -> object:
    store_template(session, COMPANY, Step.REMINDER, WORDS, "before", now)
    return restore_template(session, COMPANY, Step.REMINDER, actor, now)


ACTS: dict[str, list[tuple[Action, Act]]] = {
    "db.company_settings.recovery.save_recovery_settings": [
        (
            Action.SETTINGS,
            lambda s, by, at: save_recovery_settings(
                s, COMPANY, RecoverySettings("UTC", 10), by, at
            ),
        )
    ],
    "db.company_settings.recovery.save_name": [
        (Action.SETTINGS, lambda s, by, at: save_name(s, COMPANY, "Maya's", by, at))
    ],
    "db.company_settings.messaging.save_messaging_settings": [
        (
            Action.SETTINGS,
            lambda s, by, at: save_messaging_settings(
                s, COMPANY, MessagingSettings("Maya"), by, at
            ),
        )
    ],
    "db.company_settings.notifications.save_notification_settings": [
        (Action.SETTINGS, lambda s, by, at: save_notification_settings(s, COMPANY, TOLD, by, at))
    ],
    "db.company_settings.templates.store_template": [
        (Action.TEMPLATE, lambda s, by, at: store_template(s, COMPANY, Step.NOTICE, WORDS, by, at))
    ],
    "db.company_settings.templates.restore_template": [(Action.TEMPLATE, restore)],
    "db.ledger.requests.ask": [
        (Action.STOP, ask(RequestKind.STOP)),
        (Action.RETRY, ask(RequestKind.RETRY_NOW)),
    ],
    "db.ledger.replays.ask": [
        (Action.REPLAY_EVENTS, lambda s, by, at: replays.ask(s, COMPANY, by, at))
    ],
}
NOBODYS_CHOICE = {
    "db.company_settings.recovery.add_companies": "a company as it is before anybody chose",
    "db.company_settings.recovery.save_whop_name": "Whop's word",
    "db.ledger.whop_habits.observe_company": "what Whop was seen to do",
    "db.audit_log.record": "the audit list itself",
}
# The models of what people choose and ask for.
CHOSEN = {"Company", "Template", "Request", "AuditEntry"}
# Of a company: what is set on one.
COLUMNS = {"settings", "time_zone", "name"}
SQL = re.compile(r"(insert into|update|delete from)\s+(companies|templates|requests|audit_log)\b")
CASES = [(name, *act) for name, acts in ACTS.items() for act in acts]
IDS = [f"{name}-{action}" for name, action, _ in CASES]


def list_functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if not module.startswith(("db.models", "db.migrations")):
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, ast.FunctionDef):
                        yield f"{module}.{node.name}", node


def writes_what_is_chosen(function: ast.FunctionDef) -> bool:
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in CHOSEN:
                return True
            case ast.Call(
                func=ast.Name(id="insert" | "update" | "delete"), args=[ast.Name(id=model), *_]
            ) if model in CHOSEN:
                return True
            case ast.Attribute(value=ast.Name(id=owner), attr=attr, ctx=ast.Store()):
                if attr in COLUMNS and owner == "company":
                    return True
            case ast.Constant(value=str(words)) if SQL.search(words.lower()):
                return True
    return False


def test_every_function_that_writes_what_people_choose_is_tried_here() -> None:
    found = {name for name, node in list_functions() if writes_what_is_chosen(node)}
    assert found == ACTS.keys() | NOBODYS_CHOICE.keys()


@pytest.mark.parametrize("name", ACTS)
def test_none_can_be_called_without_saying_who_and_when(name: str) -> None:
    module, _, function = name.rpartition(".")
    taken = inspect.signature(getattr(import_module(module), function)).parameters
    assert {taken[one].default for one in ("actor", "now")} == {inspect.Parameter.empty}


@pytest.fixture
def payment(session: Session) -> Payment:
    return fail_now(session, NOW, id=PAYMENT)


def read_entries(session: Session, actor: str) -> list[AuditEntry]:
    session.rollback()
    return list(session.scalars(select(AuditEntry).where(AuditEntry.actor == actor)))


@pytest.mark.usefixtures("payment")
@pytest.mark.parametrize(("name", "action", "act"), CASES, ids=IDS)
def test_each_leaves_one_entry_with_who_what_and_when(
    session: Session, name: str, action: Action, act: Act
) -> None:
    act(session, "maya", NOW + HOUR)
    session.commit()
    (entry,) = read_entries(session, "maya")
    about = PAYMENT if name == "db.ledger.requests.ask" else None
    assert (entry.action, entry.done_at, entry.company_id) == (action, NOW + HOUR, COMPANY)
    assert entry.payment_id == about


@pytest.mark.usefixtures("payment")
@pytest.mark.parametrize(("name", "action", "act"), CASES, ids=IDS)
def test_an_act_that_is_taken_back_leaves_none(
    session: Session, name: str, action: Action, act: Act
) -> None:
    act(session, "maya", NOW)
    session.flush()
    assert read_entries(session, "maya") == []  # which rolls back


@pytest.mark.parametrize(("name", "action", "act"), CASES, ids=IDS)
def test_what_is_kept_or_asked_for_already_leaves_none(
    session: Session, payment: Payment, name: str, action: Action, act: Act
) -> None:
    if act is restore:
        assert not restore_template(session, COMPANY, Step.REMINDER, "again", NOW)
    elif name != "db.ledger.requests.ask":  # each of these is one more request
        act(session, "maya", NOW)
        act(session, "again", NOW)
    session.commit()
    assert read_entries(session, "again") == []


def test_what_somebody_else_chose_meanwhile_is_kept_and_is_what_it_was_before(
    sessions: SessionFactory, session: Session
) -> None:
    """The choice is read under its lock, even where this session has read it earlier."""
    add_companies(session, {COMPANY})
    session.commit()
    with sessions.begin() as ours:
        known = ours.get_one(Company, COMPANY)
        with sessions.begin() as theirs:
            save_recovery_settings(theirs, COMPANY, RecoverySettings("UTC", 5), "they", NOW)
            save_messaging_settings(theirs, COMPANY, MessagingSettings("Maya"), "they", NOW)
        save_recovery_settings(ours, COMPANY, RecoverySettings("UTC", 10), "we", NOW)
    assert find_messaging_settings(session, COMPANY) == MessagingSettings("Maya")
    (entry,) = read_entries(session, "we")
    assert entry.details == {"holdout_percent": {"from": 5, "to": 10}}
    assert known.settings["holdout_percent"] == 10


def test_no_private_choice_and_no_words_are_in_it(session: Session) -> None:
    secrets = ("Maya Secret", "secret@example.com", "a secret note", "secret-token")
    save_name(session, COMPANY, secrets[0], "maya", NOW)
    save_messaging_settings(
        session, COMPANY, MessagingSettings(secrets[0], secrets[1], note=secrets[2]), "maya", NOW
    )
    save_notification_settings(
        session, COMPANY, NotificationSettings(False, secrets[1], HOOK), "maya", NOW
    )
    store_template(session, COMPANY, Step.NOTICE, WORDS, "maya", NOW)
    session.commit()
    entries = read_entries(session, "maya")
    assert len(entries) == 4
    told = str([entry.details for entry in entries])
    assert not any(secret in told for secret in (*secrets, WORDS.text))


# --- commands ------------------------------------------------------------------------------------

DB_COMMANDS = {
    "company": (("--holdout", "10"), Action.SETTINGS),
    "messaging": (("--sender-name", "Maya"), Action.SETTINGS),
    "notifications": (("--digest-to", "jo@example.com"), Action.SETTINGS),
}
DAEMON_COMMANDS: dict[str, tuple[Callable[[Daemon], None], Action]] = {
    "stop": (lambda daemon: daemon_commands.ask(daemon, RequestKind.STOP, PAYMENT), Action.STOP),
    "retry-now": (
        lambda daemon: daemon_commands.ask(daemon, RequestKind.RETRY_NOW, PAYMENT),
        Action.RETRY,
    ),
    "replay": (daemon_commands.replay, Action.REPLAY_EVENTS),
}
NO_ACT_OF_A_PERSON = {"migrate", "serve", "rollup", "run", "once", "preview"}


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WHOP_API_KEY", "a key")
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setattr(db_commands, "configure_logging", lambda level, style: None)


def list_commands(
    parse: Callable[[], object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> set[str]:
    monkeypatch.setattr(sys, "argv", ["it", "--help"])
    with pytest.raises(SystemExit):
        parse()
    (names,) = set(re.findall(r"\{([\w,-]+)\}", capsys.readouterr().out))
    return set(names.split(","))


def test_every_command_is_tried_here_or_changes_nothing_of_a_company(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = list_commands(db_commands.parse_arguments, monkeypatch, capsys)
    known |= list_commands(lambda: daemon_commands.parse_arguments(None), monkeypatch, capsys)
    assert known == DB_COMMANDS.keys() | DAEMON_COMMANDS.keys() | NO_ACT_OF_A_PERSON


@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize("name", DB_COMMANDS)
def test_a_choice_by_a_command_is_in_the_list_and_a_look_is_not(
    monkeypatch: pytest.MonkeyPatch, session: Session, name: str
) -> None:
    options, action = DB_COMMANDS[name]
    for given in ((), options, options):
        monkeypatch.setattr(sys, "argv", ["db", name, COMPANY, *given])
        assert db_commands.main() == 0
    (entry,) = read_entries(session, "command")
    assert (entry.company_id, entry.action) == (COMPANY, action)


@pytest.mark.usefixtures("surroundings", "payment")
@pytest.mark.parametrize("name", DAEMON_COMMANDS)
def test_what_is_asked_for_by_a_command_is_in_the_list(session: Session, name: str) -> None:
    add_poison(session)
    run, action = DAEMON_COMMANDS[name]
    daemon = Daemon(DaemonSettings())
    run(daemon)
    daemon.whop.wire.http.close()
    daemon.engine.dispose()
    (entry,) = read_entries(session, "command")
    assert (entry.company_id, entry.action) == (COMPANY, action)


def add_poison(session: Session) -> None:
    add_companies(session, {COMPANY})
    columns = {"company_id": COMPANY, "payload": {}, "received_at": NOW, "error": "a fault"}
    session.add(WebhookEvent(event_id="msg_poison", type="?", **columns))
    session.commit()


# --- pages ---------------------------------------------------------------------------------------

Press = Callable[[DashboardSettings, Payment], object]
PAGES: dict[str, tuple[Press, Action]] = {
    "dashboard.data.choices.save_choices": (
        lambda settings, payment: choices.save_choices(
            settings, COMPANY, choices.Group.RECOVERY, {"holdout_percent": 10}, NOW
        ),
        Action.SETTINGS,
    ),
    "dashboard.data.messages.save_words": (
        lambda settings, payment: messages.save_words(settings, COMPANY, Step.NOTICE, WORDS, NOW),
        Action.TEMPLATE,
    ),
    "dashboard.data.messages.restore_words": (
        lambda settings, payment: messages.restore_words(settings, COMPANY, Step.REMINDER, NOW),
        Action.TEMPLATE,
    ),
    "dashboard.data.payments.ask": (
        lambda settings, payment: payments.ask(settings, payment, RequestKind.STOP, NOW),
        Action.STOP,
    ),
    "dashboard.data.health.ask_for_replay": (
        lambda settings, payment: health.ask_for_replay(settings, COMPANY),
        Action.REPLAY_EVENTS,
    ),
}


def opens_a_transaction(function: ast.FunctionDef) -> bool:
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name(id="write")) | ast.Call(func=ast.Attribute(attr="begin")):
                return True
    return False


def test_every_page_that_writes_is_tried_here() -> None:
    """Views reach the database through `dashboard.data` alone."""
    found = {
        name
        for name, node in list_functions()
        if name.startswith("dashboard.data.") and opens_a_transaction(node)
    }
    way_in = {f"dashboard.data.database.{name}" for name in ("write", "commit")}
    assert found - way_in == PAGES.keys()


@pytest.mark.parametrize("name", PAGES)
def test_what_is_done_on_a_page_is_in_the_list_once(
    session: Session, payment: Payment, database_url: str, name: str
) -> None:
    store_template(session, COMPANY, Step.REMINDER, WORDS, "before", NOW)
    session.commit()
    press, action = PAGES[name]
    press(DashboardSettings(database_url=SecretStr(database_url)), payment)
    (entry,) = read_entries(session, "dashboard")
    assert (entry.company_id, entry.action) == (COMPANY, action)


# --- and nothing waits in it ---------------------------------------------------------------------


def test_the_list_is_written_in_one_place_and_never_changed() -> None:
    """Whoever else knows the model only shows entries."""
    knows = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"\bAuditEntry\b", path.read_text()) and "models" not in path.parts
    }
    allowed = ("dashboard.", "db.reporting.")
    assert {name for name in knows if not name.startswith(allowed)} == {"db.audit_log"}
    asks = {
        name for name, node in list_functions() if "AuditEntry" in ast.dump(node) and locks(node)
    }
    assert asks == set()


def locks(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("with_for_update", "has_key")
        for node in ast.walk(function)
    )
