"""The health page, the overview's warnings and the posts judge the same facts by the same rules."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from dashboard.text import health as page
from dashboard.text import health_links as links
from dashboard.ui import banners
from db import heartbeats
from db.company_settings.recovery import add_companies
from db.creator_notices import triggers
from db.creator_notices.queue import ENDINGS
from db.heartbeats import read_outage, read_report, write_details
from db.models import AccountRefusal, Heartbeat, Message, Payment, Sync, WebhookEvent
from db.reporting.health import find_heartbeat, find_sync, gather_facts
from db.session import head_revision
from recovery.delivery import DeliveryFailure
from recovery.health import (
    CycleReport,
    CycleState,
    DaemonHeartbeat,
    DeliverabilityState,
    Level,
    State,
    SyncFailure,
    SyncState,
    WebhookState,
    WhopState,
)
from recovery.status import Channel, MessageState, NoticeKind, Step, SyncError
from tests.factories import COMPANY, HOUR, NOW, add_payment, failing_at
from whop.errors import (
    AccessError,
    BusyError,
    ConflictError,
    DownError,
    NoAnswerError,
    NotFoundError,
    RefusedError,
    UnfundedError,
    WhopError,
    check,
    classify_sync_error,
)

DAY = timedelta(days=1)
CYCLES = (HOUR, 3 * HOUR, None)
OUTAGES = (None, NOW - HOUR)
# The words speak against the error: nothing may go by them.
SYNCS: tuple[tuple[SyncError | None, str | None, list[str]], ...] = (
    (None, None, []),
    (SyncError.ACCESS_DENIED, "a time-out", []),
    (SyncError.ACCESS_DENIED, "a time-out", ["member:manage"]),
    (SyncError.PERMISSION_MISSING, "Whop answered 401: who?", ["payment:basic:read"]),
    (SyncError.UNAVAILABLE, "Whop answered 403: scope", ["member:manage"]),
)
MAILS = ((0, 0), (20, 4), (20, 5), (120, 6), (120, 7))
WEBHOOKS: tuple[tuple[timedelta | None, timedelta | None], ...] = (
    # the last one heard, and the failure that none told us of: this long ago
    (HOUR, None),
    (2 * DAY, None),
    (DAY - HOUR, HOUR),
    (2 * DAY, HOUR),
    (2 * DAY, 3 * DAY),
    (None, 2 * DAY),
)
SITUATIONS = list(zip(product(CYCLES, OUTAGES, SYNCS), product(MAILS, WEBHOOKS), strict=True))
PARTS = {
    NoticeKind.KEY_REFUSED: "Whop",
    NoticeKind.WEBHOOK_SILENT: "Webhooks",
    NoticeKind.MAILS_BOUNCING: "Email delivery",
    NoticeKind.MAILS_REFUSED: "SendGrid",
}


def set_daemon(session: Session, cycle: timedelta | None, down: datetime | None) -> None:
    session.add(
        Heartbeat(
            process="daemon",
            instance="a",
            started_at=NOW,
            beat_at=NOW,
            last_cycle_at=None if cycle is None else NOW - cycle,
            details=write_details(down, CycleReport()),
        )
    )


def set_sync(
    session: Session, error: SyncError | None, words: str | None, lacks: list[str]
) -> None:
    state = {"read_until": NOW - HOUR, "error": error, "error_detail": words}
    session.add(Sync(company_id=COMPANY, since=NOW, missing_permissions=lacks, **state))


def set_mails(session: Session, sent: int, undelivered: int) -> None:
    reasons = (DeliveryFailure.BOUNCED, DeliveryFailure.DROPPED, DeliveryFailure.SPAM_REPORT)
    for number, message in enumerate(session.query(Message).limit(sent)):
        message.sent_at = NOW - HOUR
        message.delivery_failure = (
            reasons[number % 3] if number < undelivered else DeliveryFailure.UNSUBSCRIBED
        )


def set_refusal(session: Session, *, refused: bool) -> None:
    """By SendGrid, of all companies; another company's chat is none of ours."""
    refusals = [(Channel.WHOP, "biz_other")] + [(Channel.EMAIL, "")] * refused
    for channel, company_id in refusals:
        account = {"channel": channel, "company_id": company_id}
        session.add(AccountRefusal(since=NOW, try_at=NOW, detail="401", **account))


