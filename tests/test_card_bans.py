"""A decline that forbids sticks to its card, in whatever order and however often it is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from db.company_settings.recovery import RecoverySettings, save_recovery_settings
from db.ledger import (
    banned_payments,
    claims,
    new_payments,
    payment_reports,
    payments,
    requests,
)
from db.models import Attempt, CardBan, Payment
from db.session import SessionFactory
from recovery.decline_codes import CLASS_OF
from recovery.declines import FORBIDS_THE_PAYMENT, NEVER_CHARGED_AGAIN, STICKS, DeclineClass
from recovery.reports import PaymentReport
from recovery.retrying.context import RetryRules
from recovery.status import PaymentStatus, RequestKind, Step
from tests.factories import COMPANY, HOUR, HOURLY, NOW, add_payment, get_payment, iso, report
from tests.rig import Rig
from tests.soak import at_length

STICKING = sorted(code for code, cls in CLASS_OF.items() if cls in STICKS)
FOR_THE_CARD = [code for code in STICKING if CLASS_OF[code] not in FORBIDS_THE_PAYMENT]
SOFT = ("insufficient_funds", "generic_decline", "processing_error", "contact_issuer")
SMART = RetryRules(policy="smart")
DAY = timedelta(days=1)


def on_card(
    number: int = 1, expiry: int = 2028, method_type: str | None = "card", **changes: Any
) -> dict[str, Any]:
    """A report's fields about one of a member's cards."""
    face = {"brand": "visa", "last4": f"{number:04}", "exp_month": 4, "exp_year": expiry}
    return {
        "payment_method_id": f"payt_{number}",
        "payment_method_type": method_type,
        "payment_instrument": {"card": face | changes},
    }


def hear(session: Session, payment: Payment, rules: RetryRules = HOURLY, **fields: Any) -> Payment:
    """A report of an hour after the failure, or as `fields` say, is applied and committed."""
    told = report(id=payment.payment_id, **{"updated_at": iso(NOW + HOUR)} | fields)
    locked = payments.lock_payments(session, [payment.payment_id])[payment.payment_id]
    payment_reports.apply_report(session, locked, told, NOW + HOUR, rules)
    session.commit()
    return get_payment(session, payment.payment_id)


def again(code: str | None, failures: int = 2, hours: float = 1, **fields: Any) -> dict[str, Any]:
    """One more charge, declined so."""
    at = iso(NOW + hours * HOUR)
    return {
        "decline_code": code,
        "failure_message": None,
        "payments_failed": failures,
        "last_payment_attempt_at": at,
        "updated_at": at,
    } | fields


def is_charged(session: Session, payment: Payment, rules: RetryRules = HOURLY) -> bool:
    """By schedule or by a click."""
    refusal = requests.refuse_retry_now(session, payment, NOW + HOUR, rules)
    return payment.status is PaymentStatus.PENDING_RETRY or refusal is None


# --- every later answer ------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [HOURLY, SMART], ids=["hourly", "smart"])
def test_no_later_answer_lifts_it(session: Session, rules: RetryRules):
    """For every code that sticks; tests/test_payment_methods.py has every ordered pair."""
    reports = [
        report(id=f"pay_{code}", decline_code=code, member_id=code, membership_id=code, user={})
        for code in STICKING
    ]
    new_payments.create_payments(session, reports, {}, NOW, rules)
    charged = []
    for number, code in enumerate(STICKING):
        payment = payments.lock_payments(session, [f"pay_{code}"])[f"pay_{code}"]
        later = report(**again(SOFT[number % len(SOFT)], id=payment.payment_id))
        payment_reports.apply_report(session, payment, later, NOW + HOUR, rules)
        assert payment.decline_class is CLASS_OF[code]
        assert payment.first_decline_code == code
        if is_charged(session, payment, rules):
            charged.append(code)
    assert charged == []


def test_between_answers_that_forbid_nothing_the_newest_counts_and_the_first_is_kept(session):
    payment = hear(session, add_payment(session, **on_card()), **again("generic_decline"))
    assert payment.decline_code == "generic_decline"
    assert payment.first_decline_code == "insufficient_funds"
    assert payment.first_decline_class is DeclineClass.FUNDS


def test_an_older_report_tells_the_first_decline(session: Session):
    payment = add_payment(session, **on_card(), **again("generic_decline"))
    payment = hear(session, payment, decline_code="processing_error", updated_at=iso(NOW))
    assert payment.first_decline_code == "processing_error"
    assert payment.decline_code == "generic_decline"


@pytest.mark.parametrize("code", STICKING)
def test_told_late_it_still_sticks(session: Session, code: str):
    payment = add_payment(session, **on_card(), **again("insufficient_funds"))
    payment = hear(session, payment, **on_card(), **again(code, failures=1, hours=0))
    assert payment.decline_class is CLASS_OF[code]
    assert not is_charged(session, payment)


def test_words_that_forbid_stick_as_well(session: Session):
    words: dict[str, Any] = {"decline_code": None, "failure_message": "Declined. Do not try again."}
    payment = add_payment(session, **on_card(), **words)
    payment = hear(session, payment, **again("try_again_later"), **on_card())
    assert not is_charged(session, payment)


def test_told_ten_times_it_is_one_ban(session: Session):
    payment = add_payment(session, decline_code="stolen_card", **on_card())
    for hours in range(10):
        at = iso(NOW + hours * HOUR)
        payment = hear(session, payment, decline_code="stolen_card", updated_at=at, **on_card())
    assert session.scalar(select(func.count()).select_from(CardBan)) == 1


# --- methods -----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [None, *SOFT, "expired_card"])
def test_a_bank_debit_is_never_charged_whatever_the_code(session: Session, code: str | None):
    debit = on_card(method_type="sepa_debit") | {"payment_instrument": None}
    payment = add_payment(session, decline_code=code, failure_message=None, **debit)
    assert payment.payment_method_type == "sepa_debit"
    assert payment.decline_class is DeclineClass.BANK_DEBIT
    assert not is_charged(session, payment)


def test_a_debit_is_known_as_such_even_by_a_later_report_without_a_decline(session: Session):
    payment = add_payment(session, payment_method_id="payt_1")
    heard: dict[str, Any] = {"payment_method_type": "us_bank_account", "payment_instrument": None}
    payment = hear(session, payment, decline_code=None, failure_message=None, **heard)
    assert payment.decline_class is DeclineClass.BANK_DEBIT
    assert not is_charged(session, payment)


# --- another card ------------------------------------------------------------------------------


@pytest.mark.parametrize("code", STICKING)
def test_another_card_lifts_it_though_the_old_decline_is_told_on(session: Session, code: str):
    payment = add_payment(session, decline_code=code, **on_card(1))
    if payment.status is PaymentStatus.PERMANENT_FAIL:  # the member withdrew: that is final
        return
    payment = hear(session, payment, decline_code=code, **on_card(2))
    assert payment.decline_class is DeclineClass.UNKNOWN
    assert payment.reason == "No charge on the new card yet"
    assert payment.status is PaymentStatus.PENDING_RETRY


def test_another_card_is_banned_by_its_own_decline(session: Session):
    payment = add_payment(session, decline_code="expired_card", **on_card(1))
    payment = hear(session, payment, decline_code="expired_card", **on_card(2))
    payment = hear(session, payment, **again("lost_card", hours=2), **on_card(2))
    assert payment.decline_code == "lost_card"
    assert not is_charged(session, payment)


def test_back_on_the_banned_card_it_holds_again(session: Session):
    payment = add_payment(session, decline_code="stolen_card", **on_card(1))
    payment = hear(session, payment, decline_code="stolen_card", **on_card(2))
    assert is_charged(session, payment)
    back = {"updated_at": iso(NOW + 2 * HOUR)} | on_card(1)
    payment = hear(session, payment, decline_code="stolen_card", **back)
    assert payment.decline_class is DeclineClass.FRAUD
    assert not is_charged(session, payment)


@pytest.mark.parametrize(
    ("change", "lifts"),
    [
        ({"last4": "1111"}, True),
        ({"brand": "amex"}, True),
        ({"exp_year": 2031}, True),
        ({"last4": None}, False),
        ({"brand": None}, False),
        ({"exp_year": None}, False),
    ],
)
def test_without_an_id_the_card_is_what_is_printed_on_it(session: Session, change, lifts):
    nameless: dict[str, Any] = {"payment_method_id": None}
    payment = add_payment(session, decline_code="stolen_card", **on_card() | nameless)
    changed = on_card(**change) | nameless
    payment = hear(session, payment, decline_code="stolen_card", **changed)
    assert is_charged(session, payment) is lifts


@pytest.mark.parametrize(
    ("code", "lifts"),
    [("expired_card", True), ("invalid_expiry", True), ("closed_account", False)],
)
def test_a_new_expiry_under_one_id_lifts_what_was_about_the_date(session: Session, code, lifts):
    payment = add_payment(session, decline_code=code, **on_card(expiry=2025))
    payment = hear(session, payment, decline_code=code, **on_card(expiry=2031))
    assert is_charged(session, payment) is lifts


def test_a_card_changed_after_a_charge_that_we_did_not_hear_of_leaves_both_in_doubt(session):
    payment = add_payment(session, **on_card(1))
    payment = hear(session, payment, **again("stolen_card"), **on_card(2))
    assert not is_charged(session, payment)
    payment = hear(session, payment, **again("stolen_card", hours=2) | on_card(1))
    assert not is_charged(session, payment)


def test_an_older_report_says_better_which_card_was_declined(session: Session):
    """The payment became known only after the member had changed the card."""
    payment = add_payment(
        session, decline_code="stolen_card", updated_at=iso(NOW + HOUR / 2), **on_card(2)
    )
    assert not is_charged(session, payment)
    payment = hear(session, payment, decline_code="stolen_card", updated_at=iso(NOW), **on_card(1))
    assert is_charged(session, payment)


# --- the member's other payments ---------------------------------------------------------------


@pytest.mark.parametrize("code", FOR_THE_CARD)
def test_a_payment_that_becomes_known_later_is_not_charged_on_that_card(session: Session, code):
    add_payment(session, decline_code=code, **on_card())
    other = add_payment(session, membership_id="mem_2", **on_card())
    assert other.decline_class is CLASS_OF[code]
    assert not is_charged(session, other)
    assert not is_charged(session, add_payment(session, member_id=None, user={}, **on_card()))


@pytest.mark.parametrize("code", ["duplicate_transaction", "invalid_amount", "test_mode_decline"])
def test_what_is_about_one_payment_leaves_the_others_alone(session: Session, code):
    add_payment(session, decline_code=code, **on_card())
    assert is_charged(session, add_payment(session, **on_card()))


@pytest.mark.parametrize(
    "other",
    [
        {"member_id": "mber_2", "membership_id": "mem_2", "user": {"id": "user_2"}},
        on_card(2),
    ],
    ids=["another member", "another card"],
)
def test_others_are_charged(session: Session, other):
    add_payment(session, decline_code="stolen_card", **on_card())
    assert is_charged(session, add_payment(session, **on_card() | other))


def test_another_creators_ban_is_none_of_ours(session: Session):
    theirs = report(decline_code="stolen_card", account_id="biz_other", **on_card())
    new_payments.create_payments(
        session, [PaymentReport(**vars_of(theirs) | {"company_id": "biz_other"})], {}, NOW, HOURLY
    )
    assert is_charged(session, add_payment(session, **on_card()))


def vars_of(told: PaymentReport) -> dict[str, Any]:
    return {name: getattr(told, name) for name in PaymentReport.__dataclass_fields__}


def test_two_payments_that_become_known_together_know_of_each_other(session: Session):
    told = [report(**on_card()), report(decline_code="stolen_card", **on_card())]
    new_payments.create_payments(session, told, {}, NOW, HOURLY)
    session.commit()
    assert not is_charged(session, get_payment(session, told[0].payment_id))


@pytest.mark.parametrize("tries", [0, 2])
def test_an_open_payment_hears_of_a_later_ban(session: Session, tries):
    first = add_payment(session, **on_card())
    first.retry_count = tries
    assert first.status is PaymentStatus.PENDING_RETRY
    add_payment(session, decline_code="stolen_card", **on_card())
    assert requests.refuse_retry_now(session, first, NOW, HOURLY) is not None  # before it is told
    assert banned_payments.apply_bans(session, NOW, HOURLY) == 1
    assert banned_payments.apply_bans(session, NOW, HOURLY) == 0
    session.commit()
    first = get_payment(session, first.payment_id)
    assert first.status is PaymentStatus.FAILED
    assert first.decline_code == "stolen_card"
    assert first.next_step is Step.NOTICE


def test_a_payment_whose_card_was_banned_meanwhile_is_not_claimed(session: Session):
    first = add_payment(session, **on_card())
    add_payment(session, decline_code="stolen_card", **on_card())
    assert claims.claim_due(session, NOW + 2 * HOUR, HOURLY) is None
    session.commit()
    assert get_payment(session, first.payment_id).status is PaymentStatus.FAILED


# --- in whatever order -------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    card: int
    code: str
    failures: int
    charged_at: int
    said_at: int


# A charge declined with a code, or a change to another card.
STEPS = st.lists(
    st.sampled_from(("insufficient_funds", "stolen_card", "expired_card", "closed_account", 1, 2)),
    min_size=1,
    max_size=5,
)


def tell(steps: list[str | int]) -> tuple[list[Told], set[int]]:
    """What Whop says after each step, and the cards that may not be charged."""
    card, told, banned = 1, [Told(1, "generic_decline", 1, 0, 0)], set()
    for hour, step in enumerate(steps, start=1):
        last = told[-1]
        if isinstance(step, int):
            card = step
            told.append(Told(card, last.code, last.failures, last.charged_at, hour))
            continue
        told.append(Told(card, step, last.failures + 1, hour, hour))
        if CLASS_OF[step] in STICKS:
            banned.add(card)
    return told, banned


def describe(told: Told) -> PaymentReport:
    at = iso(NOW + told.charged_at * HOUR)
    said = {"last_payment_attempt_at": at, "updated_at": iso(NOW + told.said_at * HOUR)}
    fields = again(told.code, told.failures) | said | on_card(told.card)
    return report(id="pay_told", **fields)


@settings(max_examples=at_length(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_in_any_order_a_banned_card_is_not_charged_and_in_its_own_order_only_that(
    sessions: SessionFactory, data: Any
):
    steps = data.draw(STEPS)
    told, banned = tell(steps)
    in_order = data.draw(st.booleans())
    heard = told if in_order else data.draw(st.permutations(told))
    repeated = data.draw(st.lists(st.sampled_from(told), max_size=3))
    with sessions.begin() as session:
        for model in (CardBan, Attempt, Payment):
            session.execute(delete(model))
        first, *rest = [describe(each) for each in (*heard, *repeated)]
        new_payments.create_payments(session, [first], {}, NOW + 9 * HOUR, HOURLY)
        payment = payments.lock_payments(session, ["pay_told"])["pay_told"]
        for each in rest:
            payment_reports.apply_report(session, payment, each, NOW + 9 * HOUR, HOURLY)
        charged = payment.status is PaymentStatus.PENDING_RETRY
        if told[-1].card in banned:
            assert not charged, (steps, heard)
        elif in_order:
            assert charged, (steps, heard)


# --- through the simulated Whop ----------------------------------------------------------------


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path) -> Rig:
    return Rig(sessions, tmp_path)


@pytest.mark.parametrize("policy", ["hourly", "smart"])
@pytest.mark.parametrize("strict", ["stolen_card", "closed_account", "blocked_by_cardholder"])
@pytest.mark.parametrize("soft", ["generic_decline", "insufficient_funds"])
def test_whops_own_retry_with_a_softer_answer_changes_nothing(rig: Rig, policy, strict, soft):
    rig.use(policy=policy)
    payment_id = rig.fail(strict, soft)
    with rig.sessions.begin() as session:
        requests.ask(session, payment_id, RequestKind.RETRY_NOW, "creator", NOW, COMPANY)
    rig.pass_time(25)
    rig.cycle.fulfil_requests()
    rig.run(hours=118 - 25)
    assert rig.charges(payment_id) == []
    assert rig.payment(payment_id).decline_code == strict
    if CLASS_OF[strict] is not DeclineClass.CARD:
        assert {message.step for message in rig.messages(payment_id)} <= {Step.NOTICE}


@pytest.mark.parametrize("shape", ["current", "legacy"])
@pytest.mark.parametrize("method_type", ["sepa_debit", "us_bank_account", "cashapp"])
def test_what_is_no_card_is_never_charged(rig: Rig, method_type, shape):
    rig.world.switches.webhook_shape = shape
    payment_id = rig.fail("insufficient_funds", "paid", payment_method_type=method_type)
    assert rig.payment(payment_id).payment_method_type == method_type
    rig.world.switches.whop_attempts_after_hours = ()
    rig.run(hours=118)
    assert rig.charges(payment_id) == []


def test_a_ban_from_another_payment_stops_one_that_is_scheduled(rig: Rig):
    first = rig.fail("insufficient_funds", "paid")
    membership_id = rig.world.store.payment(first).membership_id
    rig.fail("stolen_card", membership_id=membership_id)
    rig.run(hours=30)
    assert rig.charges(first) == []
    assert rig.payment(first).decline_class is DeclineClass.FRAUD


@pytest.fixture
def with_backup(rig: Rig) -> Rig:
    rig.use(policy="smart")
    rig.world.switches.whop_attempts_after_hours = ()
    allowed = RecoverySettings(backup_card=True)
    with rig.sessions.begin() as session:
        save_recovery_settings(session, COMPANY, allowed, "somebody", NOW)
    return rig


def steal(rig: Rig, member_id: str | None, method_id: str) -> None:
    """Another payment of the member is declined on that card, which is stolen."""
    with rig.sessions() as session:
        add_payment(
            session, decline_code="stolen_card", member_id=member_id, payment_method_id=method_id
        )


def find_spare(rig: Rig, payment: Payment) -> str:
    saved = rig.cycle.retrier.whop.list_saved_cards(str(payment.member_id), COMPANY)
    (spare,) = {card.method_id for card in saved} - {payment.payment_method_id}
    return spare


def test_a_backup_card_that_is_banned_is_not_charged(with_backup: Rig):
    payment_id = with_backup.fail("expired_card", spare_cards=1, spare_script=("paid",))
    payment = with_backup.payment(payment_id)
    steal(with_backup, payment.member_id, find_spare(with_backup, payment))
    with_backup.run(hours=40)
    assert with_backup.charges(payment_id, by="backup") == []


def test_a_backup_card_that_is_banned_at_the_last_moment_is_not_charged(
    with_backup: Rig, monkeypatch: pytest.MonkeyPatch
):
    payment_id = with_backup.fail("expired_card", spare_cards=1, spare_script=("paid",))
    payment, retrier = with_backup.payment(payment_id), with_backup.cycle.retrier
    spare, choose = find_spare(with_backup, payment), retrier.find_backup_card

    def choose_and_steal(claim: claims.Claim) -> Any:
        chosen = choose(claim)
        steal(with_backup, payment.member_id, spare)
        return chosen

    monkeypatch.setattr(retrier, "find_backup_card", choose_and_steal)
    with_backup.run(hours=40)
    assert with_backup.charges(payment_id, by="backup") == []


def test_a_banned_card_is_not_chosen_as_the_backup(with_backup: Rig):
    with_backup.fail("expired_card", spare_cards=1, spare_script=("paid",))
    with_backup.pass_time(40)
    with with_backup.sessions.begin() as session:
        claim = claims.claim_due(session, with_backup.clock.now, with_backup.rules)
    assert claim is not None
    retrier = with_backup.cycle.retrier
    chosen = retrier.find_backup_card(claim)
    assert chosen is not None
    steal(with_backup, claim.member_id, str(chosen.payment_method_id))
    assert retrier.find_backup_card(claim) is None


def test_a_stolen_backup_card_is_banned_and_not_the_one_on_file(with_backup: Rig):
    with_backup.world.switches.retry_uses_new_card = False
    payment_id = with_backup.fail("expired_card", spare_cards=1, spare_script=("stolen_card",))
    with_backup.run(hours=40)
    assert with_backup.charges(payment_id, by="backup") == ["stolen_card"]
    with with_backup.sessions() as session:
        bans = session.scalars(select(CardBan).order_by(CardBan.observed_at)).all()
    own = with_backup.payment(payment_id).payment_method_id
    assert [(ban.decline_code, ban.payment_method_id == own) for ban in bans] == [
        ("expired_card", True),
        ("stolen_card", False),
    ]


def test_forbidden_classes_are_the_only_ones_that_stick():
    assert STICKS < NEVER_CHARGED_AGAIN
