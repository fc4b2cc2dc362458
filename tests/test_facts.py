"""Nobody is charged or written to who must not be, whenever and however it is heard: and who may
be, is.

A story is what happens to a member whose renewal fails. Each is told before the failure is known,
after it, just before the charge and just before the message; and its webhooks are heard, doubled,
late, in reverse, or lost.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import delete

from daemon.cycle import Cycle
from dashboard.text.payment_summary import summarize_payment
from dashboard.text.state import describe_state
from dashboard.text.timeline import list_entries
from db.ledger import facts, inbox
from db.models import Dispute, Membership
from db.reporting.next_steps import Viewpoint
from db.reporting.payment_detail import read_detail
from recovery.reports import DisputeReport, MembershipReport
from recovery.standing import Hold, Renewal
from recovery.status import Channel, ClosedReason, MessageState, PaymentStatus
from tests.factories import (
    COMPANY,
    HOUR,
    HOURLY,
    NOW,
    event,
    failing_at,
    get_payment,
    payment_data,
)
from tests.rig import Rig
from tests.test_ledger import read, record, wipe
from webhook.verification import read_delivery
from whop.signature import read_timestamp


@dataclass(frozen=True)
class Story:
    """What happens, on the open payment or (where it is a dispute) on an earlier, paid one.

    `closed`: by which end, though the story goes on: that is final once it is heard of an open
    payment. `held`, `over`: how it stands at the story's end.
    """

    acts: tuple[str, ...]
    over: ClosedReason | None = None
    held: Hold | None = None
    closed: ClosedReason | None = None

    @property
    def forbids(self) -> bool:
        return self.over is not None or self.held is not None


ENDED, CANCELED = ClosedReason.MEMBERSHIP_ENDED, ClosedReason.MEMBER_CANCELED
DISPUTED, ANEW = ClosedReason.DISPUTED, ClosedReason.BOUGHT_ANEW
STORIES = {
    "nothing happens": Story(()),
    "paused": Story(("pause",), held=Hold.PAUSED),
    "paused and resumed": Story(("pause", "resume")),
    "paused again": Story(("pause", "resume", "pause"), held=Hold.PAUSED),
    "canceled": Story(("cancel_at_period_end",), over=CANCELED),
    "canceled and renewed": Story(("cancel_at_period_end", "uncancel"), closed=CANCELED),
    "paused and canceled": Story(("pause", "cancel_at_period_end"), over=CANCELED),
    "ended": Story(("cancel_membership",), over=ENDED),
    "bought anew": Story(("buy_again",), over=ANEW),
    "disputed": Story(("dispute",), over=DISPUTED),
    "dispute reviewed": Story(("dispute", "under_review"), over=DISPUTED),
    "dispute lost": Story(("dispute", "lost"), over=DISPUTED),
    "dispute prevented": Story(("dispute", "prevented"), over=DISPUTED),
    "dispute won": Story(("dispute", "under_review", "won"), closed=DISPUTED),
    "inquiry": Story(("inquiry",), held=Hold.INQUIRY),
    "inquiry reviewed": Story(("inquiry", "warning_under_review"), held=Hold.INQUIRY),
    "inquiry closed": Story(("inquiry", "warning_closed")),
    "inquiry becomes a dispute": Story(("inquiry", "dispute"), over=DISPUTED),
    "inquiry becomes a dispute that is won": Story(("inquiry", "dispute", "won"), closed=DISPUTED),
}
RULINGS = {"under_review", "won", "lost", "prevented", "warning_under_review", "warning_closed"}
OF_DISPUTES = RULINGS | {"dispute", "inquiry"}
# The member is written to at once, and the hourly policy charges.
# The one is charged again within the hour, the other is written about at once.
CHARGED = ("insufficient_funds", "paid")
WRITTEN = ("authentication_required", "paid")


class Members(Rig):
    """One member for each story, so that all stories are told in one go."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.world.switches.whop_attempts_after_hours = ()
        self.paid = {name: self.world.renew(self.clock.now) for name in STORIES}
        self.failed: dict[str, str] = {}
        self.wait()
        self.reading = Cycle(
            self.sessions, self.cycle.retrier, self.clock, self.reconciler, workers=1
        )
        self.reading.run()

    def wait(self, seconds: float = 2) -> None:
        self.pass_time(seconds / 3600)

    def fail_all(self, script: tuple[str, ...] = CHARGED) -> None:
        for name, paid in self.paid.items():
            membership_id = self.world.store.payment(paid).membership_id
            self.failed[name] = self.fail(*script, membership_id=membership_id)
        self.wait()

    def tell(self, *names: str) -> None:
        for name in names or STORIES:
            for act in STORIES[name].acts:
                self.wait()
                self.do(name, act)

    def do(self, name: str, act: str) -> None:
        subject = (self.paid if act in OF_DISPUTES else self.failed)[name]
        if act in RULINGS:
            self.world.rule_on_dispute(act, subject, self.clock.now)
        else:
            getattr(self.world, act)(subject, self.clock.now)

    def assert_right(self, *, heard_open: bool) -> None:
        """`heard_open`: ends were heard while the payment was open, and those are final."""
        for name, story in STORIES.items():
            payment = self.payment(self.failed[name])
            charged = self.charges(self.failed[name]) != []
            told = (name, payment.status, payment.closed_reason, payment.hold)
            over = story.over or (story.closed if heard_open else None)
            assert charged is (over is None and story.held is None), told
            if over is not None:
                assert payment.closed_reason is over, told
            elif story.held is not None:
                assert (payment.status, payment.hold) == (PaymentStatus.FAILED, story.held), told

    def mailed(self) -> set[str]:
        """The stories about which an email has left."""
        return {
            name
            for name, payment_id in self.failed.items()
            if MessageState.SENT in [message.state for message in self.messages(payment_id)]
        }


