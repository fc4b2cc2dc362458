"""What test_invariants.py breaks: each marked guard in three ways, and the test that then fails.

A guard is taken out (the condition is never met, the statement does nothing, the line is gone),
inverted (the condition holds where it did not), and widened (it lets through, or seizes, more than
it should: a wider comparison, a part dropped). What is marked is not always a condition: `means`
then says what stands for the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Way = Literal["taken out", "inverted", "widened"]


@dataclass(frozen=True)
class Change:
    """`instead`: as for `tests.marks.change`. `test`: which notices it, if not the guard's own."""

    instead: str | tuple[str, str] | None
    test: str | None = None


@dataclass(frozen=True)
class Guard:
    # `invariant` number and words, as in the code.
    mark: str
    test: str
    inverted: Change
    widened: Change
    taken_out: Change = Change(None)
    # Of what is no condition: how it is inverted and widened.
    means: str | None = None
    # A second mark that keeps it as well, taken out with it.
    also: str | None = None

    @property
    def invariant(self) -> int:
        return int(self.mark.split(":")[0])


@dataclass(frozen=True)
class Mutant:
    guard: Guard
    way: Way
    change: Change

    @property
    def name(self) -> str:
        return f"{self.way}: {self.guard.mark}"

    @property
    def test(self) -> str:
        return self.change.test or self.guard.test


def list_mutants() -> Iterator[Mutant]:
    for guard in GUARDS:
        yield Mutant(guard, "taken out", guard.taken_out)
        yield Mutant(guard, "inverted", guard.inverted)
        yield Mutant(guard, "widened", guard.widened)


