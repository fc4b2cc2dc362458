"""Members who leave, through real processes: whether Whop's word comes first, late, or never."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.processes import Stage, stage_in, wait_until

# The hourly policy charges the one again, and of the other the member is written to at once.
CHARGED = ["insufficient_funds", "paid"]
WRITTEN = ["authentication_required", "paid"]


@pytest.fixture
def stage(migrated_engine: Engine, tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path, migrated_engine) as stage:
        yield stage


def act(stage: Stage, payment_id: str, name: str) -> None:
    stage.post(f"/sandbox/payments/{payment_id}/{name}")


def test_who_has_left_is_neither_charged_nor_written_to(stage: Stage):
    stays = [stage.fail(*CHARGED), stage.fail(*WRITTEN)]
    charged = [stage.fail(*CHARGED), stage.fail(*CHARGED)]
    written = [stage.fail(*WRITTEN), stage.fail(*WRITTEN)]
    left = charged + written

    # The end of one membership is heard before the failure that came before it.
    stage.break_down("webhook:payment.failed", "delay", seconds=3)
    overtaken = stage.post("/sandbox/fail_renewal", script=WRITTEN)["payment_id"]
    act(stage, overtaken, "cancel_membership")
    wait_until(lambda: stage.rows("select from memberships"), "the end was heard")
    assert stage.row(overtaken) is None
    wait_until(lambda: stage.row(overtaken), "the failure was heard")
    assert stage.row(overtaken).closed_reason == "membership_ended"

    # Of the others Whop's word is lost: one has ended, one will not renew and is not retryable.
    stage.break_down("webhook", "drop", times=None)
    stage.post("/sandbox/switches", cancel_request_stops_retries=True)
    for ended, canceled in (charged, written):
        act(stage, ended, "cancel_membership")
        act(stage, canceled, "cancel_at_period_end")
    stage.make_due(stays[0], *charged)
    stage.work_once(EMAIL_ENABLED="true")

    assert [stage.row(payment_id).closed_reason for payment_id in left] == [
        "membership_ended",
        "member_canceled",
    ] * 2
    assert [len(stage.retries(one)) for one in (overtaken, *left)] == [0] * 5
    assert [stage.mails(one) for one in (overtaken, *left)] == [[]] * 5
    assert [len(stage.retries(one)) for one in stays] == [1, 0]
    assert [len(stage.mails(one)) for one in stays] == [0, 1]