ALLOWED = {name for name, story in STORIES.items() if not story.forbids}


@pytest.fixture
def rig(sessions, tmp_path) -> Members:
    return Members(sessions, tmp_path)


def lose_all(rig: Rig) -> None:
    rig.world.faults.add("webhook", "drop", times=None)


def double_all(rig: Rig) -> None:
    rig.world.faults.add("webhook", "duplicate", times=None)


def delay_all(rig: Rig) -> None:
    """None of them arrives in the order in which it was sent."""
    for seconds in itertools.islice(itertools.cycle((90, 10, 50, 30, 70)), 200):
        rig.world.faults.add("webhook", "delay", seconds=seconds)


def leave_be(rig: Rig) -> None:
    pass


HEARD: dict[str, Callable[[Rig], None]] = {
    "heard": leave_be,
    "doubled": double_all,
    "late": delay_all,
    "lost": lose_all,
}


def run_hours(rig: Members, hours: int = 3) -> None:
    for _ in range(hours):
        rig.pass_time(1)
        rig.reading.run()
        rig.world.deliver_due(rig.clock.now)


# --- before the payment is known ---------------------------------------------------------------


@pytest.mark.parametrize("how", HEARD)
def test_what_was_so_before_the_failure_is_known_is_heeded(rig: Members, how):
    rig.world.faults.add("webhook:payment.failed", "delay", seconds=600, times=len(STORIES))
    rig.fail_all()
    HEARD[how](rig)
    rig.tell()
    rig.world.faults.clear()
    rig.wait(900)
    if how != "lost":
        found = {name: rig.payment(rig.failed[name]) for name in STORIES}
        assert {name: one.closed_reason for name, one in found.items()} == {
            name: story.over for name, story in STORIES.items()
        }
        assert {name: one.hold for name, one in found.items()} == {
            name: story.held for name, story in STORIES.items()
        }
    run_hours(rig)
    rig.assert_right(heard_open=False)


