"""A process that is older than the schema, as in every deploy between the migration and the new
code: it stops, or fails closed, and no charge is lost."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine, inspect, text

from db.outages import DatabaseUnavailable, Outage
from db.session import check_schema, head_revision, unready_reason
from tests.processes import Stage, stage_in, wait_until

NEWER = "9999"
REFUSAL = Outage.OUTDATED.value


@pytest.fixture
def stage(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Whatever becomes of the test, the database that it shares with others is as it was."""
    with stage_in(tmp_path_factory.mktemp("stage"), engine) as stage:
        yield stage
        if "valid_until" in {column["name"] for column in inspect(engine).get_columns("payments")}:
            come_back(stage)
        set_revision(engine, head_revision())


def set_revision(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = :it"), {"it": revision})


def move_on(stage: Stage) -> None:
    """A migration that renames what every reading of a payment needs."""
    stage.execute("alter table payments rename column card_expiry to valid_until")
    set_revision(stage.engine, NEWER)


def come_back(stage: Stage) -> None:
    stage.execute("alter table payments rename column valid_until to card_expiry")
    set_revision(stage.engine, head_revision())


@pytest.mark.parametrize(
    ("revision", "outage"),
    [(None, None), (NEWER, Outage.OUTDATED), ("0006", Outage.UNMIGRATED), ("", Outage.UNMIGRATED)],
)
def test_the_schema_is_this_codes_or_it_is_said_what_is_to_be_done(
    engine: Engine, revision: str | None, outage: Outage | None
):
    set_revision(engine, head_revision() if revision is None else revision)
    try:
        assert unready_reason(engine) is outage
        if outage is None:
            check_schema(engine)
        else:
            with pytest.raises(DatabaseUnavailable, match=outage.value.partition(";")[0]):
                check_schema(engine)
    finally:
        set_revision(engine, head_revision())


def test_a_daemon_does_nothing_while_the_schema_is_newer_than_its_code(stage: Stage):
    daemon = stage.daemon("-m tests.hurried", RETRY_INTERVAL_MINUTES="1", EMAIL_ENABLED="true")
    wait_until(lambda: daemon.says("cycle:"), "the daemon works")
    set_revision(stage.engine, NEWER)
    wait_until(lambda: daemon.says(REFUSAL), "it has noticed")
    payment_id = stage.fail("insufficient_funds", "paid")
    stage.make_due(payment_id)
    refusals = daemon.said.count(f"run_cycle: {REFUSAL}")
    wait_until(
        lambda: daemon.said.count(f"run_cycle: {REFUSAL}") >= refusals + 3, "it has looked again"
    )
    assert stage.retries(payment_id) == stage.attempts(payment_id) == []
    assert stage.mails(payment_id) == []
    assert daemon.runs
    set_revision(stage.engine, head_revision())
    wait_until(lambda: stage.row(payment_id).status == "recovered", "it goes on where it was")
    assert len(stage.retries(payment_id)) == 1


@pytest.mark.parametrize("end", ["paid", "expired_card"])
def test_a_charge_in_hand_when_the_schema_moves_on_is_neither_lost_nor_made_twice(
    stage: Stage, end: str
):
    payment_id = stage.fail("insufficient_funds", end)
    stage.make_due(payment_id)
    stage.break_down("webhook", "drop", times=None)
    stage.break_down("payments.retry", "latency", seconds=3, times=1)
    daemon = stage.daemon("-m tests.hurried", RETRY_INTERVAL_MINUTES="1")
    wait_until(lambda: stage.retries(payment_id), "Whop has charged, and has not answered yet")
    move_on(stage)
    wait_until(lambda: daemon.says("UndefinedColumn") or daemon.says(REFUSAL), "it has noticed")
    wait_until(lambda: daemon.said.count(REFUSAL) >= 3, "it does nothing more")
    daemon.kill()
    assert [attempt.outcome for attempt in stage.attempts(payment_id)] == ["open"]
    come_back(stage)
    stage.let_leases_lapse()
    stage.work_once()
    assert [charge["outcome"] for charge in stage.retries(payment_id)] == [end]
    expected = "paid" if end == "paid" else "declined"
    assert [attempt.outcome for attempt in stage.attempts(payment_id)] == [expected]


def test_a_receiver_has_whop_deliver_again_what_the_newer_schema_does_not_take(stage: Stage):
    move_on(stage)
    answer = httpx.get(f"{stage.receiver_url}/readyz", timeout=20)
    assert (answer.status_code, answer.json()["detail"]) == (503, REFUSAL)
    failed = stage.post("/sandbox/fail_renewal", script=["insufficient_funds"])
    payment_id = str(failed["payment_id"])
    wait_until(lambda: stage.receiver.says("refused with 503"), "the delivery is refused")
    assert stage.row(payment_id) is None
    come_back(stage)
    stage.work_once()  # whether Whop delivers again or not
    assert stage.row(payment_id) is not None
