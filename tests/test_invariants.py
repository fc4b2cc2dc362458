"""The invariants of docs/developers/invariants.md: a line holds each, a test guards each line.

The line carries a mark (tests/marks.py). It is taken out of a copy of the code, and the test that
guards it must then fail. A test that cannot fail would be worth nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.embedded import Server
from tests.marks import find_marks, take_out

ROOT = Path(__file__).parent.parent
PRODUCT = ("recovery", "db", "mail", "whop", "webhook", "daemon", "dashboard")
CODE = (*PRODUCT, "sandbox", "tests")


@dataclass(frozen=True)
class Guard:
    # `invariant` number and words, as in the code.
    mark: str
    test: str
    # Of what is marked; None: it is taken out.
    instead: str | None = None
    # A second mark that keeps it as well, taken out with it.
    also: str | None = None

    @property
    def invariant(self) -> int:
        return int(self.mark.split(":")[0])


HALF_WRITTEN = shutil.ignore_patterns("*.pyc.*")
HEARD = "3: what was just read is heard before the charge"
GUARDS = [
    Guard(
        "1: 200 only after the commit",
        "test_receiver.py::test_a_payment_is_visible_to_the_read_that_follows_its_200",
    ),
    Guard(
        "2: an older report is not the newest word",
        "test_ledger.py::test_an_older_report_does_not_overwrite_a_newer_one",
        "newer = True",
    ),
    Guard(
        "2: what came before its payment waits for it",
        "test_receiver.py::test_a_success_that_overtakes_its_failure_is_not_forgotten",
    ),
    Guard(
        "2: one payment's events are applied one after the other",
        "test_ledger.py::test_two_transactions_that_hear_of_one_payment_do_not_lose_it",
        'LOCK = "id"',
    ),
    Guard(
        "2: a recovered payment does not fail again",
        "test_ledger.py::test_a_recovered_payment_does_not_fail_again",
    ),
    Guard(
        "3: a claim is exclusive",
        "test_retries.py::test_one_of_two_connections_claims_a_payment_and_the_other_finds_nothing",
    ),
    Guard(
        "3: the last look before the charge",
        "test_retries.py::test_a_payment_that_is_paid_or_stopped_while_we_ask_is_not_charged",
    ),
    Guard(
        "3: a lapsed lease does not charge",
        "test_retries.py::test_a_daemon_that_slept_past_its_lease_does_not_charge",
    ),
    Guard(
        "3: a charge carries its attempt's key",
        "test_retries.py::test_an_outcome_that_stays_unknown_is_never_charged_under_a_new_key",
        "headers={},",
    ),
    Guard(
        HEARD,
        "test_retries.py::test_a_decline_that_forbids_charging_is_seen_just_before_the_charge",
    ),
    Guard(
        "3: a paid payment is not charged",
        "test_retries.py::test_a_paid_payment_is_not_charged_whatever_else_whop_says",
        also=HEARD,
    ),
    Guard(
        "3: what is not retryable is not charged",
        "test_retries.py::test_a_stopped_payment_is_not_even_asked_to_be_charged",
        also=HEARD,
    ),
    Guard(
        "3: forbidden declines are not charged",
        "test_retries.py::test_it_never_charges_again_where_that_is_forbidden",
    ),
    Guard(
        "3: what has become forbidden is not charged",
        "test_retries.py::test_a_decline_that_forbids_charging_is_seen_just_before_the_charge",
    ),
    Guard(
        "3: no later answer lifts a ban",
        "test_card_bans.py::test_no_later_answer_lifts_it",
    ),
    Guard(
        "3: bans are looked up whenever a charge is decided on",
        "test_card_bans.py::test_an_open_payment_hears_of_a_later_ban",
        "decline = None",
    ),
    Guard(
        "3: a card that has been banned meanwhile is not claimed",
        "test_card_bans.py::test_a_payment_whose_card_was_banned_meanwhile_is_not_claimed",
    ),
    Guard(
        "3: nor is another card that must not be charged either",
        "test_card_bans.py::test_a_backup_card_that_is_banned_at_the_last_moment_is_not_charged",
    ),
    Guard(
        "3: a banned card is not charged in another's place either",
        "test_card_bans.py::test_a_banned_card_is_not_chosen_as_the_backup",
        "banned = False",
    ),
    Guard(
        "3: an attempt is repeated only under the key to Whop that it was sent with",
        "test_faults.py::test_an_unknown_charge_is_not_repeated_under_another_key_of_ours",
        "repeatable = claim.charge_method is ChargeMethod.RETRY",
    ),
    Guard(
        "4: no answer concludes nothing",
        "test_retries.py::test_an_unknown_outcome_is_settled_by_asking_and_charged_once",
        "return Conclusion(AttemptOutcome.DECLINED, detail=str(error))",
    ),
    Guard(
        "5: Whop is called outside the transaction",
        "test_retries.py::test_no_call_to_whop_is_made_inside_a_transaction",
        "claim = claim_next(session, self.clock())\n"
        "claim is None or self.whop.get_payment(claim.payment_id, claim.company_id)",
    ),
    Guard(
        "6: figures are one company's",
        "test_receiver.py::test_one_company_never_sees_anothers_rows",
        "on failed_at >= since and failed_at < until",
    ),
    Guard(
        "6: the list is one company's",
        "test_receiver.py::test_one_company_never_sees_anothers_rows",
        "query = query.where(*choose_status(filters.which))",
    ),
    Guard(
        "6: an event cannot reach another company's payment",
        "test_receiver.py::test_one_poison_event_does_not_spoil_those_beside_it",
    ),
    Guard(
        "6: an event agrees with all that left with its email",
        "test_event_matching.py::test_one_word_that_differs_makes_it_another_mails",
    ),
    Guard(
        "6: what is read back changes only its own company's payments",
        "test_reconcile.py::test_a_payment_that_another_company_owns_is_left_alone",
        "payment is not None",
    ),
    Guard(
        "7: an email is on disk as sending before it leaves",
        "test_messages.py::test_the_mail_is_on_disk_as_sending_before_it_leaves",
    ),
    Guard(
        "7: an interrupted email is never sent again",
        "test_messages.py::test_a_mail_interrupted_while_sending_is_never_sent_again",
    ),
    Guard(
        "8: log lines are masked",
        "test_logs.py::test_no_formatter_lets_it_through",
    ),
    Guard(
        "8: database errors do not quote rows",
        "test_logs.py::test_a_database_error_does_not_quote_its_parameters",
    ),
    Guard(
        "9: rules are told the time",
        "test_policy.py::test_no_rule_reads_the_clock",
        "earliest = max(context.last_charge_at, datetime.now(now.tzinfo))",
    ),
    Guard(
        "10: a signed event that cannot be read is kept",
        "test_receiver.py::test_a_signed_event_that_makes_no_sense_is_kept_with_its_error",
        "event.error is None",
    ),
    Guard(
        "10: one bad event does not spoil its batch",
        "test_receiver.py::test_one_poison_event_does_not_spoil_those_beside_it",
        "return [error] * len(batch)",
    ),
    Guard(
        "11: an older word does not undo a newer one",
        "test_standing.py::test_in_whatever_order_words_are_heard_the_newest_stays",
        "newest = told",
    ),
    Guard(
        "11: an older word about a dispute does not undo a newer one",
        "test_facts.py::test_an_older_word_about_a_dispute_is_no_news",
        "newest = report",
    ),
    Guard(
        "11: a payment on hold is not charged",
        "test_standing.py::test_a_payment_on_hold_is_charged_by_no_policy_and_with_no_card",
    ),
    Guard(
        "11: what was heard before the payment is looked at",
        "test_facts.py::test_a_failure_that_is_heard_after_the_end_is_closed_at_once",
        'CONCERNED = "false"',
    ),
    Guard(
        "11: facts are looked at by claims",
        "test_facts.py::test_a_claim_looks_at_what_nobody_has_reviewed",
    ),
    Guard(
        "11: facts are looked at just before the charge",
        "test_facts.py::test_the_last_look_before_the_charge_is_at_the_facts",
    ),
    Guard(
        "11: facts are looked at just before a message",
        "test_facts.py::test_the_last_look_before_a_message_is_at_the_facts",
        "from recovery.standing import COLLECTED as standing",
    ),
]


class Copy:
    """Of the code, in which a line may be missing, and an interpreter that is ready to run it."""

    def __init__(self, folder: Path, postgres: Server) -> None:
        self.folder, self.words = folder, folder / "words"
        for name in CODE:
            shutil.copytree(ROOT / name, folder / name, ignore=HALF_WRITTEN)
        shutil.copy(ROOT / "pyproject.toml", folder)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        self.warm = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"],
            cwd=folder,
            env=inherited | {"PYTHONDONTWRITEBYTECODE": "1", "TEST_POSTGRES": str(postgres.data)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, test: str) -> int:
        """pytest's exit code."""
        assert self.warm.stdin is not None
        assert self.warm.stdout is not None
        self.warm.stdin.write(f"tests/{test} {self.words}\n")
        self.warm.stdin.flush()
        return int(self.warm.stdout.readline())

    def close(self) -> None:
        assert self.warm.stdin is not None
        self.warm.stdin.close()

    @contextmanager
    def without(self, guard: Guard) -> Iterator[None]:
        changed: set[Path] = set()
        try:
            for mark, instead in ((guard.mark, guard.instead), (guard.also, None)):
                if mark is not None:
                    changed.add(path := self.find(mark))
                    path.write_text(take_out(path.read_text(), mark, instead))
            yield
        finally:
            for path in changed:
                shutil.copy2(ROOT / path.relative_to(self.folder), path)

    def find(self, mark: str) -> Path:
        return dict(find_marks([self.folder / name for name in PRODUCT]))[mark]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, migrated_engine: Engine, postgres: Server):
    copy = Copy(tmp_path_factory.mktemp("copy"), postgres)
    with copy.warm:
        yield copy
        copy.close()