@pytest.mark.parametrize("how", ["heard", "doubled", "late"])
def test_whom_it_was_known_of_before_the_failure_is_not_written_to(rig: Members, how):
    rig.world.faults.add("webhook:payment.failed", "delay", seconds=600, times=len(STORIES))
    rig.fail_all(WRITTEN)
    HEARD[how](rig)
    rig.tell()
    rig.world.faults.clear()
    rig.wait(900)
    rig.message_sender.send_due()
    assert rig.mailed() == ALLOWED


# --- while it is open --------------------------------------------------------------------------


@pytest.mark.parametrize("how", HEARD)
def test_what_becomes_so_while_a_payment_is_open_is_heeded(rig: Members, how):
    rig.fail_all()
    HEARD[how](rig)
    rig.tell()
    rig.wait(120)
    if how == "late":
        # What ended and went on again may be heard in either order: then an end may have closed it.
        run_hours(rig)
        charged = {name for name in STORIES if rig.charges(rig.failed[name])}
        undone = {name for name, story in STORIES.items() if story.closed}
        assert charged - undone == ALLOWED - undone
    else:
        run_hours(rig)
        rig.assert_right(heard_open=how != "lost")


# --- just before the charge --------------------------------------------------------------------


@pytest.mark.parametrize("how", ["heard", "doubled"])
def test_what_becomes_so_while_we_ask_whop_is_heeded(rig: Members, how):
    """After the claim, and after Whop has said that the payment may be charged."""
    rig.fail_all()
    HEARD[how](rig)
    ask = rig.cycle.retrier.whop.get_payment
    by_payment = {payment_id: name for name, payment_id in rig.failed.items()}

    def ask_and_tell(payment_id: str, company_id: str) -> Any:
        answer = ask(payment_id, company_id)
        rig.tell(by_payment.pop(payment_id)) if payment_id in by_payment else None
        return answer

    rig.pass_time(1)
    with mock.patch.object(rig.cycle.retrier.whop, "get_payment", ask_and_tell):
        rig.cycle.run()
    assert by_payment == {}
    run_hours(rig)
    rig.assert_right(heard_open=True)


# --- just before the message -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["heard", "lost"])
def test_what_becomes_so_while_a_message_is_written_is_heeded(rig: Members, how):
    """A membership is read for the message itself; of its member only webhooks tell."""
    rig.fail_all(WRITTEN)
    HEARD[how](rig)
    ask = rig.message_sender.whop.get_membership
    owner = {rig.payment(one).membership_id: name for name, one in rig.failed.items()}

    def tell_and_ask(membership_id: str, company_id: str) -> Any:
        if membership_id in owner:
            rig.tell(owner.pop(membership_id))
        return ask(membership_id, company_id)

    with mock.patch.object(rig.message_sender.whop, "get_membership", tell_and_ask):
        rig.message_sender.send_due()
    assert owner == {}
    unheard = {name for name, story in STORIES.items() if how == "lost" and is_of_member(story)}
    # What is final once it is heard closes a payment that is open meanwhile.
    undone = {name for name, story in STORIES.items() if how == "heard" and story.closed}
    assert rig.mailed() == (ALLOWED | unheard) - undone


def is_of_member(story: Story) -> bool:
    return "buy_again" in story.acts or bool(OF_DISPUTES & set(story.acts))


def test_a_message_that_waited_for_a_pause_leaves_when_it_is_over(rig: Members):
    rig.fail_all(WRITTEN)
    rig.message_sender.queue_some()
    paused = rig.failed["paused and resumed"]
    rig.world.pause(paused, rig.clock.now)
    rig.message_sender.send_due()
    (message,) = rig.messages(paused)
    assert (message.state, message.detail) == (MessageState.QUEUED, "paused on Whop")
    rig.pass_time(1)
    rig.world.resume(paused, rig.clock.now)
    rig.pass_time(0.1)
    rig.message_sender.send_due()
    assert "paused and resumed" in rig.mailed()


# --- every order -------------------------------------------------------------------------------


