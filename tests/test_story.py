"""The whole path once, every part a process of its own: from Whop's signed bytes to a number on the
creator's page, and a letter in the member's box."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from tests.processes import COMPANY, ROOT, TOKEN, Stage, stage_in, wait_until

READ_PAGE = f"""
import json
from streamlit.testing.v1 import AppTest
page = AppTest.from_file({str(ROOT / "dashboard" / "navigation.py")!r}, default_timeout=60).run()
assert not page.exception, page.exception
words = " ".join(block.proto.body for block in page.get("html"))
figures = {{metric.label: metric.value for metric in page.metric}}
print("PAGE" + json.dumps({{"figures": figures, "words": words}}))
"""


@pytest.fixture
def stage(migrated_engine: Engine, tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path, migrated_engine) as stage:
        yield stage


def test_a_failed_renewal_becomes_recovered_dollars_on_the_page(stage: Stage):
    stage.daemon("-m tests.hurried", EMAIL_ENABLED="true", RETRY_INTERVAL_MINUTES="1")

    # Three renewals fail. Whop signs, the receiver stores, and each has its row.
    member = {"name": "Jo Doe", "email": "jo@example.com"}
    ours = stage.fail("insufficient_funds", "paid", amount="49.00")
    lost = stage.fail("insufficient_funds", amount="30.00")
    waits = stage.fail("expired_card", amount="20.00", **member)
    assert (stage.row(ours).status, str(stage.row(ours).amount)) == ("pending_retry", "49.00")
    assert (stage.row(waits).status, stage.row(waits).member_name) == ("failed", "Jo Doe")

    # Whom only they can help gets an email, with the link that Whop gives for this very membership.
    mails = wait_until(lambda: stage.mails(waits), "the email was sent")
    membership = stage.http.get(
        f"/api/v1/memberships/{stage.row(waits).membership_id}",
        headers={"authorization": "Bearer apik_sandbox", "api-version-date": "2026-10-15-1"},
    ).json()
    assert [mail["to"] for mail in mails] == [["jo@example.com"]]
    assert membership["manage_url"] in mails[0]["text"]
    assert "$20.00" in mails[0]["text"]

    # The hour has passed: the daemon charges again what may work, and one of them is paid.
    stage.make_due(ours, lost)
    wait_until(lambda: stage.row(ours).status == "recovered", "the retry was paid")
    wait_until(lambda: stage.row(lost).retry_count == 1, "the other was declined")
    for payment_id in (ours, lost):
        stage.wait_for_webhooks(payment_id)
        assert len(stage.retries(payment_id)) == 1
    assert stage.retries(waits) == []
    assert stage.row(ours).recovered_by == "retry"

    # What the creator sees, through REST and on the page.
    summary = httpx.get(
        f"{stage.receiver_url}/stats/summary",
        params={"company_id": COMPANY},
        headers={"authorization": f"Bearer {TOKEN}"},
        timeout=30,
    ).json()
    assert (summary["total_failed"], summary["total_recovered"]) == (3, 1)
    assert (summary["recovered_amount"], summary["at_risk_amount"]) == (49.0, 50.0)
    assert (summary["recovery_rate"], summary["recovered_by_retry_amount"]) == (33.3, 49.0)
    page = read_page(stage)
    assert page["figures"] == {
        "$ Recovered This Month": "$49.00",
        "Recovery Rate %": "—",
        "Total Failed Payments": "3",
        "At Risk Now": "$50.00",
    }
    assert "Jo Doe" in page["words"]
    assert "jo@example.com" not in page["words"]

    # By now the daemon has looked for messages many times. It was sent once.
    assert len(stage.mails(waits)) == 1


def read_page(stage: Stage):
    said = stage.processes.run("-c", READ_PAGE, **stage.database, WHOP_COMPANY_ID=COMPANY).said
    return json.loads(next(line for line in said.splitlines() if line.startswith("PAGE"))[4:])