def set_webhooks(session: Session, heard: timedelta | None, missed: timedelta | None) -> None:
    if heard is not None:
        event: dict[str, Any] = {"event_id": "msg", "type": "payment.failed", "payload": {}}
        session.add(WebhookEvent(company_id=COMPANY, received_at=NOW - heard, **event))
    if missed is not None:
        payment = session.query(Payment).limit(1).one()
        payment.failed_at, payment.created_at = NOW - missed, NOW - missed + HOUR / 2


@pytest.fixture
def filled(session: Session) -> Session:
    """With 120 mails that were sent too long ago to count."""
    past = NOW - 40 * DAY
    for _ in range(30):
        payment = add_payment(session, past, **failing_at(past))
        session.query(Message).filter_by(payment_id=payment.payment_id).delete()
        for step in Step:
            row = {"company_id": COMPANY, "step": step, "channel": Channel.EMAIL, "due_at": past}
            row |= {"state": MessageState.SENT, "sent_at": past}
            session.add(Message(payment_id=payment.payment_id, **row))
    session.commit()
    return session


def read_page(session: Session) -> dict[str, Level]:
    findings = page.assess(gather_facts(session, COMPANY, NOW), NOW, head_revision())
    return {finding.part: finding.level for finding in findings}


def read_warnings(session: Session, monkeypatch: pytest.MonkeyPatch) -> str:
    """All that the overview warns of."""
    said: list[str] = []
    collect = SimpleNamespace(warning=said.append)
    facts = {"heartbeat": find_heartbeat(session), "sync": find_sync(session, COMPANY)}
    snapshot: Any = SimpleNamespace(**facts, as_of=NOW, time_zone="UTC", company_name=None)
    with monkeypatch.context() as patch:
        patch.setattr(banners, "st", collect)
        patch.setattr(banners, "show_html", said.append)
        banners.show_freshness(snapshot)
        banners.show_warnings(snapshot)
    return "\n".join(said)