def capture(rig: Members, name: str) -> list[Any]:
    """The events of a story, the failure's first."""
    heard: list[Any] = []

    def keep(headers: dict[str, str], body: bytes) -> int:
        at = read_timestamp(headers["webhook-timestamp"])
        heard.append(read_delivery(headers["webhook-id"], body, at, None))
        return 200

    with mock.patch.object(rig.world, "deliver", keep):
        membership_id = rig.world.store.payment(rig.paid[name]).membership_id
        rig.failed[name] = rig.fail(*CHARGED, membership_id=membership_id)
        rig.wait()
        rig.tell(name)
    wanted = [event for event in heard if event.type != "payment.requires_action"]
    # A longer one has more orders than it has to say.
    return wanted[:1] + wanted[1:][-3:]


def forget(rig: Members) -> None:
    wipe(rig.sessions)
    with rig.sessions.begin() as session:
        session.execute(delete(Membership))
        session.execute(delete(Dispute))


def test_in_every_order_in_which_a_story_is_heard_its_end_is_heeded(rig: Members):
    for name, story in STORIES.items():
        events = capture(rig, name)
        for order in itertools.permutations(events):
            forget(rig)
            for heard in order:
                with rig.sessions.begin() as session:
                    inbox.record(session, [heard], rig.clock.now, HOURLY, read)
            payment = rig.payment(rig.failed[name])
            told = (name, [heard.type for heard in order], payment.closed_reason, payment.hold)
            assert (payment.status is not PaymentStatus.PENDING_RETRY) or not story.forbids, told
            if story.over is not None:
                assert payment.closed_reason in {story.over, story.closed, DISPUTED}, told
            elif story.held is not None:
                assert payment.hold is story.held, told
            elif story.closed is None or order[-1] is events[0]:
                assert payment.status is PaymentStatus.PENDING_RETRY, told


# --- each look by itself -----------------------------------------------------------------------


@pytest.fixture
def one(sessions, tmp_path) -> Rig:
    rig = Rig(sessions, tmp_path)
    rig.world.switches.whop_attempts_after_hours = ()
    return rig


def end_unheard(rig: Rig, payment_id: str, **facts_told: Any) -> None:
    """Recorded as a fact, of which nothing has been concluded yet."""
    report = MembershipReport(
        membership_id=rig.payment(payment_id).membership_id or "",
        company_id=COMPANY,
        observed_at=rig.clock.now,
        **{"renewal": Renewal.ENDED} | facts_told,
    )
    with rig.sessions.begin() as session:
        facts.record_memberships(session, [report], rig.clock.now)


def test_a_failure_that_is_heard_after_the_end_is_closed_at_once(one: Rig):
    one.world.faults.add("webhook:payment.failed", "delay", seconds=40)
    payment_id = one.fail(*CHARGED)
    one.world.cancel_membership(payment_id, one.clock.now)
    one.pass_time(0.1)
    payment = one.payment(payment_id)
    assert (payment.closed_reason, payment.next_step) == (ENDED, None)


def test_a_claim_looks_at_what_nobody_has_reviewed(one: Rig):
    payment_id = one.fail(*CHARGED)
    end_unheard(one, payment_id)
    one.run(hours=1)
    assert (one.payment(payment_id).closed_reason, one.attempts(payment_id)) == (ENDED, [])


def test_the_last_look_before_the_charge_is_at_the_facts(one: Rig):
    payment_id = one.fail(*CHARGED)
    ask = one.cycle.retrier.whop.get_payment

    def ask_and_end(payment_id: str, company_id: str) -> Any:
        end_unheard(one, payment_id)
        return ask(payment_id, company_id)

    with mock.patch.object(one.cycle.retrier.whop, "get_payment", ask_and_end):
        one.run(hours=1)
    assert (one.outcomes(payment_id), one.charges(payment_id)) == (["refused"], [])
    assert one.payment(payment_id).closed_reason is ENDED


