"""Renewals in the sandbox that work, how they list, and how memberships and payments end."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.stage import DAY, HOUR, NOON, Stage, error_of

pytestmark = pytest.mark.slow


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_it_renews_a_membership_at_the_first_charge(stage):
    payment_id = stage.world.renew(NOON, amount=Decimal("49.00"), currency="eur")

    shown = stage.shown(payment_id)
    assert (shown["status"], shown["payments_failed"]) == ("paid", 0)
    assert (shown["total"]["amount"], shown["total"]["currency"]) == ("49.00", "eur")
    assert stage.charged_by(payment_id) == [("whop", "paid")]
    assert stage.events == ["payment.succeeded"]
    member = stage.member_of(payment_id)
    assert (member.status, member.period_end) == ("active", NOON + 30 * DAY)
    assert stage.world.next_due() is None


def test_it_renews_the_same_membership_month_after_month(stage):
    first = stage.world.renew(NOON - 60 * DAY)
    member = stage.member_of(first)
    second = stage.world.renew(NOON - 30 * DAY, membership_id=member.id)
    third = stage.failed(membership_id=member.id)

    listed = stage.api.get(f"/payments?member_id={member.member_id}").json()["data"]
    assert [payment["id"] for payment in listed] == [third, second, first]
    assert stage.member_of(third).status == "past_due"
    assert stage.world.store.payment(third).card == member.card


def test_it_does_not_renew_what_has_ended(stage):
    payment_id = stage.failed()
    stage.later(5 * DAY)

    with pytest.raises(ValueError, match="has ended"):
        stage.world.renew(stage.now, membership_id=stage.member_of(payment_id).id)


@pytest.mark.parametrize("clears", ["paid", "pending"])
def test_it_stays_past_due_until_every_renewal_is_paid(stage, clears):
    first = stage.failed(clears)
    stage.now += HOUR
    second = stage.failed("paid", membership_id=stage.member_of(first).id)

    stage.retry(first)
    assert stage.member_of(first).status == "past_due"
    stage.retry(second)
    once_both_are_charged = "active" if clears == "paid" else "past_due"
    assert stage.member_of(first).status == once_both_are_charged
    stage.later(2 * DAY)
    assert stage.member_of(first).status == "active"
    stage.later(20 * DAY)
    assert "membership.deactivated" not in stage.events


def test_it_ends_all_that_is_unpaid_with_the_membership(stage):
    stage.switches.lapsed_payment = "void"
    first = stage.failed()
    stage.later(DAY)
    second = stage.failed(membership_id=stage.member_of(first).id)
    stage.later(20 * DAY)

    assert [stage.shown(payment_id)["status"] for payment_id in (first, second)] == ["void"] * 2
    assert stage.events.count("payment.canceled") == 2
    assert stage.events.count("membership.deactivated") == 1
    assert stage.world.ledger.charges(second)[-1].at < NOON + 5 * DAY
    assert stage.world.next_due() is None


def a_history(stage: Stage) -> list[str]:
    """Renewals of three months, oldest first: paid at once, by Whop, by the member, and not."""
    ids = []
    for number in range(25):
        stage.later(3 * DAY)
        if number % 5 == 0:
            ids.append(stage.world.renew(stage.now))
        else:
            paid_by = {"member_pays_after_hours": 30.0} if number % 5 == 1 else {}
            ids.append(stage.failed("paid" if number % 5 == 2 else "generic_decline", **paid_by))
    stage.later(10 * DAY)
    return ids


def pages(stage: Stage, query: str, between: Callable[[], object] = lambda: None) -> list[str]:
    """The ids of every page, `between` two of which something may happen."""
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        answer = stage.api.get(f"/payments?first=4&{query}&after={after}").json()
        found += [payment["id"] for payment in answer["data"]]
        info = answer["page_info"]
        after = info["end_cursor"] if info["has_next_page"] else None
        between()
    return found


def test_it_lists_months_of_history_in_both_directions(stage):
    made = a_history(stage)

    assert pages(stage, "order=created_at&direction=asc") == made
    assert pages(stage, "order=created_at&direction=desc") == made[::-1]
    paid = [payment_id for payment_id in made if stage.shown(payment_id)["status"] == "paid"]
    assert 12 < len(paid) < 25
    assert pages(stage, "status=paid&direction=asc") == paid
    by_time = sorted(paid, key=lambda payment_id: str(stage.shown(payment_id)["paid_at"]))
    assert pages(stage, "status=paid&order=paid_at&direction=asc") == by_time


def test_it_lists_a_span_of_time_without_its_edges(stage):
    made = a_history(stage)
    edges = [stage.world.store.payment(made[number]).created_at for number in (4, 16)]
    after, before = (edge.isoformat().replace("+00:00", "Z") for edge in edges)

    span = f"created_after={after}&created_before={before}"
    assert pages(stage, f"{span}&direction=asc") == made[5:16]


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_it_neither_misses_nor_repeats_when_payments_come_while_it_is_paged(stage, direction):
    made = a_history(stage)
    new: list[str] = []

    def another() -> None:
        if len(new) < 6:
            new.append(stage.world.renew(stage.now + len(new) * HOUR))

    listed = pages(stage, f"direction={direction}", another)

    assert listed == (made + new if direction == "asc" else made[::-1])


def test_it_keeps_its_place_when_what_was_listed_is_paid_meanwhile(stage):
    made = [stage.failed("paid") for _ in range(10)]

    listed = pages(stage, "direction=asc", lambda: [stage.retry(one) for one in made])

    assert sorted(listed) == sorted(made)


def test_it_pages_backwards_from_a_cursor_and_from_the_end(stage):
    made = a_history(stage)[::-1]

    def page(query: str) -> tuple[list[str], dict[str, Any]]:
        answer = stage.api.get(f"/payments?{query}").json()
        return [payment["id"] for payment in answer["data"]], answer["page_info"]

    _, info = page("first=10")
    third, info = page(f"first=5&after={info['end_cursor']}")
    assert (third, info["has_previous_page"]) == (made[10:15], True)
    back, info = page(f"last=4&before={info['start_cursor']}")
    assert (back, info["has_previous_page"], info["has_next_page"]) == (made[6:10], True, True)
    start, info = page(f"last=50&before={info['start_cursor']}")
    assert (start, info["has_previous_page"]) == (made[:6], False)
    end, info = page("last=3")
    assert (end, info["has_previous_page"], info["has_next_page"]) == (made[-3:], True, False)


# Members who leave, banks that take money back, creators who give up.


def test_it_keeps_charging_for_a_member_who_asked_not_to_renew_again(stage):
    payment_id = stage.failed("insufficient_funds", "paid")
    stage.now += HOUR

    stage.world.cancel_at_period_end(payment_id, stage.now)

    changes = ["membership.cancel_at_period_end_changed", "membership.updated"]
    assert stage.events == ["payment.failed", *changes]
    membership = stage.api.get(f"/memberships/{stage.member_of(payment_id).id}").json()
    assert (membership["status"], membership["cancel_at_period_end"]) == ("past_due", True)
    assert membership["canceled_at"] == "2026-11-20T13:00:00.000Z"
    assert stage.shown(payment_id)["retryable"]
    stage.retry(payment_id)
    stage.later(DAY)
    assert stage.shown(payment_id)["status"] == "paid"
    stage.later(40 * DAY)
    assert stage.member_of(payment_id).status == "canceled"
    assert stage.events[-1] == "membership.deactivated"


def test_it_ends_a_paid_membership_with_the_period_when_asked_to(stage):
    payment_id = stage.world.renew(NOON)
    stage.world.cancel_at_period_end(payment_id, NOON)

    stage.later(30 * DAY - HOUR)
    assert stage.member_of(payment_id).status == "active"
    stage.later(HOUR)
    member = stage.member_of(payment_id)
    assert (member.status, member.canceled_at) == ("canceled", NOON)


def test_it_gives_an_unpaid_renewal_its_days_although_the_period_ends(stage):
    earlier = stage.world.renew(NOON)
    stage.world.cancel_at_period_end(earlier, NOON)
    stage.later(30 * DAY - HOUR)
    payment_id = stage.failed("paid", membership_id=stage.member_of(earlier).id)

    stage.later(DAY - 2 * HOUR)
    assert stage.shown(payment_id)["retryable"]
    stage.later(5 * HOUR)
    assert stage.shown(payment_id)["status"] == "paid"
    assert stage.member_of(payment_id).status == "active"
    stage.later(30 * DAY)
    assert stage.member_of(payment_id).status == "canceled"


def test_it_lets_a_member_pay_who_is_leaving(stage):
    stage.switches.cancel_request_stops_retries = True
    payment_id = stage.failed()
    stage.world.cancel_at_period_end(payment_id, stage.now)

    assert stage.world.member_pays(payment_id, stage.now)

    assert stage.member_of(payment_id).status == "canceling"
    stage.later(30 * DAY)
    assert stage.member_of(payment_id).status == "canceled"


def test_it_renews_after_all_when_the_member_comes_back(stage):
    payment_id = stage.world.renew(NOON)
    stage.world.cancel_at_period_end(payment_id, NOON)

    stage.world.uncancel(payment_id, NOON + HOUR)
    stage.world.uncancel(payment_id, NOON + 2 * HOUR)

    stage.later(60 * DAY)
    member = stage.member_of(payment_id)
    assert (member.status, member.cancel_at_period_end) == ("active", False)
    assert member.canceled_at is None
    assert stage.events.count("membership.cancel_at_period_end_changed") == 2


def test_it_can_stop_all_charges_while_the_member_is_leaving(stage):
    stage.switches.cancel_request_stops_retries = True
    payment_id = stage.failed("paid", spare_pays=True)
    stage.world.cancel_at_period_end(payment_id, stage.now)

    assert stage.member_of(payment_id).status == "canceling"
    assert not stage.shown(payment_id)["retryable"]
    assert error_of(stage.retry(payment_id)) == (409, "payment_not_retryable")
    stage.set_card(payment_id, stage.spare_of(payment_id))
    stage.later(DAY + HOUR)
    assert len(stage.charged_by(payment_id)) == 1
    stage.world.uncancel(payment_id, stage.now)
    assert stage.member_of(payment_id).status == "past_due"
    stage.later(DAY)
    assert stage.charged_by(payment_id)[1:] == [("whop", "paid")]


def test_it_tells_of_a_dispute_of_an_earlier_renewal(stage):
    earlier = stage.world.renew(NOON - 30 * DAY)
    payment_id = stage.failed(membership_id=stage.member_of(earlier).id)

    stage.world.dispute_alert(earlier, stage.now)
    alerted = stage.shown(earlier)
    stage.world.dispute(earlier, stage.now)

    assert (alerted["status"], alerted["substatus"]) == ("paid", "dispute_warning")
    assert alerted["dispute_alerted_at"] == "2026-11-20T12:00:00.000Z"
    assert stage.shown(earlier)["substatus"] == "dispute_needs_response"
    assert stage.events[-2:] == ["dispute_alert.created", "dispute.created"]
    assert stage.shown(payment_id)["retryable"]


def test_it_knows_no_dispute_of_money_that_never_came(stage):
    payment_id, paid_id = stage.failed(), stage.world.renew(NOON)
    stage.world.dispute(paid_id, stage.now)

    for act in (stage.world.dispute, stage.world.dispute_alert):
        with pytest.raises(ValueError, match="only a paid payment"):
            act(payment_id, stage.now)
    with pytest.raises(ValueError, match="disputed already"):
        stage.world.dispute(paid_id, stage.now)


@pytest.mark.parametrize(
    ("act", "status", "substatus", "told"),
    [
        ("void", "void", "canceled", ["payment.canceled"]),
        ("mark_uncollectible", "uncollectible", "uncollectible", []),
    ],
)
def test_it_charges_nothing_more_once_the_creator_gives_up(stage, act, status, substatus, told):
    payment_id = stage.world.fail_renewal(
        NOON, script=["generic_decline", "paid"], member_pays_after_hours=2.0
    )
    stage.delivered.clear()

    getattr(stage.world, act)(payment_id, stage.now)

    shown = stage.shown(payment_id)
    assert (shown["status"], shown["substatus"]) == (status, substatus)
    assert (shown["retryable"], shown["next_payment_attempt_at"]) == (False, None)
    assert stage.events == told
    assert error_of(stage.retry(payment_id)) == (409, "payment_not_retryable")
    stage.later(20 * DAY)
    assert len(stage.charged_by(payment_id)) == 1
    assert stage.member_of(payment_id).status == "canceled"


def test_it_keeps_a_membership_that_was_renewed_after_a_payment_was_voided(stage):
    payment_id = stage.failed()
    stage.world.void(payment_id, stage.now)
    stage.later(DAY)
    stage.world.renew(stage.now, membership_id=stage.member_of(payment_id).id)

    stage.later(10 * DAY)

    assert stage.member_of(payment_id).status == "active"


@pytest.mark.parametrize("standing", ["paid", "pending", "being charged"])
def test_it_lets_the_creator_give_up_only_what_is_open(stage, standing):
    payment_id = stage.failed("paid" if standing == "being charged" else standing)
    stage.switches.retry_answers = "async" if standing == "being charged" else "sync"
    stage.retry(payment_id)

    with pytest.raises(ValueError, match=f"is {standing}"):
        stage.world.void(payment_id, stage.now)