@pytest.mark.parametrize("guard", GUARDS, ids=[guard.mark for guard in GUARDS])
def test_the_test_fails_when_the_line_is_gone(copy: Copy, guard: Guard):
    with copy.without(guard):
        code = copy.run(guard.test)
    words = copy.words.read_text()
    assert code == 1, words[-2000:]
    assert "failed" in words.splitlines()[-1]


def test_each_mark_has_one_guard_and_each_guard_one_mark():
    marks = [text for text, _ in find_marks([ROOT / name for name in PRODUCT])]
    assert sorted(marks) == sorted(guard.mark for guard in GUARDS)
    assert {guard.also for guard in GUARDS if guard.also} <= set(marks)


def test_every_invariant_is_guarded_and_documented():
    page = (ROOT / "docs/developers/invariants.md").read_text()
    assert {guard.invariant for guard in GUARDS} == set(range(1, 12))
    for guard in GUARDS:
        assert guard.test.split("::")[1] in page, guard.test
        assert guard.mark.split(": ", 1)[1] in page, guard.mark


CODE_WITH_MARKS = '''
def one(a):
    if (
        # invariant 1: half of a condition
        a
        or c
    ):  # a remark after it
        pass
    if a:  # invariant 1: a condition
        # a remark before the body
        return 1
    # invariant 2: a statement
    b = [
        1,
    ]
    c = (
        1
        + 2  # invariant 3: a line
        + 4
    )
    return f"""
        where x  -- invariant 4: a line of SQL
        -- invariant 5: the line below
        and y
    """
'''