@pytest.mark.parametrize(
    ("told", "state", "why"),
    [
        ({}, MessageState.SKIPPED, "membership ended"),
        ({"renewal": Renewal.CANCELED}, MessageState.SKIPPED, "canceled by the member"),
        ({"renewal": None, "paused": True}, MessageState.QUEUED, "paused on Whop"),
    ],
)
def test_the_last_look_before_a_message_is_at_the_facts(one: Rig, told, state, why):
    payment_id = one.fail(*WRITTEN)
    ask = one.message_sender.whop.get_membership

    def ask_and_end(membership_id: str, company_id: str) -> Any:
        answer = ask(membership_id, company_id)
        end_unheard(one, payment_id, **told)
        return answer

    with mock.patch.object(one.message_sender.whop, "get_membership", ask_and_end):
        one.message_sender.send_due()
    (message,) = one.messages(payment_id)
    assert (message.state, message.detail) == (state, why)


def test_an_older_word_about_a_dispute_is_no_news(one: Rig):
    """It came twice, and once late: the member whose bank was wrong is charged."""
    paid = one.world.renew(one.clock.now)
    one.world.faults.add("webhook:dispute.created", "delay", seconds=600)
    one.world.dispute(paid, one.clock.now)
    one.pass_time(0.05)
    one.world.rule_on_dispute("won", paid, one.clock.now)
    one.pass_time(0.5)
    membership_id = one.world.store.payment(paid).membership_id
    payment_id = one.fail(*CHARGED, membership_id=membership_id)
    one.run(hours=2)
    assert one.charges(payment_id) == ["paid"]


def test_of_two_words_about_a_dispute_from_one_time_the_stricter_stays():
    words = ("won", "warning_needs_response", "needs_response")
    for known, told in itertools.product(words, repeat=2):
        row = Dispute(status=known, observed_at=NOW)
        report = DisputeReport(payment_id="pay_1", company_id=COMPANY, status=told, observed_at=NOW)
        stricter = max(known, told, key=words.index)
        assert facts.choose_status(row, report) == {"status": stricter, "observed_at": NOW}


# --- an account that is gone -------------------------------------------------------------------

GONE = {"user": None, "customer_email": None, "member_id": None}


@pytest.mark.parametrize("denied", [(), ("member:email:read",), ("member:basic:read",)])
def test_a_buyer_whom_whop_no_longer_names_is_not_written_to(one: Rig, session, denied):
    """Unless a permission is missing: then Whop names nobody."""
    one.world.switches.denied_permissions = denied
    one.reconciler.run()
    known = payment_data(id="pay_1", **failing_at(one.clock.now))
    later = failing_at(one.clock.now + HOUR) | {"payments_failed": 2}
    record(one.sessions, [event(data=known), event(data=known | GONE | later)])
    payment = get_payment(session, "pay_1")
    expected = ("user_1", "jo@example.com") if denied else (None, None)
    assert (payment.user_id, payment.member_email) == expected


def test_before_we_know_our_permissions_nobody_is_taken_for_gone(one: Rig, session):
    known = payment_data(id="pay_1", **failing_at(one.clock.now))
    record(one.sessions, [event(data=known)])
    record(one.sessions, [event(data=known | GONE | failing_at(one.clock.now + HOUR))])
    assert get_payment(session, "pay_1").member_email == "jo@example.com"


# --- reading back ------------------------------------------------------------------------------


def count_calls(rig: Rig) -> dict[str, int]:
    """By operation, of one reading."""
    calls: Counter[str] = Counter()
    read = rig.reconciler.whop.wire.read

    def count(operation: str, *given: Any, **named: Any) -> Any:
        calls[operation] += 1
        return read(operation, *given, **named)

    with mock.patch.object(rig.reconciler.whop.wire, "read", count):
        rig.reconciler.run()
    return dict(calls)


def test_a_company_with_many_unpaid_payments_costs_a_handful_of_calls(one: Rig):
    for _ in range(30):
        one.fail("stolen_card")
    one.reconciler.run()
    one.pass_time(1)
    calls = count_calls(one)
    assert calls["memberships.list"] == 3
    assert calls["disputes.list"] == 2
    assert calls.get("memberships.retrieve", 0) == 0


