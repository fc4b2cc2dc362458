"""How the whole stands: the facts and their judgement."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from dashboard.text.finding import Finding
from dashboard.text.health import assess, sum_up
from db.company_settings.recovery import add_companies
from db.heartbeats import write_details
from db.models import AccountRefusal, Attempt, Heartbeat, Message, Sync, WebhookEvent
from db.reporting.health import Due, HealthFacts, gather_facts
from db.reporting.mail_health import Sending
from db.reporting.webhook_health import Poison
from db.session import head_revision
from recovery.health import (
    CycleReport,
    DaemonHeartbeat,
    Deliverability,
    Level,
    SyncFailure,
    SyncState,
    Webhooks,
)
from recovery.status import AttemptOutcome, Channel, MessageState, Step, SyncError, Trigger
from tests.factories import COMPANY, HOUR, NOW, add_payment, failing_at

OTHER = "biz_other"
MINUTE = HOUR / 60
DAY = 24 * HOUR
HEAD = "0004"
REPORT = CycleReport(settled=0, found=1, retried=2, closed=3, errors=0)
NONE = Due(0, None)
WELL = HealthFacts(
    webhooks=Webhooks(NOW - HOUR),
    heartbeat=DaemonHeartbeat(NOW - MINUTE, NOW - 12 * MINUTE, None, REPORT),
    retries=NONE,
    messages=NONE,
    unknown=NONE,
    poison=(),
    poison_count=0,
    sending=Sending(5, 0, 0, 0, NOW - HOUR, None, None),
    deliverability=Deliverability(5, 0),
    refusals=(),
    sync=SyncState(NOW - 12 * MINUTE),
    revision=HEAD,
)
POISON = Poison("msg_1", "payment.failed", NOW - HOUR, "no amount")


def find(facts: HealthFacts, part: str) -> Finding:
    (found,) = [one for one in assess(facts, NOW, HEAD) if one.part == part]
    return found


def heartbeat(
    beat: timedelta = MINUTE,
    cycle: timedelta | None = MINUTE,
    down: datetime | None = None,
    errors: int = 0,
) -> DaemonHeartbeat:
    ended = None if cycle is None else NOW - cycle
    return DaemonHeartbeat(NOW - beat, ended, down, replace(REPORT, errors=errors))


def unread(error: SyncError, words: str = "401", missing: tuple[str, ...] = ()) -> SyncState:
    return SyncState(NOW, SyncFailure(error, words), missing)


def refusal(channel: Channel) -> AccountRefusal:
    company_id = "" if channel is Channel.EMAIL else COMPANY
    detail = "SendGrid answered 401"
    return AccountRefusal(channel=channel, company_id=company_id, since=NOW - HOUR, detail=detail)


def sending(sent: int, failed: int, sent_ago: timedelta | None) -> Sending:
    last = None if sent_ago is None else NOW - sent_ago
    return Sending(sent, failed, 0, 0, last, NOW - HOUR, "401 Unauthorized")


def test_it_is_green_throughout_when_all_is_well_and_asks_for_nothing() -> None:
    findings = assess(WELL, NOW, HEAD)
    assert {one.level for one in findings} == {Level.GREEN}
    assert [one.advice for one in findings if one.advice] == []
    assert sum_up(findings) is Level.GREEN


DOWN = NOW - 2 * HOUR
CASES: list[tuple[str, dict[str, Any], Level]] = [
    ("Webhooks", {"webhooks": Webhooks()}, Level.NONE),
    ("Webhooks", {"webhooks": Webhooks(NOW - DAY)}, Level.GREEN),
    ("Webhooks", {"webhooks": Webhooks(NOW - DAY - MINUTE)}, Level.AMBER),
    ("Webhooks", {"webhooks": Webhooks(NOW - 8 * DAY)}, Level.AMBER),
    ("Webhooks", {"webhooks": Webhooks(NOW - DAY + MINUTE, NOW - HOUR)}, Level.GREEN),
    ("Webhooks", {"webhooks": Webhooks(NOW - DAY, NOW - HOUR)}, Level.RED),
    ("Webhooks", {"webhooks": Webhooks(None, NOW - HOUR)}, Level.NONE),
    ("Webhooks", {"webhooks": Webhooks(None, NOW - DAY)}, Level.RED),
    ("Daemon", {"heartbeat": None}, Level.RED),
    ("Daemon", {"heartbeat": heartbeat(3 * MINUTE)}, Level.GREEN),
    ("Daemon", {"heartbeat": heartbeat(4 * MINUTE)}, Level.AMBER),
    ("Daemon", {"heartbeat": heartbeat(16 * MINUTE)}, Level.RED),
    ("Last cycle", {"heartbeat": None}, Level.RED),
    ("Last cycle", {"heartbeat": heartbeat(cycle=None)}, Level.RED),
    ("Last cycle", {"heartbeat": heartbeat(cycle=2 * HOUR)}, Level.GREEN),
    ("Last cycle", {"heartbeat": heartbeat(cycle=3 * HOUR)}, Level.AMBER),
    ("Last cycle", {"heartbeat": heartbeat(cycle=7 * HOUR)}, Level.RED),
    ("Last cycle", {"heartbeat": heartbeat(errors=1)}, Level.AMBER),
    ("Whop", {"heartbeat": heartbeat(down=DOWN)}, Level.RED),
    ("Whop", {"sync": None}, Level.NONE),
    ("Whop", {"sync": SyncState()}, Level.NONE),
    ("Whop", {"sync": unread(SyncError.ACCESS_DENIED)}, Level.RED),
    ("Whop", {"sync": unread(SyncError.ACCESS_DENIED, missing=("member:manage",))}, Level.RED),
    ("Whop", {"sync": unread(SyncError.UNAVAILABLE)}, Level.RED),
    ("Whop", {"sync": unread(SyncError.PERMISSION_MISSING, missing=("a:b",))}, Level.AMBER),
    ("Whop", {"sync": SyncState(NOW - 4 * HOUR)}, Level.AMBER),
    ("Permissions", {"sync": None}, Level.NONE),
    ("Permissions", {"sync": SyncState(NOW, None, ("payment:manage",))}, Level.RED),
    ("Retries due", {"retries": Due(4, NOW - HOUR)}, Level.GREEN),
    ("Retries due", {"retries": Due(4, NOW - 3 * HOUR)}, Level.AMBER),
    ("Retries due", {"retries": Due(4, NOW - 13 * HOUR)}, Level.RED),
    ("Unconfirmed charges", {"unknown": Due(1, NOW - HOUR)}, Level.GREEN),
    ("Unconfirmed charges", {"unknown": Due(1, NOW - 3 * HOUR)}, Level.AMBER),
    ("Events", {"poison": (POISON,), "poison_count": 1}, Level.AMBER),
    ("Messages due", {"messages": Due(1, NOW - MINUTE)}, Level.GREEN),
    ("Messages due", {"messages": Due(1, NOW - 16 * MINUTE)}, Level.AMBER),
    ("Messages due", {"messages": Due(1, NOW - 3 * HOUR)}, Level.RED),
    ("SendGrid", {"sending": Sending(0, 0, 0, 0, None, None, None)}, Level.NONE),
    ("SendGrid", {"sending": sending(3, 1, HOUR / 2)}, Level.GREEN),
    ("SendGrid", {"sending": sending(3, 1, 2 * HOUR)}, Level.AMBER),
    ("SendGrid", {"sending": sending(0, 2, None)}, Level.RED),
    ("SendGrid", {"refusals": (refusal(Channel.EMAIL),)}, Level.RED),
    ("SendGrid", {"refusals": (refusal(Channel.WHOP),)}, Level.GREEN),
    ("Whop chat", {"refusals": (refusal(Channel.WHOP),)}, Level.RED),
    ("Email delivery", {"deliverability": Deliverability(0, 0)}, Level.NONE),
    ("Email delivery", {"deliverability": Deliverability(100, 5)}, Level.GREEN),
    ("Email delivery", {"deliverability": Deliverability(99, 5)}, Level.RED),
    ("Email delivery", {"deliverability": Deliverability(9, 0, 5, 0)}, Level.AMBER),
    ("Email delivery", {"deliverability": Deliverability(9, 0, 4, 0)}, Level.GREEN),
    ("Email delivery", {"deliverability": Deliverability(9, 0, 5, 1)}, Level.GREEN),
    ("Database", {"revision": "0003"}, Level.AMBER),
    ("Database", {"revision": None}, Level.AMBER),
]


@pytest.mark.parametrize(("part", "change", "level"), CASES)
def test_it_judges_each_part_and_says_what_to_do(
    part: str, change: dict[str, Any], level: Level
) -> None:
    found = find(replace(WELL, **change), part)
    assert found.level is level
    assert bool(found.advice) or level in (Level.GREEN, Level.NONE)
    assert found.words.endswith((".", "Unauthorized", "401"))


def test_it_says_since_when_and_what_whop_and_sendgrid_said() -> None:
    down = find(replace(WELL, heartbeat=heartbeat(down=DOWN)), "Whop")
    assert (down.since, down.words) == (NOW - 2 * HOUR, "No answer for 2 h.")
    assert (
        "SendGrid said: 401 Unauthorized"
        in find(replace(WELL, sending=sending(0, 2, None)), "SendGrid").words
    )
    assert "2 payments retried" in find(WELL, "Last cycle").words


@pytest.mark.parametrize(
    ("levels", "worst"),
    [
        ([Level.GREEN, Level.NONE], Level.GREEN),
        ([Level.GREEN, Level.AMBER, Level.NONE], Level.AMBER),
        ([Level.RED, Level.AMBER, Level.GREEN], Level.RED),
    ],
)
def test_the_whole_is_as_bad_as_its_worst_part(levels: list[Level], worst: Level) -> None:
    assert sum_up([Finding("a part", level, "words") for level in levels]) is worst


# --- the facts ---------------------------------------------------------------------------------


def hear(session: Session, event_id: str, company_id: str | None, **columns: Any) -> None:
    given: dict[str, Any] = {"type": "payment.failed", "payload": {}, "received_at": NOW}
    session.add(WebhookEvent(event_id=event_id, company_id=company_id, **given | columns))


def write(session: Session, payment_id: str, state: MessageState, step: Step, at: datetime) -> None:
    session.add(
        Message(
            payment_id=payment_id,
            company_id=COMPANY,
            step=step,
            channel=Channel.EMAIL,
            state=state,
            due_at=at,
            sending_at=None if state is MessageState.QUEUED else at,
            sent_at=at if state is MessageState.SENT else None,
            detail="refused" if state is MessageState.FAILED else None,
        )
    )


def test_it_gathers_what_is_due_broken_and_unknown(session: Session) -> None:
    payment = add_payment(session, NOW - 3 * HOUR, **failing_at(NOW - 3 * HOUR))
    write(session, payment.payment_id, MessageState.SENT, Step.REMINDER, NOW - 2 * HOUR)
    write(session, payment.payment_id, MessageState.FAILED, Step.LAST_DAY, NOW - HOUR)
    write(session, payment.payment_id, MessageState.QUEUED, Step.PAYMENT_FAILED, NOW - HOUR)
    payment.next_step, payment.next_message_at = Step.NOTICE, NOW - 2 * HOUR
    session.add(
        Attempt(
            payment_id=payment.payment_id,
            company_id=COMPANY,
            number=1,
            trigger=Trigger.SCHEDULE,
            outcome=AttemptOutcome.UNKNOWN,
            idempotency_key="a",
            started_at=NOW - HOUR,
        )
    )
    hear(session, "msg_waiting", COMPANY, received_at=NOW - HOUR)
    hear(session, "msg_poison", COMPANY, error="no amount", received_at=NOW - 2 * HOUR)
    session.add(Sync(company_id=COMPANY, since=NOW, read_until=NOW, missing_permissions=["a:b"]))
    for instance, ago, cycled in (("a", HOUR, NOW - MINUTE), ("b", MINUTE, NOW - 2 * HOUR)):
        session.add(
            Heartbeat(
                process="daemon",
                instance=instance,
                started_at=NOW,
                beat_at=NOW - ago,
                last_cycle_at=cycled,
                details={"retried": 2 if instance == "b" else 1},
            )
        )
    session.commit()
    facts = gather_facts(session, COMPANY, NOW)
    assert facts.webhooks == Webhooks(NOW - 2 * HOUR)  # the newest by arrival
    assert facts.heartbeat == DaemonHeartbeat(
        NOW - MINUTE, NOW - MINUTE, None, CycleReport(retried=2)
    )
    assert facts.retries == Due(1, payment.next_retry_at)
    assert facts.messages == Due(2, NOW - 2 * HOUR)
    assert facts.unknown == Due(1, NOW - HOUR)
    assert facts.poison_count == 1
    assert facts.poison == (Poison("msg_poison", "payment.failed", NOW - 2 * HOUR, "no amount"),)
    assert facts.sending == Sending(1, 1, 0, 0, NOW - 2 * HOUR, NOW - HOUR, "refused")
    assert facts.deliverability == Deliverability(1, 0, 1, 0)
    assert facts.sync == SyncState(NOW, None, ("a:b",))
    assert facts.revision == head_revision()


def test_one_creator_s_health_shows_nothing_of_another(session: Session) -> None:
    payment = add_payment(session, NOW - 3 * HOUR, **failing_at(NOW - 3 * HOUR))
    write(session, payment.payment_id, MessageState.FAILED, Step.LAST_DAY, NOW - HOUR)
    add_companies(session, {OTHER})
    hear(session, "msg_theirs", COMPANY, error="theirs")
    hear(session, "msg_waits", COMPANY)
    hear(session, "msg_nobody", None, error="whose?")
    session.commit()
    facts = gather_facts(session, OTHER, NOW)
    assert (facts.poison, facts.poison_count) == ((), 0)
    assert (facts.retries, facts.messages, facts.unknown) == (NONE, NONE, NONE)
    assert (facts.webhooks, facts.sync) == (Webhooks(), None)
    assert facts.sending == Sending(0, 0, 0, 0, None, None, None)


def test_a_cycle_s_counts_are_not_shown_where_they_may_be_another_creator_s(
    session: Session,
) -> None:
    at, details = NOW - MINUTE, write_details(DOWN, replace(REPORT, errors=1))
    session.add(
        Heartbeat(
            process="daemon",
            instance="a",
            started_at=at,
            beat_at=at,
            last_cycle_at=at,
            details=details,
        )
    )
    add_companies(session, {COMPANY})
    session.commit()
    facts = gather_facts(session, COMPANY, NOW)
    assert "3 payments closed, 1 error." in find(facts, "Last cycle").words
    add_companies(session, {OTHER})
    session.commit()
    facts = gather_facts(session, COMPANY, NOW)
    assert find(facts, "Last cycle") == Finding(
        "Last cycle", Level.GREEN, "Finished 1 min ago.", since=at
    )
    assert find(facts, "Whop").level is Level.RED


def test_an_event_that_tells_no_company_is_shown_where_there_is_only_one(session: Session) -> None:
    add_companies(session, {COMPANY})
    hear(session, "msg_nobody", None, error="whose?")
    session.commit()
    assert gather_facts(session, COMPANY, NOW).poison_count == 1