HEARD = "3: what was just read is heard before the charge"
NEGATE = Change("not (…)")
GUARDS = [
    Guard(
        "1: 200 only after the commit",
        "test_receiver.py::test_a_payment_is_visible_to_the_read_that_follows_its_200",
        Change("if event.error is not None:\n    await waiting.stored"),
        Change(
            "await asyncio.wait([waiting.stored])",
            "test_receiver.py::test_a_redelivered_poison_event_is_refused_again",
        ),
        means="it waits for what makes nothing visible; it waits, and 200 is said of any outcome",
    ),
    Guard(
        "2: an older report is not the newest word",
        "test_ledger.py::test_an_older_report_does_not_overwrite_a_newer_one",
        Change((" > ", " < ")),
        Change(
            (" > ", " >= "), "test_ledger.py::test_a_second_report_from_the_same_moment_is_no_news"
        ),
        Change("newer = True"),
    ),
    Guard(
        "2: what came before its payment waits for it",
        "test_receiver.py::test_a_success_that_overtakes_its_failure_is_not_forgotten",
        Change(("created.awaited", "created.payments - created.awaited")),
        Change(
            ("created.awaited", "set(sorted(created.awaited)[:1])"),
            "test_ledger.py::test_whatever_waits_for_several_payments_is_applied_with_them",
        ),
        means="those for which nothing waits; the first alone",
    ),
    Guard(
        "2: one payment's events are applied one after the other",
        "test_ledger.py::test_two_transactions_that_hear_of_one_payment_do_not_lose_it",
        Change(("hashtextextended(id, 0)", "pg_backend_pid()")),
        Change(("xact_lock(", "xact_lock_shared(")),
        Change('LOCK_ALL = "select count(*) from unnest($locked) as id"'),
        means="each locks another thing; a lock that many may have",
    ),
    Guard(
        "2: a recovered payment does not fail again",
        "test_ledger.py::test_a_recovered_payment_does_not_fail_again",
        NEGATE,
        Change("… | {PaymentStatus.RECOVERED}"),
    ),
    Guard(
        "3: a claim is exclusive",
        "test_retries.py::test_one_of_two_connections_claims_a_payment_and_the_other_finds_nothing",
        Change(("skip_locked=True", "nowait=True")),
        Change(("skip_locked=True", "read=True, key_share=True, skip_locked=True")),
        means="it fails where another has it; a lock that many may have",
    ),
    Guard(
        "3: the last look before the charge",
        "test_retries.py::test_a_payment_that_is_paid_or_stopped_while_we_ask_is_not_charged",
        Change((" is not ", " is ")),
        Change("or payment.status is PaymentStatus.RECOVERED"),
    ),
    Guard(
        "3: a lapsed lease does not charge",
        "test_retries.py::test_a_daemon_that_slept_past_its_lease_does_not_charge",
        Change((" <= ", " > ")),
        Change((" <= ", " < ")),
    ),
    Guard(
        "3: a charge carries its attempt's key",
        "test_retries.py::test_an_outcome_that_stays_unknown_is_never_charged_under_a_new_key",
        Change('headers={"Idempotency-Key": f"{key} {time.monotonic()}"},'),
        Change('headers={"Idempotency-Key": payment_id},'),
        Change("headers={},"),
        means="each call has a key of its own; all attempts have one key",
    ),
    Guard(
        HEARD,
        "test_retries.py::test_a_decline_that_forbids_charging_is_seen_just_before_the_charge",
        Change(
            "if sending.before.observed_at <= payment.observed_at:\n"
            "    payment_reports.apply_report(session, payment, sending.before, now, rules)"
        ),
        Change(
            "if sending.before.paid:\n"
            "    payment_reports.apply_report(session, payment, sending.before, now, rules)"
        ),
        means="it is heard unless it is news; it is heard where it says paid",
    ),
    Guard(
        "3: a paid payment is not charged",
        "test_retries.py::test_a_paid_payment_is_not_charged_whatever_else_whop_says",
        NEGATE,
        Change("… and payment.retryable is False"),
        also=HEARD,
    ),
    Guard(
        "3: what is not retryable is not charged",
        "test_retries.py::test_a_stopped_payment_is_not_even_asked_to_be_charged",
        NEGATE,
        Change(
            "not payment.retryable",
            "test_retries.py::test_a_decline_that_forbids_charging_is_seen_just_before_the_charge",
        ),
        also=HEARD,
    ),
    Guard(
        "3: forbidden declines are not charged",
        "test_retries.py::test_it_never_charges_again_where_that_is_forbidden",
        NEGATE,
        Change(
            "… - MEMBER_CAN_FIX",
            "test_policy.py::test_what_is_never_charged_again_is_charged_by_no_policy_and_no_click",
        ),
    ),
    Guard(
        "3: what has become forbidden is not charged",
        "test_retries.py::test_a_decline_that_forbids_charging_is_seen_just_before_the_charge",
        Change(("or payments", "or not payments")),
        Change(("or ", "or claim.trigger is Trigger.CREATOR and ")),
    ),
    Guard(
        "3: no later answer lifts a ban",
        "test_card_bans.py::test_no_later_answer_lifts_it",
        NEGATE,
        Change("(…) and told is None"),
    ),
    Guard(
        "3: bans are looked up whenever a charge is decided on",
        "test_card_bans.py::test_an_open_payment_hears_of_a_later_ban",
        Change(("decline = ", "decline = None if payment.next_retry_at else ")),
        Change(("decline = ", "decline = None if payment.retry_count else ")),
        Change("decline = None"),
        means="only where no charge is planned; only before the first try",
    ),
    Guard(
        "3: a card that has been banned meanwhile is not claimed",
        "test_card_bans.py::test_a_payment_whose_card_was_banned_meanwhile_is_not_claimed",
        NEGATE,
        Change("… and payment.next_trigger is Trigger.CREATOR"),
    ),
    Guard(
        "3: nor is another card that must not be charged either",
        "test_card_bans.py::test_a_backup_card_that_is_banned_at_the_last_moment_is_not_charged",
        Change((" and ", " and not ")),
        Change(
            "or sending.backup_card",
            "test_backup_card.py::test_it_pays_where_the_card_on_file_cannot",
        ),
    ),
    Guard(
        "3: a banned card is not charged in another's place either",
        "test_card_bans.py::test_a_banned_card_is_not_chosen_as_the_backup",
        Change((" is not ", " is ")),
        Change("banned = bool(bans)"),
        Change("banned = False"),
    ),
    Guard(
        "3: an attempt is repeated only under the key to Whop that it was sent with",
        "test_faults.py::test_an_unknown_charge_is_not_repeated_under_another_key_of_ours",
        Change(("== credential", "!= credential")),
        Change(("== credential", "is not None")),
        Change("repeatable = claim.charge_method is ChargeMethod.RETRY"),
    ),
    Guard(
        "4: no answer concludes nothing",
        "test_retries.py::test_an_unknown_outcome_is_settled_by_asking_and_charged_once",
        NEGATE,
        Change(
            "isinstance(error, NoAnswerError)",
            "test_retries.py::test_what_was_sent_before_stays_unknown_though_nothing_was_sent_now",
        ),
    ),
    Guard(
        "5: Whop is called outside the transaction",
        "test_retries.py::test_no_call_to_whop_is_made_inside_a_transaction",
        Change("claim = claim_next((left_open := self.sessions()), self.clock())"),
        Change(
            "claim = claim_next(session, self.clock())\n"
            "session.commit()\n"
            "claim is None or session.connection() and self.run_attempt(claim)"
        ),
        Change(
            "claim = claim_next(session, self.clock())\n"
            "claim is None or self.whop.get_payment(claim.payment_id, claim.company_id)"
        ),
        means="a transaction is left open over the call; another is begun before it",
    ),
    Guard(
        "6: figures are one company's",
        "test_receiver.py::test_one_company_never_sees_anothers_rows",
        Change(
            ("company_id = ", "company_id <> "),
            "test_figures.py::test_the_summary_is_what_the_rows_add_up_to",
        ),
        Change(("company_id = :company_id", "left(company_id, 4) = left(:company_id, 4)")),
        Change("on failed_at >= since and failed_at < until"),
    ),
    Guard(
        "6: the list is one company's",
        "test_receiver.py::test_one_company_never_sees_anothers_rows",
        Change((" == ", " != ")),
        Change(
            ("Payment.company_id == company_id", "Payment.company_id.startswith(company_id[:4])")
        ),
        Change("query = query.where(*choose_status(filters.which))"),
    ),
    Guard(
        "6: an event cannot reach another company's payment",
        "test_receiver.py::test_one_poison_event_does_not_spoil_those_beside_it",
        NEGATE,
        Change("report.company_id[:4] != payment.company_id[:4]"),
    ),
    Guard(
        "6: an event agrees with all that left with its email",
        "test_event_matching.py::test_one_word_that_differs_makes_it_another_mails",
        NEGATE,
        Change("report.sent_along.message_id != ours.message_id"),
    ),
    Guard(
        "6: what is read back changes only its own company's payments",
        "test_reconcile.py::test_a_payment_that_another_company_owns_is_left_alone",
        Change("payment is not None and payment.company_id != company_id"),
        Change("payment is not None and payment.company_id[:4] == company_id[:4]"),
        Change("payment is not None"),
    ),
    Guard(
        "7: an email is on disk as sending before it leaves",
        "test_messages.py::test_the_mail_is_on_disk_as_sending_before_it_leaves",
        Change(("SENDING", "QUEUED")),
        Change(("SENDING", "SENT")),
        means="it stays queued; it is said to be sent before it is",
    ),
    Guard(
        "7: an interrupted email is never sent again",
        "test_messages.py::test_a_mail_interrupted_while_sending_is_never_sent_again",
        Change(
            "from sqlalchemy import text\n"
            "again = \"update messages set state = 'queued' where state = 'sending'\"\n"
            "session.execute(text(again))"
        ),
        Change(
            ("self.clock()", "self.clock().replace(year=9999)"),
            "test_messages.py::test_a_mail_interrupted_before_it_was_to_leave_is_sent_by_the_next_daemon",
        ),
        means="it is queued again; those that are being sent at this moment are given up too",
    ),
    Guard(
        "8: log lines are masked",
        "test_logs.py::test_no_formatter_lets_it_through",
        Change("text = text if pattern.search(text) else replacement"),
        Change(
            ("text)", "text, count=1)"),
            "test_logs.py::test_of_several_in_one_line_none_gets_through",
        ),
        means="what needs no mask is masked; the first of each kind is",
    ),
    Guard(
        "8: database errors do not quote rows",
        "test_logs.py::test_a_database_error_does_not_quote_its_parameters",
        Change("hide_parameters=False,"),
        Change("hide_parameters=ask_first,"),
        means="they quote them; some processes do",
    ),
    Guard(
        "9: rules are told the time",
        "test_policy.py::test_no_rule_reads_the_clock",
        Change(("max", "min"), "test_policy.py::test_the_hourly_policy_charges_as_often_as_it_may"),
        Change(
            "earliest = context.last_charge_at + rules.interval",
            "test_policy.py::test_the_hourly_policy_charges_as_often_as_it_may",
        ),
        Change("earliest = max(context.last_charge_at, datetime.now(now.tzinfo))"),
        means="the earlier of the two; whatever the time is",
    ),
    Guard(
        "10: a signed event that cannot be read is kept",
        "test_receiver.py::test_a_signed_event_that_makes_no_sense_is_kept_with_its_error",
        NEGATE,
        Change("True", "test_receiver.py::test_an_unsigned_event_that_makes_no_sense_is_not_kept"),
        Change("event.error is None"),
    ),
    Guard(
        "10: one bad event does not spoil its batch",
        "test_receiver.py::test_one_poison_event_does_not_spoil_those_beside_it",
        Change("return [None] * len(batch)"),
        Change("return [self.record_poison(event, error) for event in batch]"),
        Change("return [error] * len(batch)"),
        means="none of them is refused, and none stored; all of them are kept as bad",
    ),
    Guard(
        "11: an older word does not undo a newer one",
        "test_standing.py::test_in_whatever_order_words_are_heard_the_newest_stays",
        Change(("max(", "min(")),
        Change("newest = max(known, told, key=lambda one: one.observed_at)"),
        Change("newest = told"),
    ),
    Guard(
        "11: an older word about a dispute does not undo a newer one",
        "test_facts.py::test_an_older_word_about_a_dispute_is_no_news",
        Change((" > ", " < ")),
        Change(
            ("told > known", "told[0] >= known[0]"),
            "test_facts.py::test_of_two_words_about_a_dispute_from_one_time_the_stricter_stays",
        ),
        Change("newest = report"),
    ),
    Guard(
        "11: a payment on hold is not charged",
        "test_standing.py::test_a_payment_on_hold_is_charged_by_no_policy_and_with_no_card",
        NEGATE,
        Change("… and context.declined_retries"),
    ),
    Guard(
        "11: what was heard before the payment is looked at",
        "test_facts.py::test_a_failure_that_is_heard_after_the_end_is_closed_at_once",
        Change(("renewal <> 'continues' or", "renewal = 'continues' and not")),
        Change(("renewal <> 'continues' or paused", "paused")),
        Change("FACTS = BANS"),
    ),
    Guard(
        "11: facts are looked at by claims",
        "test_facts.py::test_a_claim_looks_at_what_nobody_has_reviewed",
        Change(
            "if payment.claimed_until is not None:\n"
            "    reviews.review(session, payment, now, rules)"
        ),
        Change(
            "if payment.next_trigger is Trigger.CREATOR:\n"
            "    reviews.review(session, payment, now, rules)"
        ),
        means="where a claim has lapsed; where the creator asks for the charge",
    ),
    Guard(
        "11: facts are looked at just before the charge",
        "test_facts.py::test_the_last_look_before_the_charge_is_at_the_facts",
        Change("if attempt.sent_at is not None:\n    reviews.review(session, payment, now, rules)"),
        Change(
            "if sending.backup_card is not None:\n    reviews.review(session, payment, now, rules)"
        ),
        means="where it is charged a second time; where another card is charged",
    ),
    Guard(
        "11: facts are looked at just before a message",
        "test_facts.py::test_the_last_look_before_a_message_is_at_the_facts",
        Change(
            "from recovery.standing import Standing\n"
            "standing = Standing(None, find_standing(session, payment).hold)"
        ),
        Change(
            "from recovery.standing import Standing\n"
            "standing = Standing(find_standing(session, payment).closed_reason)"
        ),
        Change("from recovery.standing import COLLECTED as standing"),
        means="holds alone are heeded; ends alone are",
    ),
]
MUTANTS = list(list_mutants())


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many were noticed."""
    tried = {
        outcome: sum("the_guard_is_broken" in report.nodeid for report in reports)
        for outcome, reports in terminalreporter.stats.items()
        if outcome in ("passed", "failed")
    }
    if total := sum(tried.values()):
        noticed = tried.get("passed", 0)
        terminalreporter.write_line(
            f"mutants: {noticed} of {total} noticed; {len(MUTANTS)} in all, of {len(GUARDS)} guards"
        )
