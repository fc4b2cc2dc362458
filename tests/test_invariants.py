"""The invariants of docs/invariants.md, each held by a line, each line guarded by a test.

The line is taken out of a copy of the code, and the test that guards it must then fail. A test that
cannot fail would be worth nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from db.embedded import Server

ROOT = Path(__file__).parent.parent
CODE = ("recovery", "db", "mail", "whop", "webhook", "daemon", "dashboard", "sandbox", "tests")


@dataclass(frozen=True)
class Guard:
    invariant: int
    what: str
    file: str
    line: str
    instead: str
    test: str
    second: bool = False
    """A second line keeps it as well: what was just read is heard before the charge."""


SECOND = (
    "db/ledger/claims.py",
    "    payments.hear(session, payment, sending.before, now, rules)\n",
)
GUARDS = [
    Guard(
        1,
        "200 only after the commit",
        "webhook/inbox.py",
        "            await waiting.answered\n",
        "            pass\n",
        "test_receiver.py::test_a_payment_is_visible_to_the_read_that_follows_its_200",
    ),
    Guard(
        2,
        "an older report is not the newest word",
        "db/ledger/payments.py",
        "newer, known_class = report.as_of > payment.as_of,",
        "newer, known_class = True,",
        "test_ledger.py::test_an_older_report_does_not_overwrite_a_newer_one",
    ),
    Guard(
        2,
        "what came before its payment waits for it",
        "db/ledger/inbox.py",
        "        rest = load_waiting(session, waited_for, read) + rest\n",
        "        pass\n",
        "test_receiver.py::test_a_success_that_overtakes_its_failure_is_not_forgotten",
    ),
    Guard(
        2,
        "one payment's events are applied one after the other",
        "db/ledger/bulk_insert.py",
        "select count(pg_advisory_xact_lock(hashtextextended(id, 0)))",
        "select count(id)",
        "test_ledger.py::test_two_transactions_that_hear_of_one_payment_do_not_lose_it",
    ),
    Guard(
        2,
        "a recovered payment does not fail again",
        "db/ledger/payments.py",
        "    if payment.status not in UNPAID:\n        if find_stop",
        "    if False:\n        if find_stop",
        "test_ledger.py::test_a_recovered_payment_does_not_fail_again",
    ),
    Guard(
        3,
        "a claim is exclusive",
        "db/ledger/claims.py",
        "    .limit(1)\n    .with_for_update(skip_locked=True)\n",
        "    .limit(1)\n",
        "test_retries.py::test_one_of_two_connections_claims_a_payment_and_the_other_finds_nothing",
    ),
    Guard(
        3,
        "the last look before the charge",
        "db/ledger/claims.py",
        "        or payment.status is not PaymentStatus.PENDING_RETRY\n",
        "",
        "test_retries.py::test_a_payment_that_is_paid_or_stopped_while_we_ask_is_not_charged",
    ),
    Guard(
        3,
        "a lapsed lease does not charge",
        "db/ledger/claims.py",
        "        or claim.until <= now\n",
        "",
        "test_retries.py::test_a_daemon_that_slept_past_its_lease_does_not_charge",
    ),
    Guard(
        3,
        "a charge carries its attempt's key",
        "whop/client.py",
        '{"Idempotency-Key": key}',
        "{}",
        "test_retries.py::test_an_outcome_that_stays_unknown_is_never_charged_under_a_new_key",
    ),
    Guard(
        3,
        "a paid payment is not charged",
        "daemon/verdicts.py",
        "    sent = claim.sent_at is not None\n    if payment.paid:\n",
        "    sent = claim.sent_at is not None\n    if False:\n",
        "test_retries.py::test_a_paid_payment_is_not_charged_whatever_else_whop_says",
        second=True,
    ),
    Guard(
        3,
        "what is not retryable is not charged",
        "daemon/verdicts.py",
        "    if is_stopped(payment):\n",
        "    if False:\n",
        "test_retries.py::test_a_stopped_payment_is_not_even_asked_to_be_charged",
        second=True,
    ),
    Guard(
        3,
        "forbidden declines are not charged",
        "recovery/retry_policy.py",
        "    if situation.decline_class in NEVER_CHARGED_AGAIN:\n",
        "    if False:\n",
        "test_retries.py::test_it_never_charges_again_where_that_is_forbidden",
    ),
    Guard(
        3,
        "what has become forbidden is not charged",
        "db/ledger/claims.py",
        "        or payments.is_forbidden(session, payment, now, rules)\n",
        "",
        "test_retries.py::test_a_decline_that_forbids_charging_is_seen_just_before_the_charge",
    ),
    Guard(
        3,
        "a disputing member is not charged",
        "db/ledger/claims.py",
        "    if payment.status in UNPAID and disputes.is_disputing(session, payment):\n",
        "    if False:\n",
        "test_stops.py::test_a_later_failure_of_a_disputing_member_is_not_charged",
    ),
    Guard(
        3,
        "an attempt is repeated only under the key to Whop that it was sent with",
        "daemon/verdicts.py",
        " and claim.sent_with == credential",
        "",
        "test_faults.py::test_an_unknown_charge_is_not_repeated_under_another_key_of_ours",
    ),
    Guard(
        4,
        "no answer concludes nothing",
        "daemon/verdicts.py",
        "    if isinstance(error, NoAnswerError) or claim.sent_at is not None:\n"
        "        return Conclusion(AttemptOutcome.UNKNOWN",
        "    if isinstance(error, NoAnswerError) or claim.sent_at is not None:\n"
        "        return Conclusion(AttemptOutcome.DECLINED",
        "test_retries.py::test_an_unknown_outcome_is_settled_by_asking_and_charged_once",
    ),
    Guard(
        5,
        "Whop is called outside the transaction",
        "daemon/retries.py",
        "            claim = take(session, self.clock())\n",
        "            claim = take(session, self.clock())\n"
        "            claim is None or self.whop.get_payment(claim.payment_id, claim.company_id)\n",
        "test_retries.py::test_no_call_to_whop_is_made_inside_a_transaction",
    ),
    Guard(
        6,
        "figures are one company's",
        "db/reporting/rollup.py",
        "        on company_id = :company_id and failed_at >= since",
        "        on failed_at >= since",
        "test_receiver.py::test_one_company_never_sees_anothers_rows",
    ),
    Guard(
        6,
        "the list is one company's",
        "db/reporting/search.py",
        "query.where(Payment.company_id == company_id, *choose_status(filters.which))",
        "query.where(*choose_status(filters.which))",
        "test_receiver.py::test_one_company_never_sees_anothers_rows",
    ),
    Guard(
        6,
        "an event cannot reach another company's payment",
        "db/ledger/payments.py",
        "    if report.company_id != payment.company_id:\n"
        '        raise WrongCompanyError(f"{payment.payment_id} belongs to another company")\n'
        "    attempt =",
        "    attempt =",
        "test_receiver.py::test_one_poison_event_does_not_spoil_those_beside_it",
    ),
    Guard(
        6,
        "what is read back changes only its own company's payments",
        "db/ledger/sync.py",
        "        if payment is not None and payment.company_id == company_id:\n"
        "            payments.hear",
        "        if payment is not None:\n            payments.hear",
        "test_reconcile.py::test_a_payment_that_another_company_owns_is_left_alone",
    ),
    Guard(
        7,
        "a mail is on disk as sending before it leaves",
        "db/member_messages/queue.py",
        "            message.state, message.sending_at = MessageState.SENDING, now\n",
        "",
        "test_messages.py::test_the_mail_is_on_disk_as_sending_before_it_leaves",
    ),
    Guard(
        7,
        "an interrupted mail is given up",
        "daemon/messages.py",
        "settle_unknown(session, outbox.give_up_interrupted(session, self.clock()))\n",
        "pass\n",
        "test_messages.py::test_a_mail_interrupted_while_sending_is_never_sent_again",
    ),
    Guard(
        8,
        "log lines are masked",
        "db/logs.py",
        "        text = pattern.sub(replacement, text)\n",
        "        pass\n",
        "test_logs.py::test_no_formatter_lets_it_through",
    ),
    Guard(
        8,
        "database errors do not quote rows",
        "db/session.py",
        "        hide_parameters=True,\n",
        "",
        "test_logs.py::test_a_database_error_does_not_quote_its_parameters",
    ),
    Guard(
        9,
        "rules are told the time",
        "recovery/retry_policy.py",
        "    earliest = max(situation.last_charge_at + settings.interval, now)\n",
        "    earliest = max(situation.last_charge_at, datetime.now(now.tzinfo))\n",
        "test_policy.py::test_no_rule_reads_the_clock",
    ),
    Guard(
        10,
        "a signed event that cannot be read is kept",
        "webhook/routes.py",
        "        if event.error is None or proven:\n",
        "        if event.error is None:\n",
        "test_receiver.py::test_a_signed_event_that_makes_no_sense_is_kept_with_its_error",
    ),
    Guard(
        10,
        "one bad event does not spoil its batch",
        "webhook/inbox.py",
        "        return [outcome for event in batch for outcome in self.record_all([event])]\n",
        "        return [error] * len(batch)\n",
        "test_receiver.py::test_one_poison_event_does_not_spoil_those_beside_it",
    ),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for name in CODE:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.parametrize("guard", GUARDS, ids=[f"{g.invariant}: {g.what}" for g in GUARDS])
def test_the_test_fails_when_the_line_is_gone(copy: Path, guard: Guard, postgres: Server):
    taken_out = [(copy / guard.file, guard.line, guard.instead)]
    if guard.second:
        taken_out.append((copy / SECOND[0], SECOND[1], ""))
    wholes = {path: path.read_text() for path, _, _ in taken_out}
    for path, line, instead in taken_out:
        assert wholes[path].count(line) == 1, f"{path.name} no longer has this line"
        path.write_text(wholes[path].replace(line, instead))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", f"tests/{guard.test}"],
            cwd=copy,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "TEST_POSTGRES": str(postgres.data)},
            capture_output=True,
            text=True,
        )
    finally:
        for path, whole in wholes.items():
            path.write_text(whole)
    assert done.returncode == 1, done.stdout[-2000:]
    assert "failed" in done.stdout.splitlines()[-1]


def test_every_invariant_is_guarded_and_documented():
    page = (ROOT / "docs/invariants.md").read_text()
    assert {guard.invariant for guard in GUARDS} == set(range(1, 11))
    for guard in GUARDS:
        assert guard.test.split("::")[1] in page, guard.test