@pytest.mark.parametrize(
    ("mark", "instead", "gone", "come"),
    [
        ("1: a condition", None, "    if a:  # invariant 1: a condition\n", "    if False:\n"),
        ("1: a condition", "not a", "    if a:  # invariant 1: a condition\n", "    if not a:\n"),
        ("1: half of a condition", "b", "        a\n", "        b\n"),
        ("2: a statement", None, "    b = [\n        1,\n    ]\n", "    pass\n"),
        (
            "2: a statement",
            "b = 2\nd = 3",
            "    b = [\n        1,\n    ]\n",
            "    b = 2\n    d = 3\n",
        ),
        ("3: a line", None, "        + 2  # invariant 3: a line\n", ""),
        ("3: a line", "+ 3", "        + 2  # invariant 3: a line\n", "        + 3\n"),
        ("4: a line of SQL", None, "        where x  -- invariant 4: a line of SQL\n", ""),
        ("5: the line below", "or y", "        and y\n", "        or y\n"),
    ],
)
def test_a_mark_means_the_statement_that_begins_there_or_the_line(mark, instead, gone, come):
    assert CODE_WITH_MARKS.count(gone) == 1
    assert take_out(CODE_WITH_MARKS, mark, instead) == CODE_WITH_MARKS.replace(gone, come)