def compare(session: Session, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What two of them say differently."""
    levels, warnings = read_page(session), read_warnings(session, monkeypatch)
    told = {PARTS[kind]: triggers.is_active(session, COMPANY, kind, NOW) for kind in ENDINGS}
    broken = {part: levels[part] is Level.RED for part in PARTS.values()}
    warned = {
        "Last cycle": "until the daemon runs" in warnings,
        "Whop": "does not answer" in warnings or "Payments cannot be read" in warnings,
        "Permissions": "is missing permissions" in warnings,
    }
    # Where it cannot be said whether the key is refused, the page does not call Whop fine.
    posts = [
        f"post about {part}: {there}"
        for part, there in told.items()
        if (levels[part] is Level.GREEN if there is None else there is not broken[part])
    ]
    fine = (Level.GREEN, Level.NONE)
    unmade = {part: levels[part] not in fine for part in warned} | {"Whop": broken["Whop"]}
    return posts + [f"warning about {part}" for part in warned if warned[part] is not unmade[part]]


def find_disagreements(session: Session, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    for (cycle, down, sync), (mails, webhooks) in SITUATIONS:
        with session.begin_nested() as situation:
            set_daemon(session, cycle, down)
            set_sync(session, *sync)
            set_mails(session, *mails)
            set_refusal(session, refused=mails[1] % 2 == 1)
            set_webhooks(session, *webhooks)
            session.flush()
            found += compare(session, monkeypatch)
            situation.rollback()
    return found


def test_page_warnings_and_posts_agree_in_every_situation(
    filled: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_disagreements(filled, monkeypatch) == []


@pytest.mark.parametrize(
    ("reader", "judgement", "answer"),
    [
        (page, "assess_cycle", CycleState.FINE),
        (banners, "assess_cycle", CycleState.FINE),
        (links, "assess_whop", WhopState.FINE),
        (banners, "assess_whop", WhopState.FINE),
        (triggers, "assess_whop", WhopState.FINE),
        (links, "assess_webhooks", WebhookState.FINE),
        (triggers, "assess_webhooks", WebhookState.FINE),
        (links, "assess_deliverability", DeliverabilityState.FINE),
        (triggers, "assess_deliverability", DeliverabilityState.FINE),
    ],
)
def test_one_that_judged_by_itself_would_be_noticed(
    filled: Session,
    monkeypatch: pytest.MonkeyPatch,
    reader: ModuleType,
    judgement: str,
    answer: State,
) -> None:
    monkeypatch.setattr(reader, judgement, lambda *facts: answer)
    assert find_disagreements(filled, monkeypatch) != []


# --- errors are values ---------------------------------------------------------------------------


LEAVES = {
    NoAnswerError: SyncError.UNAVAILABLE,
    DownError: SyncError.UNAVAILABLE,
    BusyError: SyncError.UNAVAILABLE,
    AccessError: SyncError.ACCESS_DENIED,
    UnfundedError: SyncError.UNAVAILABLE,
    NotFoundError: SyncError.UNAVAILABLE,
    RefusedError: SyncError.UNAVAILABLE,
    ConflictError: SyncError.UNAVAILABLE,
}


def find_errors(kind: type[WhopError]) -> set[type[WhopError]]:
    below = kind.__subclasses__()
    return set(below).union(*(find_errors(one) for one in below))


def test_every_error_of_whop_s_has_its_value_whatever_it_says() -> None:
    assert find_errors(WhopError) == set(LEAVES)
    for kind, value in LEAVES.items():
        made = kind("Whop answered 401", HOUR) if kind is BusyError else kind("Whop answered 401")
        assert classify_sync_error(made) is value


@pytest.mark.parametrize(
    ("status", "value"),
    [(401, SyncError.ACCESS_DENIED), (403, SyncError.ACCESS_DENIED)]
    + [(status, SyncError.UNAVAILABLE) for status in (400, 402, 404, 408, 409, 422, 429, 500, 503)],
)
def test_only_401_and_403_speak_of_our_key(status: int, value: SyncError) -> None:
    with pytest.raises(WhopError) as raised:
        check(httpx.Response(status, json={"error": {"code": None, "message": "no"}}))
    assert classify_sync_error(raised.value) is value


def test_a_daemon_that_knows_no_errors_yet_is_understood(session: Session) -> None:
    add_companies(session, {COMPANY})
    sync = Sync(company_id=COMPANY, since=NOW, error_detail="Whop answered 401: who?")
    session.add(sync)
    session.flush()
    assert find_sync(session, COMPANY) == SyncState(
        None, SyncFailure(SyncError.UNAVAILABLE, "Whop answered 401: who?")
    )
    sync.error, sync.error_detail = SyncError.ACCESS_DENIED, None
    assert find_sync(session, COMPANY) == SyncState()


# --- what daemons say in their heartbeats --------------------------------------------------------

COUNTS = st.integers(0, 10**6)
REPORTS = st.builds(CycleReport, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
MOMENTS = st.datetimes(timezones=st.just(UTC))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
KEYS = st.sampled_from(["whop_down_since", *(field.name for field in fields(CycleReport))])


@given(st.none() | MOMENTS, st.none() | REPORTS)
def test_what_a_daemon_writes_is_read_back(
    down: datetime | None, report: CycleReport | None
) -> None:
    kept = json.loads(json.dumps(write_details(down, report)))
    assert (read_outage(kept), read_report(kept)) == (down, report)


@given(REPORTS, MOMENTS, st.sets(KEYS), st.dictionaries(st.text(), JSON))
def test_keys_of_another_version_are_passed_over_and_missing_ones_count_nothing(
    report: CycleReport, down: datetime, unwritten: set[str], more: dict[str, Any]
) -> None:
    details = more | write_details(down, report)
    details = {name: value for name, value in details.items() if name not in unwritten}
    left = asdict(report).items() - {(name, getattr(report, name, None)) for name in unwritten}
    assert read_report(details) == (CycleReport(**dict(left)) if left else None)
    assert read_outage(details) == (None if "whop_down_since" in unwritten else down)


@given(st.dictionaries(KEYS | st.text(), JSON))
def test_whatever_stands_in_a_heartbeat_can_be_read(details: dict[str, Any]) -> None:
    report, down = read_report(details), read_outage(details)
    assert report is None or all(type(count) is int for count in asdict(report).values())
    assert down is None or down.tzinfo is not None


def test_a_sign_of_life_keeps_what_the_last_cycle_did(session: Session) -> None:
    report = CycleReport(1, 2, 3, 4, 5)
    heartbeats.beat(session, "daemon", NOW, NOW, None, report)
    heartbeats.beat(session, "daemon", NOW, NOW + HOUR, NOW)
    assert find_heartbeat(session) == DaemonHeartbeat(NOW + HOUR, NOW, NOW, report)


def test_nobody_else_reads_the_keys_of_a_heartbeat() -> None:
    """Every module but the one that writes them."""
    root = Path(__file__).parent.parent
    reading = re.compile(r"[\"']whop_down_since[\"']|Heartbeat\.details\[|heartbeat\.details")
    folders = ("recovery", "db", "mail", "whop", "webhook", "daemon", "dashboard")
    modules = (path for folder in folders for path in (root / folder).rglob("*.py"))
    found = [path.name for path in modules if reading.search(path.read_text())]
    assert found == ["heartbeats.py"]
