"""kill -9 of whoever sends messages, at every step and then at random. The oracle is the
sandbox's letter box."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.company_settings.messaging import MessagingSettings, save_messaging_settings
from db.ledger import new_payments
from db.session import now
from tests.factories import HOURLY, failing_at, report
from tests.kill_sender import PATIENCE, PORTION, STEPS, Left
from tests.processes import Stage, stage_in
from tests.soak import at_length, choose_seed

pytestmark = pytest.mark.soak

KILLS, SEED = at_length(40), choose_seed(4)
# A sender that lives long sends more than what comes due at its end.
SPARE = 100
EVERYBODY_LATER = "update payments set next_message_at = now() + interval '1 day'"


@dataclass(frozen=True)
class Aftermath:
    """What the killed senders left, and what came of each message."""

    by_step: dict[str, Left]
    at_random: list[Left]
    states: dict[int, str]
    mails: Counter[int]


@pytest.fixture(scope="module")
def aftermath(migrated_engine: Engine, tmp_path_factory) -> Iterator[Aftermath]:
    with stage_in(tmp_path_factory.mktemp("stage"), migrated_engine) as stage:
        add_members(stage, PORTION * (PATIENCE * KILLS + len(STEPS)) + SPARE)
        yield kill_senders(stage)


def add_members(stage: Stage, number: int) -> None:
    """Each with a payment that only they can put right. Nobody is due yet."""
    stage.post("/sandbox/switches", rate_per_minute=10**9)
    membership_id = stage.row(stage.fail("expired_card")).membership_id
    failed = failing_at(now())
    reports = [
        report(
            decline_code="expired_card",
            member_id=f"mber_kill_{i}",
            membership_id=membership_id,
            **failed,
        )
        for i in range(number)
    ]
    with Session(stage.engine) as session, session.begin():
        new_payments.create_payments(session, reports, {}, now(), HOURLY)
        messaging = MessagingSettings(quiet_from=0, quiet_until=0, daily_cap=100_000)
        save_messaging_settings(session, reports[0].company_id, messaging, "somebody", now())
    stage.execute(EVERYBODY_LATER)


def kill_senders(stage: Stage) -> Aftermath:
    database = stage.engine.url.render_as_string(hide_password=False)
    arguments = f"-m tests.kill_sender {database} {stage.url} {KILLS} {SEED}".split()
    process = stage.processes.start(*arguments)
    assert process.wait(30 + PATIENCE * KILLS) == 0, process.said
    left = json.loads(process.said.splitlines()[-1])
    mails = stage.http.get("/mails.json").raise_for_status().json()
    return Aftermath(
        by_step={step: one and (one[0], one[1]) for step, one in left["steps"].items()},
        at_random=[one and (one[0], one[1]) for one in left["random"]],
        states={row.id: row.state for row in stage.rows("select id, state from messages")},
        mails=Counter(int(mail["custom_args"]["message_id"]) for mail in mails),
    )


@pytest.mark.parametrize(
    ("step", "marked", "state", "mails"),
    [
        ("taken", False, "sent", 1),
        ("prepared", False, "sent", 1),
        ("marking", False, "sent", 1),
        ("posted", True, "unknown", 0),
        ("leaving", True, "unknown", 0),
        ("sent", True, "unknown", 1),
        ("finishing", True, "unknown", 1),
        ("finished", True, "sent", 1),
    ],
)
def test_killed_at_any_step_it_sends_once_or_does_not_claim_to_know(
    aftermath: Aftermath, step, marked, state, mails
):
    left = aftermath.by_step[step]
    assert left is not None
    message_id, was_marked = left
    assert was_marked is marked
    assert aftermath.states[message_id] == state
    assert aftermath.mails[message_id] == mails


def test_killed_while_it_takes_a_message_it_leaves_nothing_in_hand(aftermath: Aftermath):
    assert aftermath.by_step["taking"] is None


def test_however_often_it_is_killed_nobody_gets_a_message_twice(aftermath: Aftermath):
    assert len(aftermath.at_random) >= KILLS
    assert set(aftermath.mails.values()) == {1}


def test_what_could_be_sent_without_doubt_is_sent_in_the_end(aftermath: Aftermath):
    """In doubt is only what was marked as about to leave when its sender was killed."""
    left = [one for one in (*aftermath.by_step.values(), *aftermath.at_random) if one is not None]
    in_doubt = {message_id for message_id, marked in left if marked}
    done_for_good = aftermath.by_step["finished"]
    assert done_for_good is not None
    in_doubt -= {done_for_good[0]}
    assert {i for i, state in aftermath.states.items() if state == "unknown"} == in_doubt
    without_doubt = aftermath.states.keys() - in_doubt
    assert {aftermath.states[i] for i in without_doubt} == {"sent"}
    assert without_doubt <= aftermath.mails.keys()


def test_the_kills_came_at_every_stage_of_a_message(aftermath: Aftermath):
    """Otherwise the others would prove little."""
    stages = Counter(describe(one, aftermath.mails) for one in aftermath.at_random)
    sys.stdout.write(f"{dict(stages)}, {dict(Counter(aftermath.states.values()))}\n")
    assert set(stages) >= {"nothing in hand", "taken"}
    assert stages["marked"] + stages["left"] > 0


def describe(left: Left, mails: Counter[int]) -> str:
    if left is None:
        return "nothing in hand"
    message_id, marked = left
    if not marked:
        return "taken"
    return "left" if mails[message_id] else "marked"