def test_a_company_without_unpaid_payments_costs_none_for_memberships(one: Rig):
    assert "memberships.list" not in count_calls(one)


def test_what_no_list_shows_is_read_by_itself(one: Rig):
    canceled, ended = one.fail(*CHARGED), one.fail(*CHARGED)
    lose_all(one)
    one.world.cancel_at_period_end(canceled, one.clock.now)
    one.world.cancel_membership(ended, one.clock.now)
    one.pass_time(0.5)
    assert count_calls(one)["memberships.retrieve"] >= 2
    assert one.payment(canceled).closed_reason is CANCELED
    assert one.payment(ended).closed_reason is ENDED


@pytest.mark.parametrize("shown", ["action", "filter"])
@pytest.mark.parametrize("shape", ["current", "legacy"])
def test_a_pause_is_read_back_however_whop_shows_it(one: Rig, shown, shape):
    one.world.switches.pause_shown, one.world.switches.webhook_shape = shown, shape
    payment_id = one.fail(*CHARGED)
    lose_all(one)
    one.pass_time(0.1)
    one.world.pause(payment_id, one.clock.now)
    one.pass_time(0.5)
    one.reconciler.run()
    assert one.payment(payment_id).hold is Hold.PAUSED
    one.world.resume(payment_id, one.clock.now)
    one.pass_time(0.5)
    one.reconciler.run()
    assert (one.payment(payment_id).hold, one.payment(payment_id).status) == (
        None,
        PaymentStatus.PENDING_RETRY,
    )


def test_an_empty_list_without_the_permission_proves_nothing(one: Rig):
    paused = one.fail(*CHARGED)
    one.world.pause(paused, one.clock.now)
    one.world.switches.denied_permissions = ("member:basic:read", "payment:dispute:read")
    one.pass_time(0.5)
    calls = count_calls(one)
    assert {"memberships.list", "disputes.list"} & calls.keys() == set()
    assert one.payment(paused).hold is Hold.PAUSED


def test_a_dispute_whose_end_nobody_told_us_is_read_from_its_payment(one: Rig):
    paid = one.world.renew(one.clock.now)
    one.world.inquiry(paid, one.clock.now)
    membership_id = one.world.store.payment(paid).membership_id
    payment_id = one.fail(*CHARGED, membership_id=membership_id)
    one.reconciler.run()
    lose_all(one)
    one.pass_time(26)
    one.world.rule_on_dispute("warning_closed", paid, one.clock.now)
    one.pass_time(0.1)
    assert one.payment(payment_id).hold is Hold.INQUIRY
    one.reconciler.run()
    assert one.payment(payment_id).hold is None


# --- what the creator reads --------------------------------------------------------------------

READS = {
    "paused": "You paused the membership on Whop",
    "canceled": "The member canceled the membership",
    "ended": "The membership ended on Whop",
    "bought anew": "The member bought the product again",
    "disputed": "The member disputes another one",
    "inquiry": "The member's bank asks about another one",
}


def test_a_timeline_tells_what_has_ended_or_stopped_it_and_when(rig: Members, session):
    rig.fail_all()
    told_at = {}
    view = partial(Viewpoint, rules=rig.rules, channels=frozenset(Channel), exact=True)
    for name in READS:
        rig.wait(60)
        rig.tell(name)
        told_at[name] = rig.clock.now
    for name, words in READS.items():
        detail = read_detail(session, COMPANY, rig.failed[name], view(rig.clock.now))
        assert detail is not None
        entries = {entry.words: entry for entry in list_entries(detail, rig.clock.now)}
        assert abs(entries[words].at - told_at[name]) < timedelta(seconds=5), name
    paused = read_detail(session, COMPANY, rig.failed["paused"], view(rig.clock.now))
    assert paused is not None
    said = summarize_payment(paused, rig.clock.now)
    assert said.startswith("Paused on Whop: we wait until the membership goes on"), said
    assert describe_state(paused.next_step, rig.clock.now).detail == "paused on Whop"
    assert not paused.next_step.can_retry
