"""Anything may happen, in any order, and the books are right.

A state machine plays a creator's days at random: renewals that fail and succeed, Whop's own tries,
members who pay, cancel, pause, buy anew and dispute, banks that change their minds, refunds,
webhooks lost, doubled, late and replayed, a Whop that does not answer, a SendGrid that refuses, a
database that takes no writes, daemons that are killed, that meet, or that have an old key.
`tests/audit.py` says what must hold after every step and, once all has been read back, at the end.

The usual run is short and always the same; `make soak` makes a longer one (tests/soak.py).
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from db.company_settings.recovery import RecoverySettings, save_recovery_settings
from db.ledger import requests
from db.outages import DatabaseUnavailable
from db.session import session_factory
from recovery.retrying import policy as retry_policy
from recovery.retrying.context import RetryRules
from recovery.status import RequestKind
from sandbox.model.switches import Switches
from sandbox.servers.control import RULINGS
from sandbox.wire.mail_refusals import MAIL_REFUSALS
from tests.audit import Audit
from tests.databases import empty, take_writes
from tests.factories import COMPANY, NOW
from tests.rough_rig import Delivery, Killed, RoughRig
from tests.soak import SEED, at_length

EXAMPLES = at_length(30)
STEPS = 50 if SEED else 30
# What is paid later than a month after its window is no longer looked for.
LONGEST = timedelta(days=24)
A_WHILE = timedelta(days=8)

SWITCHES = st.builds(
    Switches,
    retry_limit=st.sampled_from((3, 1)),
    retryable_shows_limit=st.sampled_from((True, False)),
    retry_rearmed_by_whop_attempt=st.booleans(),
    retry_rearmed_by_card_change=st.booleans(),
    retry_uses_new_card=st.sampled_from((True, False)),
    retry_answers=st.sampled_from(("sync", "async")),
    retry_moves_next_attempt=st.booleans(),
    card_change_charges=st.sampled_from((True, False)),
    card_update_answers=st.sampled_from(("sync", "async")),
    card_update_charges=st.sampled_from(("oldest", "newest", "every")),
    unknown_card_status=st.sampled_from((400, 404, 422)),
    cancel_request_stops_retries=st.booleans(),
    pause_shown=st.sampled_from(("action", "filter")),
    pause_stops_retries=st.booleans(),
    whop_attempts_after_hours=st.sampled_from(((24, 48, 72, 96), (), (1.1, 26))),
    whop_cancels_after_days=st.sampled_from((5.0, None)),
    failed_webhook_for=st.sampled_from(("every_attempt", "first_only")),
    webhook_shape=st.sampled_from(("current", "legacy")),
    webhook_timing=st.sampled_from(("after_answer", "before_answer")),
    lapsed_payment=st.sampled_from(("open", "uncollectible", "void")),
    max_page=st.sampled_from((50, 2)),
)
SCRIPTS = (
    ("insufficient_funds", "paid"),
    ("insufficient_funds",),
    ("generic_decline", "insufficient_funds", "paid"),
    ("processing_error", "paid"),
    ("processing_error", "processing_error", "paid"),
    ("insufficient_funds", "pending:paid"),
    ("processing_error", "pending:insufficient_funds", "paid"),
    ("insufficient_funds", "processing_error", "blocked_by_cardholder", "paid"),
    ("expired_card",),
    ("stolen_card", "paid"),
    ("blocked_by_cardholder", "paid"),
    ("authentication_required", "paid"),
    # Banks that change their minds: a softer answer after a strict one, and the other way round.
    ("stolen_card", "generic_decline", "insufficient_funds", "paid"),
    ("closed_account", "processing_error", "paid"),
    ("expired_card", "insufficient_funds", "paid"),
    ("blocked_by_cardholder", "generic_decline", "paid"),
    ("insufficient_funds", "transaction_not_permitted", "generic_decline", "paid"),
    ("generic_decline", "lost_card", "try_again_later", "paid"),
)
SPARES: tuple[dict[str, tuple[str, ...]], ...] = (
    {},
    {"spare_script": ("paid",)},
    {"spare_script": ("insufficient_funds",)},
    {"spare_script": ("stolen_card", "generic_decline")},
)
OPERATIONS = (
    "payments.retry",
    "payments.retrieve",
    "payments.list",
    "memberships.update",
    "memberships.retrieve",
    "memberships.list",
    "disputes.list",
    "payment_methods.list",
    "refunds.list",
    "permissions.list",
    "mail.send",
    "*",
)
TROUBLES = ("timeout_before", "timeout_after", "500_after", "429", "500")
STEPS_OF_A_DAEMON = (
    "get_payment",
    "mark_sent",
    "retry_payment",
    "change_card",
    "conclude",
    "list_saved_cards",
    "list_payments",
    "list_refunds",
    "list_memberships",
    "list_disputes",
    "send",
)
BETWEEN_CALLS = (
    ("get_payment", False),
    ("get_payment", True),
    ("list_saved_cards", True),
    ("retry_payment", True),
    ("change_card", True),
    ("list_payments", True),
)
# Of members and of creators at Whop; those that do not fit how the payment stands do nothing.
ACTS = (
    "change_card",
    "renew_card",
    "cancel_membership",
    "cancel_at_period_end",
    "uncancel",
    "void",
    "mark_uncollectible",
    "pause",
    "resume",
    "buy_again",
    "dispute",
    "dispute_alert",
    "inquiry",
    *RULINGS,
)
OTHERS = ("cycle", "late cycle", "hours", "stop", "retry_now", "member_pays", *ACTS)


class RecoveryMachine(RuleBasedStateMachine):
    renewals = Bundle("renewals")

    def __init__(self, engine: Engine, folder: Path, tally: Counter[str]) -> None:
        super().__init__()
        self.tally = tally
        self.engine, self.sessions, self.folder = engine, session_factory(engine), folder
        self.numbers = itertools.count(1)

    @initialize(
        target=renewals,
        scripts=st.lists(st.sampled_from(SCRIPTS), min_size=2, max_size=4),
        switches=SWITCHES,
        rules=st.sampled_from((RetryRules(policy="hourly"), RetryRules(policy="smart"))),
        recovery_settings=st.builds(
            RecoverySettings, holdout_percent=st.sampled_from((0, 30)), backup_card=st.booleans()
        ),
        card_limit=st.sampled_from((15, 4)),
        seed=st.integers(1, 1000),
    )
    def begin(
        self,
        scripts: list[tuple[str, ...]],
        switches: Switches,
        rules: RetryRules,
        recovery_settings: RecoverySettings,
        card_limit: int,
        seed: int,
    ) -> Any:
        """A few renewals fail at once, so that there is work in every run."""
        self.audit = Audit(self.tally)
        self.rig = RoughRig(self.sessions, self.folder, self.audit, rules, seed)
        setattr(self.rig, "note_delivery", self.note_delivery)  # noqa: B010
        vars(self.rig.world.switches).update(vars(switches))
        self.audit.attend(self.rig)
        self.crew = self.rig.crew
        with self.sessions.begin() as session:
            save_recovery_settings(
                session, COMPANY, recovery_settings, "somebody", self.rig.clock.now
            )
        self.limits = mock.patch.multiple(
            retry_policy, CARD_LIMITS={"visa": card_limit}, STRICTEST_LIMIT=card_limit
        )
        self.limits.start()
        now = self.rig.clock.now
        return multiple(*(self.rig.world.fail_renewal(now, script=one) for one in scripts))

    def note_delivery(self, delivery: Delivery) -> None:
        self.rig.delivered.append(delivery)
        self.audit.note_delivery(delivery)

    def pass_time(self, by: timedelta) -> None:
        if self.rig.clock.now + by > NOW + LONGEST:
            by = timedelta(minutes=1)
        self.rig.pass_time(by / timedelta(hours=1))

    def work(self, job: Callable[[], Any]) -> None:
        """Nothing that the engine does not expect may happen to it."""
        done = job()
        assert getattr(done, "errors", 0) == 0
        self.audit.note_requests()
        self.rig.world.deliver_due(self.rig.clock.now)

    # --- renewals ------------------------------------------------------------------------------

    @rule(
        target=renewals,
        script=st.sampled_from((*SCRIPTS, None)),
        spare=st.sampled_from(SPARES),
        currency=st.sampled_from(("usd", "eur", "gbp")),
        method_type=st.sampled_from(("card", "card", "card", "sepa_debit", "cashapp")),
    )
    def a_renewal_fails(self, script: Any, spare: Any, currency: str, method_type: str) -> str:
        self.pass_time(timedelta(seconds=1))
        wanted = {"script": script} if script else {}
        return self.rig.world.fail_renewal(
            self.rig.clock.now,
            currency=currency,
            payment_method_type=method_type,
            **wanted,
            **spare,
        )

    @rule(target=renewals, earlier=renewals, script=st.sampled_from(SCRIPTS), fails=st.booleans())
    def a_member_renews_again(self, earlier: str, script: Any, fails: bool) -> str:
        self.pass_time(timedelta(seconds=1))
        store = self.rig.world.store
        membership = store.membership(store.payment(earlier).membership_id)
        if membership.status == "canceled" or membership.cancel_at_period_end:
            return earlier
        if membership.paused_at is not None:
            return earlier
        if not fails:
            return self.rig.world.renew(self.rig.clock.now, membership_id=membership.id)
        return self.rig.world.fail_renewal(
            self.rig.clock.now, membership_id=membership.id, script=script
        )

    @rule(target=renewals)
    def a_renewal_works(self) -> str:
        return self.rig.world.renew(self.rig.clock.now)

    # --- members and creators at Whop ----------------------------------------------------------

    @rule(payment_id=renewals)
    def the_member_pays(self, payment_id: str) -> None:
        self.pass_time(timedelta(seconds=1))
        self.rig.world.member_pays(payment_id, self.rig.clock.now)

    @rule(payment_id=renewals, act=st.sampled_from(ACTS))
    def somebody_acts(self, payment_id: str, act: str) -> None:
        self.pass_time(timedelta(seconds=1))
        self.act(payment_id, act)

    def act(self, payment_id: str, act: str) -> None:
        world = self.rig.world
        acts = {name: partial(world.rule_on_dispute, name) for name in RULINGS}
        with suppress(ValueError):
            (acts.get(act) or getattr(world, act))(payment_id, self.rig.clock.now)

    @rule(payment_id=renewals, share=st.sampled_from(("1", "0.5", "0.1")))
    def a_refund_is_given(self, payment_id: str, share: str) -> None:
        self.pass_time(timedelta(seconds=1))
        amount = self.rig.world.store.payment(payment_id).amount * Decimal(share)
        self.rig.world.refund(payment_id, self.rig.clock.now, amount.quantize(Decimal("0.01")))

    # --- time and work -------------------------------------------------------------------------

    @rule(minutes=st.integers(1, 36 * 60))
    def time_passes(self, minutes: int) -> None:
        self.pass_time(timedelta(minutes=minutes))

    @rule(reading=st.booleans())
    def a_cycle_runs(self, reading: bool) -> None:
        self.pass_time(timedelta(minutes=3))
        self.work((self.crew.reading if reading else self.crew.blind).run)

    @rule(hours=st.integers(1, 40), reading=st.booleans())
    def a_few_cycles_run(self, hours: int, reading: bool) -> None:
        for _ in range(3):
            self.pass_time(timedelta(hours=hours / 3))
            self.work((self.crew.reading if reading else self.crew.blind).run)
            self.work(self.crew.message_sender.send_due)

    @rule()
    def the_minutes_jobs_run(self) -> None:
        self.pass_time(timedelta(minutes=1))
        self.work(self.crew.message_sender.send_due)
        self.work(self.crew.reading.fulfil_requests)

    @rule(payment_id=renewals, kind=st.sampled_from((RequestKind.STOP, RequestKind.RETRY_NOW)))
    def the_creator_asks(self, payment_id: str, kind: RequestKind) -> None:
        self.ask(payment_id, kind)

    def ask(self, payment_id: str, kind: RequestKind) -> None:
        with suppress(requests.UnknownPaymentError), self.sessions.begin() as session:
            requests.ask(session, payment_id, kind, "creator", self.rig.clock.now, COMPANY)

    # --- trouble -------------------------------------------------------------------------------

    @rule(
        kind=st.sampled_from(("drop", "duplicate", "delay")),
        times=st.integers(1, 4),
        minutes=st.integers(1, 2 * 24 * 60),
    )
    def webhooks_go_astray(self, kind: Any, times: int, minutes: int) -> None:
        self.rig.world.faults.add("webhook", kind, times=times, seconds=minutes * 60)

    @rule(is_up=st.booleans())
    def the_receiver_goes_or_comes(self, is_up: bool) -> None:
        self.rig.receiver_is_up = is_up

    @precondition(lambda self: self.rig.delivered and self.rig.receiver_is_up)
    @rule(which=st.integers(0, 10_000), same_id=st.booleans())
    def a_delivery_comes_again(self, which: int, same_id: bool) -> None:
        delivery = self.rig.delivered[which % len(self.rig.delivered)]
        event_id = delivery.event_id if same_id else f"msg_again_{next(self.numbers)}"
        self.rig.deliver_again(delivery, event_id)

    @rule(
        operation=st.sampled_from(OPERATIONS),
        trouble=st.sampled_from(TROUBLES),
        times=st.sampled_from((1, 2, 4, 9)),
    )
    def whop_has_trouble(self, operation: str, trouble: Any, times: int) -> None:
        status: dict[str, Any] = {}
        kind: Any = trouble
        if trouble.isdigit():
            kind, status = "status", {"status": int(trouble), "seconds": 40}
        self.rig.world.faults.add(operation, kind, times=times, **status)

    @rule(refusal=st.sampled_from(("none", *MAIL_REFUSALS)))
    def sendgrid_refuses(self, refusal: Any) -> None:
        """All emails, because of the account or of their address; "none": no more."""
        self.rig.world.switches.mail_refusal = refusal

    @rule()
    def whop_recovers(self) -> None:
        self.rig.world.faults.clear()
        self.rig.world.switches.mail_refusal = "none"

    @rule(new=st.booleans(), restarted=st.booleans())
    def a_key_is_rotated(self, new: bool, restarted: bool) -> None:
        if new:
            self.rig.rotate_key(f"apik_{next(self.numbers)}")
        if restarted:
            self.crew = self.rig.hire(self.rig.whops_key)

    @rule(step=st.sampled_from(STEPS_OF_A_DAEMON), after=st.booleans(), minutes=st.integers(3, 90))
    def a_daemon_is_killed(self, step: str, after: bool, minutes: int) -> None:
        def kill() -> None:
            raise Killed

        self.pass_time(timedelta(minutes=minutes))
        proven = set(self.audit.answered)
        with suppress(Killed), self.crew.interrupted(step, after, kill):
            self.work(self.crew.reading.run)
            self.work(self.crew.message_sender.send_due)
            return
        self.audit.answered = proven
        self.rig.world.deliver_due(self.rig.clock.now)
        self.crew = self.rig.hire(self.rig.whops_key)

    @rule(step=st.sampled_from(STEPS_OF_A_DAEMON), after=st.booleans(), minutes=st.integers(3, 90))
    def the_database_takes_no_writes(self, step: str, after: bool, minutes: int) -> None:
        """From a step of the daemon's on, for as long as it goes on working. Nothing is restarted:
        the receiver answers 503 meanwhile."""
        was_up, proven = self.rig.receiver_is_up, set(self.audit.answered)

        def refuse() -> None:
            self.rig.receiver_is_up = False
            take_writes(self.engine.url, False)

        self.pass_time(timedelta(minutes=minutes))
        try:
            with (
                suppress(DBAPIError, DatabaseUnavailable),
                self.crew.interrupted(step, after, refuse),
            ):
                self.crew.reading.run()
                self.crew.message_sender.send_due()
        finally:
            take_writes(self.engine.url, True)
            self.rig.receiver_is_up = was_up
        self.audit.answered = proven
        self.audit.note_requests()
        self.rig.world.deliver_due(self.rig.clock.now)

    @rule(
        place=st.sampled_from(BETWEEN_CALLS),
        other=st.sampled_from(OTHERS),
        payment_id=renewals,
        hours=st.integers(1, 60),
    )
    def something_happens_between_two_calls(
        self, place: tuple[str, bool], other: str, payment_id: str, hours: int
    ) -> None:
        step, after = place
        second = self.rig.hire(self.rig.whops_key)

        def happen() -> None:
            if other == "hours":
                self.pass_time(timedelta(hours=3))
            elif other == "late cycle":
                self.pass_time(timedelta(minutes=3))
                self.work(second.reading.run)
            elif other == "cycle":
                self.work(second.reading.run)
            elif other in (RequestKind.STOP, RequestKind.RETRY_NOW):
                self.ask(payment_id, RequestKind(other))
                self.work(second.blind.fulfil_requests)
            else:
                self.act(payment_id, other)

        self.pass_time(timedelta(hours=hours))
        with self.crew.interrupted(step, after, happen):
            self.work(self.crew.reading.run)

    # --- what holds ----------------------------------------------------------------------------

    @invariant()
    def the_books_are_right(self) -> None:
        if hasattr(self, "audit"):
            self.tally["steps"] += 1
            self.audit.check()

    def teardown(self) -> None:
        if not hasattr(self, "audit"):
            return
        try:
            self.come_to_rest()
            self.audit.check()
            self.audit.check_totals()
            self.audit.count()
        finally:
            self.limits.stop()
            self.rig.world.store.close()
            empty(self.engine)

    def come_to_rest(self) -> None:
        """All works again, and the days pass in which everything has its end."""
        self.whop_recovers()
        self.rig.receiver_is_up = True
        self.crew = self.rig.hire(self.rig.whops_key)
        for _ in range(4):
            self.rig.pass_time(A_WHILE / 4 / timedelta(hours=1))
            self.work(self.crew.reading.run)
            self.work(self.crew.message_sender.send_due)
        self.rig.pass_time(0.1)
        self.work(self.crew.reading.run)


@pytest.mark.soak
def test_whatever_happens_the_books_agree_with_the_ledger(engine: Engine, tmp_path: Path):
    numbers, tally = itertools.count(), Counter[str]()

    def start() -> RecoveryMachine:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return RecoveryMachine(engine, folder, tally)

    run_state_machine_as_test(
        start,  # type: ignore[arg-type]  # whatever makes a machine will do
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
    if SEED:
        figures = sorted(tally.items())
        sys.stdout.writelines(f"\n{many:9,} {what}" for what, many in figures)
